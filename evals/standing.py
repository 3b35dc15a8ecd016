"""Where a symbol stood at the end of a run: what was said of it, what the gate was asked and answered, what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from agents.answers import Answer, Signal
from agents.outcome import Outcome
from evals.regate import Judged
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Purpose, Side
from trading_core.persistence.records import DecisionRecord, RunTrail
from trading_core.persistence.records import Outcome as Came

NONE, FAILED, UNGROUNDED = "none", "failed", "ungrounded"


@dataclass(frozen=True, slots=True)
class Standing:
    """One symbol in one run.

    Attributes:
        said: the signal agent's word; `none` when it was not asked, `failed` when it gave none, `ungrounded` when its numbers do
            not hold and it may not trade.
        purpose: of what was proposed; None when nothing was.
        quantity: as it was put to the gate, in base; below zero for a sale.
        verdict: the gate's first word on it; `codes` are the checks that failed.
        sent: whether an order followed.
    """

    said: str
    purpose: Purpose | None = None
    quantity: Decimal = ZERO
    verdict: Verdict | None = None
    codes: tuple[str, ...] = ()
    sent: bool = False

    @property
    def traded(self) -> Decimal:
        """The signed quantity that an order was sent for."""
        return self.quantity if self.sent else ZERO


@dataclass(frozen=True, slots=True)
class Heard:
    """An agent's answer in a replay: given now, or the recorded one that stands.

    Attributes:
        may_trade: it was answered, did not abstain, and its numbers hold.
        reused: no model was asked; then there are no tokens.
    """

    agent: str
    subject: str
    answer: Answer | None
    may_trade: bool
    why: str
    input_tokens: int = 0
    output_tokens: int = 0
    reused: bool = False

    @classmethod
    def of(cls, outcome: Outcome[Answer]) -> Self:
        """An answer as it came."""
        spent = (0, 0) if outcome.reused else (outcome.usage.input_tokens, outcome.usage.output_tokens)
        answered = outcome.answer, outcome.may_trade, outcome.why
        return cls(outcome.agent, outcome.subject, *answered, *spent, reused=outcome.reused)

    @classmethod
    def recorded(cls, known: DecisionRecord, answer: Answer | None) -> Self:
        """The answer on record; None of an agent that was silent."""
        may_trade = answer is not None and known.outcome is Came.ANSWERED and known.grounded
        return cls(known.agent, known.subject, answer, may_trade, known.reason, reused=True)


def stood(trail: RunTrail, symbols: Sequence[str]) -> dict[str, Standing]:
    """As the ledger has it. The core's own stops are nobody's decision and are left out."""
    words = {one.subject: _recorded_word(one) for one in trail.decisions if one.agent == "signal"}
    sent = {one.order.intent_id for one in trail.orders}
    wanted = {
        one.intent.symbol: (one.intent, one.decisions[0], one.intent.intent_id in sent)
        for one in trail.intents
        if one.intent.purpose is not Purpose.STOP and one.decisions and one.intent.proposer.startswith("agent:")
    }
    return _standings(symbols, words, wanted)


def decided(symbols: Sequence[str], heard: Sequence[Heard], judged: Sequence[Judged], sent: set[str]) -> dict[str, Standing]:
    """As it would have been."""
    words = {one.subject: _word(one) for one in heard if one.agent == "signal"}
    wanted = {one.intent.symbol: (one.intent, one.decision, one.intent.intent_id in sent) for one in judged}
    return _standings(symbols, words, wanted)


def _standings(
    symbols: Sequence[str], words: Mapping[str, str], wanted: Mapping[str, tuple[TradeIntent, RiskDecision, bool]]
) -> dict[str, Standing]:
    found = {}
    for symbol in dict.fromkeys((*symbols, *wanted)):
        said = words.get(symbol, NONE)
        if symbol not in wanted:
            found[symbol] = Standing(said)
            continue
        intent, decision, was_sent = wanted[symbol]
        quantity = intent.quantity if intent.side is Side.BUY else -intent.quantity
        found[symbol] = Standing(said, intent.purpose, quantity, decision.verdict, decision.reason_codes, was_sent)
    return found


def _recorded_word(one: DecisionRecord) -> str:
    if one.answer is None:
        return FAILED
    grounded = one.grounded or one.outcome is Came.ABSTAINED
    return str(one.answer.get("action")) if grounded else UNGROUNDED


def _word(one: Heard) -> str:
    if not isinstance(one.answer, Signal):
        return FAILED
    return one.answer.action if one.answer.abstained or one.may_trade else UNGROUNDED
