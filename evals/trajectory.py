"""What a desk did in a scenario: read back from the ledger and from what was counted on the way. Scorers see this and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from evals.schema import Scenario
from trading_core.domain.orders import Fill
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunTrail


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool: opening moves too, which the desk makes and no model asked for, and calls of tools that there are not.

    Attributes:
        refused: it failed because whoever asks may not have what it tells; in a conversation only.
    """

    run_id: str
    agent: str
    subject: str
    tool: str
    arguments: Mapping[str, object]
    opening: bool
    failed: bool
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One agent's answer and what it cost. `cost` is in US dollars; None when no price is known for the model.

    Attributes:
        answer: in the agent's schema; of an answer to an operator `{"words": …}`; None when none came.
        invalid: answers that broke their schema, the one that was repaired included.
        problems: numbers that the evidence does not hold.
    """

    run_id: str
    agent: str
    subject: str
    answer: Mapping[str, object] | None
    abstained: bool
    why: str
    problems: tuple[str, ...]
    invalid: int
    model_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What followed over the scenario's horizon, as multiples of the equity at the first decision (1.0 for no change).

    Attributes:
        desk, held, cash: the desk's account with its stops at work; everything bought in equal parts at the first decision;
            nothing done. `rules` is the embedded model on the same scenario, None where it was not run.
        drawdown: of the desk's account, fraction.
        curve: the desk's equity at each bar.
        moves: by symbol, change of the price from the last decision to the end of the horizon, fraction; a symbol whose price is
            unknown then is missing.
    """

    desk: float
    held: float
    cash: float = 1.0
    rules: float | None = None
    drawdown: float = 0.0
    curve: tuple[tuple[datetime, float], ...] = ()
    moves: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Card:
    """An order that an answer put on a card.

    Attributes:
        quantity, worth: base, and quote at the last price; as it would be sized now. None where that is not known.
        stop: quote; None without one.
        gate: what the gate said of it when it was made, with the codes that `failed`.
    """

    owner: str
    symbol: str
    side: str
    quantity: Decimal | None
    worth: Decimal | None
    stop: Decimal | None
    gate: str
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Talk:
    """What became of an operator's question, beside the answers (`Trajectory.asked`).

    Attributes:
        asker: the operator's name in the ledger.
        may_propose: whether the operator may have cards at all.
        facts: the figures of `evals.questions.Figure` when it was asked, by the ledger and the market; unknown ones are missing.
        orders: how many orders the account had more afterwards.
    """

    asker: str
    may_propose: bool
    cards: tuple[Card, ...] = ()
    facts: Mapping[str, Decimal] = field(default_factory=dict)
    orders: int = 0


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One repeat of one scenario under one model.

    Attributes:
        runs: everything the ledger has of each cycle: snapshot, decisions, evidence, intents with what the gate said, orders.
        error: why it did not come to its end; empty when it did.
        before, after: the account at the first decision, and after the last cycle's fills.
        prices: last prices at the last decision, by symbol.
        gate_denials: how often the gate failed a check, by reason code.
        talk: what came of the operator's question; None in scenarios without one.
    """

    scenario: Scenario
    model: str
    repeat: int
    runs: tuple[RunTrail, ...]
    asked: tuple[Asked, ...]
    tools: tuple[ToolUse, ...]
    before: Portfolio
    after: Portfolio
    prices: Mapping[str, Decimal]
    fills: tuple[Fill, ...] = ()
    gate_denials: Mapping[str, int] = field(default_factory=dict)
    aftermath: Aftermath | None = None
    seconds: float = 0.0
    error: str = ""
    talk: Talk | None = None
