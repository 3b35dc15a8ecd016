"""Ending a run: its new state and the last thing it tells are one transaction, so that whoever follows it always sees an end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from graph.events import EventKind
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.unit_of_work import UnitOfWork

TOLD_LAST: Mapping[RunState, EventKind] = {
    RunState.WAITING: "run_waiting",
    RunState.DONE: "run_done",
    RunState.FAILED: "run_failed",
    RunState.CANCELLED: "run_cancelled",
}
_FOR_GOOD = frozenset({RunState.DONE, RunState.CANCELLED})  # one that failed can be taken up again at the command line


async def end_run(
    uow: UnitOfWork,
    record: RunRecord,
    state: RunState,
    *,
    at: datetime,
    error: str = "",
    told: Mapping[str, object] | None = None,
) -> bool:
    """Move a run to the state it stops in, for good or to wait, and tell so where it was asked for: only then can anybody follow.

    Args:
        told: what the last event says beside the error; JSON.

    Returns:
        False when it was over already: done or cancelled, it stays so; nothing is told a second time.

    Raises:
        RunError: there is no such run.
    """
    await uow.claims.take(record.account_id)  # of two that end it at once, the second sees what the first did
    known = await uow.runs.get(record.id)
    if known is not None and known.state in _FOR_GOOD:
        return False  # by another process, which took it over from one that was slow
    was_over = known is not None and known.ended_at is not None
    await uow.runs.set_state(record.id, state, at=at, error=error)
    if was_over or await uow.run_requests.get(record.id) is None:
        return not was_over
    data: dict[str, object] = {**(told or {})}
    if error:
        data["error"] = error
    await uow.events.append(record.account_id, record.id, TOLD_LAST[state], at, data)
    return True
