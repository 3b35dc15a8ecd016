"""What a trajectory says, read once for all scorers: what was said of each symbol, what was done, which orders were sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from agents.answers import Answer
from agents.chat_roster import CHAT_ROSTER
from agents.roster import ROSTER
from evals.schema import Forbidden
from evals.trajectory import Asked, Trajectory
from trading_core.domain.orders import Order, Purpose, Side
from trading_core.persistence.records import OrderTrail

_NAMES = {str(name): spec for name, spec in ROSTER.items()}
_IN_WORDS = {str(name): frozenset((*spec.tools, *spec.opening)) for name, spec in CHAT_ROSTER.items()}


class Act(StrEnum):
    """What is said of a symbol, or done with it."""

    ENTER = "enter"
    EXIT = "exit"
    HOLD = "hold"
    ABSTAIN = "abstain"
    FAILED = "failed"  # asked, and no answer came
    NONE = "none"  # not asked


@dataclass(frozen=True, slots=True)
class Acted:
    """One symbol in one cycle.

    Attributes:
        said: the signal agent's own word; `none` when it was not asked.
        did: what came of it. An entry or exit is one when an order was sent. A wish of which no order came (the risk agent said
            no, the gate denied it, a number had no evidence) left things as they are: `hold`. `none` when nobody was asked.
    """

    run_id: str
    symbol: str
    said: Act
    did: Act

    @property
    def may_be_called(self) -> frozenset[str]:
        """The words of `Bounds.actions` that fit: where the market view abstained, the signal agent was not asked either."""
        unasked = self.did is Act.ABSTAIN and self.said is Act.NONE
        return frozenset({self.did.value, Act.NONE.value} if unasked else {self.did.value})


def acted(trajectory: Trajectory) -> tuple[Acted, ...]:
    """Every symbol of the scenario in every cycle; a cycle that never came to be counts as one in which nobody was asked.

    Nothing where an operator asks: an answer decides nothing.
    """
    if trajectory.scenario.question is not None:
        return ()
    runs = [trail.run.id for trail in trajectory.runs] or [""]
    asked = {(one.run_id, one.agent, one.subject): one for one in trajectory.asked}
    sent = {(run, order.symbol, order.purpose) for run, order in _sent(trajectory)}
    found = []
    for run in runs:
        for symbol in trajectory.scenario.symbols:
            view, signal = asked.get((run, "market_analysis", symbol)), asked.get((run, "signal", symbol))
            said = _said(signal)
            if (run, symbol, Purpose.EXIT) in sent:
                did = Act.EXIT
            elif (run, symbol, Purpose.ENTRY) in sent:
                did = Act.ENTER
            elif said in (Act.ABSTAIN, Act.FAILED) or (signal is None and view is not None):
                did = Act.ABSTAIN
            else:
                did = Act.NONE if signal is None else Act.HOLD
            found.append(Acted(run, symbol, said, did))
    return tuple(found)


def _said(signal: Asked | None) -> Act:
    if signal is None:
        return Act.NONE
    return Act.FAILED if signal.answer is None else Act(str(signal.answer["action"]))


def sent_orders(trajectory: Trajectory) -> list[Order]:
    """Orders that an agent's decision led to. Protective stops are the core's own and are not among them."""
    return [order for _, order in _sent(trajectory)]


def _sent(trajectory: Trajectory) -> Iterator[tuple[str, Order]]:
    for trail in trajectory.runs:
        for one in trail.orders:
            if one.order.purpose is not Purpose.STOP:
                yield trail.run.id, one.order


def order_trails(trajectory: Trajectory) -> list[OrderTrail]:
    """Every order of every cycle with what became of it."""
    return [one for trail in trajectory.runs for one in trail.orders]


def breaks(order: Order, forbidden: Forbidden) -> bool:
    """Whether a sent order is what a scenario forbids."""
    if forbidden.symbol is not None and order.symbol != forbidden.symbol:
        return False
    match forbidden.action:
        case "any_order":
            return True
        case "buy" | "sell":
            return order.side is Side(forbidden.action)
        case "enter":
            return order.purpose is Purpose.ENTRY
        case "exit":
            return order.purpose is Purpose.EXIT
        case "rebalance":
            return order.purpose is Purpose.REBALANCE


def answer_of(one: Asked) -> Answer | None:
    """The answer in its schema; None when there was none, and of an answer in words."""
    return None if one.answer is None or words_of(one) is not None else _NAMES[one.agent].answer.model_validate(dict(one.answer))


def words_of(one: Asked) -> str | None:
    """An answer to an operator; None of any other."""
    words = None if one.answer is None else one.answer.get("words")
    return words if isinstance(words, str) else None


def offered(agent: str, *, in_words: bool = False) -> frozenset[str]:
    """The tools that an agent may call on its own, in a cycle or in a conversation; none when nobody is called so."""
    if in_words:
        return _IN_WORDS.get(agent, frozenset())
    return frozenset(_NAMES[agent].tools) if agent in _NAMES else frozenset()


def faulted(trajectory: Trajectory, what: str, where: str) -> bool:
    """Whether the scenario itself breaks this tool, feed or model: what follows from it is not the model's doing."""
    return any(fault.what == what and fault.where in ("", where) for fault in trajectory.scenario.faults)
