"""Runs: why they are there, how they stand, and all that is on record of one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.common import Amount, Answer, Body, Instant
from api.schemas.fields import shown_as
from api.schemas.intents import IntentDetailOut, IntentOut
from api.schemas.orders import AskedOut, OrderDetailOut
from api.services.desks import Worker
from trading_core.persistence.desk_records import Trigger
from trading_core.persistence.records import Outcome, RunKind, RunState

_RUN: dict[str, object] = {
    "id": "cycle-0f1e2d3c4b5a69788796a5b4",
    "account": "practice",
    "kind": "cycle",
    "state": "done",
    "as_of": "2026-03-02T12:00:00Z",
    "started_at": "2026-03-02T12:00:00Z",
    "ended_at": "2026-03-02T12:00:09Z",
    "error": "",
    "trigger": "operator",
    "requested_by": "user:alice",
    "requested_at": "2026-03-02T11:59:59Z",
    "schedule": None,
    "conversation": None,
    "cancel_requested_by": None,
}

Symbols = Annotated[
    list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]{1,20}/[A-Za-z0-9.\-]{1,20}$", examples=["BTC/USDT"])]],
    Field(max_length=50),
]


class CycleBody(Body):
    """A cycle of the desk, now."""

    model_config = shown_as({"symbols": ["BTC/USDT"]}) | Body.model_config

    symbols: Symbols = Field(default=[], description="The only ones to look at; empty for all of the account's session.")


class RunAskedOut(AskedOut):
    """A run was asked for. It is worked on whether or not anybody waits."""

    model_config = shown_as(
        {
            "run_id": "cycle-0f1e2d3c4b5a69788796a5b4",
            "account": "practice",
            "kind": "cycle",
            "state": "queued",
            "worked_on_by": "this process",
            "note": "",
            "events": "/api/v1/runs/cycle-0f1e2d3c4b5a69788796a5b4/events",
        }
    )

    events: str = Field(description="Where its events can be followed, from the first on.")


class RunOut(Answer):
    """One execution of a graph: a cycle, a conversation's turn or an order."""

    model_config = shown_as(_RUN)

    id: str
    account: str
    kind: RunKind
    state: RunState
    as_of: Instant = Field(description="Up to when it may know the world; of a queued run, when it was asked for.")
    started_at: Instant
    ended_at: Instant | None
    error: str
    trigger: Trigger | None = Field(description="What made it; null for runs of the command line's own loop.")
    requested_by: str | None
    requested_at: Instant | None
    schedule: str | None
    conversation: str | None
    cancel_requested_by: str | None = Field(description="Who wants it stopped at its next safe boundary.")


class RunDetailOut(Answer):
    """A run with what was asked, what it waits for, and what it came to."""

    model_config = shown_as(
        {
            "run": _RUN,
            "request": {"symbols": ["BTC/USDT"]},
            "waiting": [],
            "result": {"proposed": 1, "orders": 1},
            "last_event": 23,
            "worked_on_by": "this process",
            "events": "/api/v1/runs/cycle-0f1e2d3c4b5a69788796a5b4/events",
        }
    )

    run: RunOut
    request: dict[str, object] = Field(description="What was asked: a cycle's symbols, a question, an order's ticket.")
    waiting: list[IntentOut] = Field(description="What waits for an operator's yes or no.")
    result: dict[str, object] | None = Field(description="What it told last; null while it is not over.")
    last_event: int = Field(description="Sequence of its last event so far; 0 for none.")
    worked_on_by: Worker
    events: str


class AgentDecisionOut(Answer):
    """One agent's answer on one subject."""

    agent: str
    subject: str
    outcome: Outcome
    answer: dict[str, object] | None
    reason: str = Field(description="Why it abstained.")
    grounded: bool = Field(description="Whether every number it cited was found in the evidence.")
    problems: list[str]
    evidence: list[str]
    model: str
    reused: bool = Field(description="Whether it is an earlier answer to the very same question.")
    model_calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    created_at: Instant


class EvidenceOut(Answer):
    """One result of a tool, under the id that reasons cite."""

    id: str
    agent: str
    subject: str
    tool: str
    arguments: dict[str, object]
    result: object
    created_at: Instant


class WorthOut(Answer):
    """What the account was worth at the end of the run."""

    at: Instant
    equity: Amount
    cash: Amount


class RunTrailOut(Answer):
    """All that is on record about a run."""

    model_config = shown_as(
        {
            "run": _RUN,
            "snapshot": "9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a200c5de",
            "decisions": [
                {
                    "agent": "signal",
                    "subject": "BTC/USDT",
                    "outcome": "answered",
                    "answer": {"action": "buy", "conviction": 0.7},
                    "reason": "",
                    "grounded": True,
                    "problems": [],
                    "evidence": ["e1a2b3c4d"],
                    "model": "rules",
                    "reused": False,
                    "model_calls": 1,
                    "input_tokens": 900,
                    "output_tokens": 120,
                    "seconds": 0.4,
                    "created_at": "2026-03-02T12:00:03Z",
                }
            ],
            "evidence": [
                {
                    "id": "e1a2b3c4d",
                    "agent": "signal",
                    "subject": "BTC/USDT",
                    "tool": "get_indicators",
                    "arguments": {"symbol": "BTC/USDT"},
                    "result": {"rsi": 61.2},
                    "created_at": "2026-03-02T12:00:02Z",
                }
            ],
            "intents": [],
            "orders": [],
            "worth": {"at": "2026-03-02T12:00:09Z", "equity": "100842.3", "cash": "85089.775"},
        }
    )

    run: RunOut
    snapshot: str | None = Field(description="Hash of what the run was allowed to know.")
    decisions: list[AgentDecisionOut]
    evidence: list[EvidenceOut]
    intents: list[IntentDetailOut] = Field(description="What was wanted, with every check of the gate.")
    orders: list[OrderDetailOut] = Field(description="With each of their steps, and their fills.")
    worth: WorthOut | None
