"""What the desk's doors keep: who asked for a run, what it told, what was said, and what is planned.

Fields are columns of the tables in `desk_tables`. Times are UTC. JSON values come back as plain dicts, lists, texts and numbers;
amounts inside them are text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Trigger(StrEnum):
    """What made a run."""

    OPERATOR = "operator"  # a person or a program, through a door
    SCHEDULE = "schedule"
    START = "start"  # the first cycle of a desk that starts
    SESSION = "session"  # the command line's own loop


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Why a run is there, written in the transaction that queues it.

    Attributes:
        requested_by: the principal's name.
        payload: what the run needs to know: symbols of a cycle, the question of a conversation's turn, the ticket of an order.
        claimed_by: the process that works on it, until `claimed_until`; another may take it after that.
        cancel_requested_by: who wants it stopped at its next safe boundary.
    """

    run_id: str
    account_id: str
    requested_by: str
    trigger: Trigger
    payload: Mapping[str, object]
    requested_at: datetime
    schedule_id: str | None = None
    conversation_id: str | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    cancel_requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One step of a run, or of an account between runs, as it was told.

    Attributes:
        position: over the whole ledger, growing in the order of commits: whoever has read up to one misses nothing after it.
        run_id: empty between runs.
        sequence: within the run, from 1 without a gap; 0 between runs.
        kind: the name of the step, such as `order_sent`.
    """

    position: int
    account_id: str
    run_id: str
    sequence: int
    kind: str
    at: datetime
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A step that is to be told; the log gives it its place. `run_id` is empty between runs."""

    account_id: str
    run_id: str
    kind: str
    at: datetime
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Used:
    """What runs have used up.

    Attributes:
        tokens: of models, input and output together.
        by_model: input and output tokens by the model's name.
        orders: sent to the venue, protective stops apart.
    """

    tokens: int
    by_model: Mapping[str, tuple[int, int]]
    orders: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread of one user with the desk, about one account. `owner` is the principal's name; nobody else reads it."""

    id: str
    account_id: str
    owner: str
    title: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None


class Author(StrEnum):
    OPERATOR = "operator"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing said in a conversation.

    Attributes:
        sequence: within the conversation, from 1.
        run_id: of the turn it belongs to.
        agent: which one said it; empty for the operator.
        data: for answers: `tools` called, `evidence` by id, `proposals` made, `usage` (`model`, `input_tokens`, `output_tokens`),
            whether it is `grounded`.
    """

    conversation_id: str
    sequence: int
    run_id: str
    author: Author
    agent: str
    content: str
    data: Mapping[str, object]
    created_at: datetime


class ProposalState(StrEnum):
    OPEN = "open"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An order that was suggested to somebody, and that nothing sends before that person says yes.

    Attributes:
        owner: the principal's name; only that one may confirm it.
        ticket: the order, exactly; `content_hash` is over it, and a confirmation names the hash.
        preview: what the gate said when it was made. It is asked again when it is confirmed.
        order_run_id: the run that places it, once confirmed.
    """

    id: str
    account_id: str
    owner: str
    run_id: str
    ticket: Mapping[str, object]
    content_hash: str
    preview: Mapping[str, object]
    reason: str
    created_at: datetime
    expires_at: datetime
    conversation_id: str | None = None
    state: ProposalState = ProposalState.OPEN
    decided_at: datetime | None = None
    order_run_id: str | None = None


class Misfire(StrEnum):
    """What becomes of ticks that passed while nobody was there."""

    SKIP = "skip"
    CATCH_UP_ONCE = "catch_up_once"


class Overlap(StrEnum):
    """What becomes of a tick that comes while the run of an earlier one is not over."""

    SKIP = "skip"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one schedule may use in a day (UTC); None for no bound of its own.

    Attributes:
        tokens: of models, input and output together.
        cost: of models, US dollars.
        orders: sent to the venue by its runs, protective stops apart.
    """

    tokens: int | None = None
    cost: Decimal | None = None
    orders: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the desk runs by itself. Exactly one of `cron` and `every_seconds` is set.

    Attributes:
        symbols: those to look at; empty for all of the account's session.
        cron: five fields, read in `timezone` (an IANA name).
        last_tick: the last one that was dealt with, run or skipped.
        version: grows with each change, for whoever changes it in two places.
    """

    id: str
    account_id: str
    name: str
    owner: str
    symbols: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    cron: str | None = None
    every_seconds: int | None = None
    timezone: str = "UTC"
    misfire: Misfire = Misfire.SKIP
    overlap: Overlap = Overlap.SKIP
    budget: Budget = field(default_factory=Budget)
    last_tick: datetime | None = None
    version: int = 1
    deleted_at: datetime | None = None


class PauseKind(StrEnum):
    EVERYTHING = "everything"
    AGENT = "agent"
    SCHEDULE = "schedule"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Pause:
    """Something of an account that a person has stopped until it is resumed. `subject` names the agent, schedule or symbol."""

    account_id: str
    kind: PauseKind
    subject: str
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a write was answered with, under the key its caller chose: the same request again gets the same answer.

    Attributes:
        request_hash: over method, path and body; another request under the same key is refused.
        status: None while the first is still at work.
    """

    principal: str
    key: str
    request_hash: str
    created_at: datetime
    status: int | None = None
    body: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the one process that does something, such as running an account, until `expires_at`."""

    name: str
    holder: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What a person has set for one agent of one account, beside the session's config.

    Attributes:
        model: `rules`, or the session's own when None.
        budget: of its calls in all runs of a day; beyond it the agent abstains. `orders` is not used.
    """

    account_id: str
    agent: str
    by: str
    at: datetime
    model: str | None = None
    budget: Budget = field(default_factory=Budget)
