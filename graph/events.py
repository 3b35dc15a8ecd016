"""What a run tells while it works. Consoles show it; nothing depends on anybody listening."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

EventKind = Literal[
    "run_queued",
    "run_started",
    "run_resumed",
    "snapshot_taken",
    "channels_silent",
    "price_doubted",
    "agent_started",
    "agent_answered",
    "gate_decided",
    "order_sent",
    "order_denied",
    "order_cancelled",
    "order_ended",
    "fill_booked",
    "slippage_alert",
    "venue_differs",
    "state_changed",
    "run_waiting",
    "run_done",
    "run_failed",
    "run_cancelled",
    "token",
    "tool_called",
    "tool_answered",
    "message",
    "proposal_made",
    "approval_requested",
    "approval_decided",
    "paused",
    "unpaused",
    "equity",
]

FINAL: frozenset[str] = frozenset({"run_done", "run_failed", "run_cancelled"})
"""What a run tells last."""

TOLD_WITH_STATE: frozenset[str] = FINAL | {"run_waiting"}
"""What is written in the transaction that moves the run to the state it stops in, and by nobody else."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One step of a run. `data` holds domain objects of the kind the name says."""

    kind: EventKind
    run_id: str
    at: datetime
    data: Mapping[str, Any]


Listener = Callable[[RunEvent], None]


def ignore(_: RunEvent) -> None:
    """Nobody listens."""
