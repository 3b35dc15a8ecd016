"""A run as a span, and as the place that log lines belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from opentelemetry.trace import Span

from agents.telemetry import OPERATION, RUN_ID, failed, spanned
from trading_core.persistence.records import RunRecord, RunState

WORKFLOW = "gen_ai.workflow.name"
ACCOUNT = "algotrendy.account.id"
STATE = "algotrendy.run.state"

current_run: ContextVar[str] = ContextVar("current_run", default="")
"""The run that this task works on; empty outside of one."""


class _Result(Protocol):
    @property
    def state(self) -> RunState: ...


R = TypeVar("R", bound=_Result)


async def traced(record: RunRecord, work: Awaitable[R]) -> R:
    """Do a stretch of work on a run inside its span, and note how that ended."""
    with running(record) as span:
        result = await work
        ended(span, result.state)
        return result


@contextmanager
def running(record: RunRecord) -> Iterator[Span]:
    """Work on a run inside the block: its span holds those of its agents, and log lines carry its id."""
    kind = record.kind.value
    attributes = {OPERATION: "invoke_workflow", WORKFLOW: kind, RUN_ID: record.id, ACCOUNT: record.account_id}
    token = current_run.set(record.id)
    try:
        with spanned(f"run {kind}", attributes) as span:
            yield span
    finally:
        current_run.reset(token)


def ended(span: Span, state: RunState) -> None:
    """Note on a run's span how this stretch of it ended."""
    span.set_attribute(STATE, state.value)
    if state is RunState.FAILED:
        failed(span, "run_failed")
