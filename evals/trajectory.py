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
    """One call of a tool: opening moves too, which the desk makes and no model asked for."""

    run_id: str
    agent: str
    subject: str
    tool: str
    arguments: Mapping[str, object]
    opening: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """One agent's answer and what it cost. `cost` is in US dollars; None when no price is known for the model.

    Attributes:
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
class Trajectory:
    """One repeat of one scenario under one model.

    Attributes:
        runs: everything the ledger has of each cycle: snapshot, decisions, evidence, intents with what the gate said, orders.
        error: why it did not come to its end; empty when it did.
        before, after: the account at the first decision, and after the last cycle's fills.
        prices: last prices at the last decision, by symbol.
        gate_denials: how often the gate failed a check, by reason code.
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
