"""What the ledger keeps beside the domain's own objects. Fields are the columns of the table of the same name.

JSON values come back as plain dicts, lists, texts and numbers; give amounts inside them as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading_core.domain.intents import Approval, RiskDecision, TradeIntent
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState


class RunKind(StrEnum):
    CYCLE = "cycle"
    CONVERSATION = "conversation"
    REBALANCE = "rebalance"
    ORDER = "order"  # what an operator wants traded


class RunState(StrEnum):
    QUEUED = "queued"  # asked for, and not begun
    RUNNING = "running"
    WAITING = "waiting"  # for an operator's approval
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


# Tuples, for queries by list: an index on the state serves those, and none serves "not in".
ENDED_STATES = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
OPEN_STATES = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING)


class Outcome(StrEnum):
    """What an agent came to. Abstaining is not the same as deciding to hold."""

    ANSWERED = "answered"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One start of the desk, with everything needed to build it again."""

    id: str
    config: Mapping[str, object]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One execution of a graph.

    Attributes:
        as_of: the instant up to which it may know the world; of a queued run, when it was asked for.
        started_at: when it began; of a queued run, when it was asked for.
    """

    id: str
    account_id: str
    kind: RunKind
    as_of: datetime
    started_at: datetime
    session_id: str | None = None
    state: RunState = RunState.RUNNING
    snapshot_hash: str | None = None
    ended_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """What a run was allowed to know, under its hash."""

    hash: str
    as_of: datetime
    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One agent's answer on one subject in one run.

    Attributes:
        subject: a symbol, or what else was asked about.
        answer: None when the agent abstained; `reason` then says why.
        grounded: whether every cited number was found in the evidence; `problems` lists those that were not.
        evidence: ids of the evidence cited.
        input_hash: over everything the answer depends on; the key under which it may be used again.
        seconds: wall time of the agent.
    """

    run_id: str
    agent: str
    subject: str
    outcome: Outcome
    created_at: datetime
    reused: bool = False
    answer: Mapping[str, object] | None = None
    reason: str = ""
    grounded: bool = False
    problems: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    model: str = ""
    prompt_hash: str = ""
    input_hash: str = ""
    model_calls: int = 0
    repairs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One tool result inside a run, under the id that a rationale cites."""

    run_id: str
    id: str
    agent: str
    subject: str
    tool: str
    arguments: Mapping[str, object]
    result: object
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """A model's answer kept for use in later runs. `key` is the hash of everything it depends on."""

    key: str
    agent: str
    model: str
    outcome: Outcome
    answer: Mapping[str, object] | None
    usage: Mapping[str, object]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OrderEventRecord:
    """One step of an order: what happened, and the state it led to. `sequence` counts from 1."""

    client_order_id: str
    sequence: int
    event: OrderEvent
    state: OrderState
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PortfolioSnapshotRecord:
    """What an account was worth at the end of a run; `equity` and `cash` in the account's currency."""

    account_id: str
    run_id: str
    at: datetime
    equity: Decimal
    cash: Decimal
    content: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StrategyVersion:
    """What a strategy was from `created_at` on, until its next version.

    Attributes:
        version: 1, 2, 3 and so on.
        content_hash: of `config`.
    """

    name: str
    version: int
    config: Mapping[str, object]
    content_hash: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RiskStateChange:
    """Who moved an account's risk state, and why."""

    account_id: str
    from_state: str
    to_state: str
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class IntentTrail:
    """An intent and everything said about it, oldest first."""

    intent: TradeIntent
    decisions: tuple[RiskDecision, ...]
    approval: Approval | None


@dataclass(frozen=True, slots=True)
class OrderTrail:
    """An order and everything that happened to it, oldest first."""

    order: Order
    events: tuple[OrderEventRecord, ...]
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class RunTrail:
    """A run read back whole."""

    run: RunRecord
    snapshot: SnapshotRecord | None
    decisions: tuple[DecisionRecord, ...]
    evidence: tuple[EvidenceRecord, ...]
    intents: tuple[IntentTrail, ...]
    orders: tuple[OrderTrail, ...]
    portfolio: PortfolioSnapshotRecord | None
