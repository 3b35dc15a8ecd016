"""Ending a run: its new state, the last thing it tells and the end of what it still asks are one transaction.

So whoever follows a run always sees an end, and nobody can answer what no run waits for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from graph.events import EventKind
from trading_core.domain.intents import CORE
from trading_core.execution.approving import withdraw
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.unit_of_work import UnitOfWork

TOLD_LAST: Mapping[RunState, EventKind] = {
    RunState.WAITING: "run_waiting",
    RunState.DONE: "run_done",
    RunState.FAILED: "run_failed",
    RunState.CANCELLED: "run_cancelled",
}
_FOR_GOOD = frozenset({RunState.DONE, RunState.CANCELLED})  # one that failed can be taken up again at the command line
_WHY_WITHDRAWN: Mapping[RunState, str] = {RunState.FAILED: "its run failed", RunState.CANCELLED: "its run was cancelled"}


async def end_run(
    uow: UnitOfWork,
    record: RunRecord,
    state: RunState,
    *,
    at: datetime,
    error: str = "",
    told: Mapping[str, object] | None = None,
    by: str = "",
) -> bool:
    """Move a run to the state it stops in, for good or to wait. One that was asked for tells so: only it can be followed. What it
    still asks of operators is withdrawn when it failed or was cancelled: nobody takes it up again.

    Args:
        told: what the last event says beside the error; JSON.
        by: who cancels it.

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
    if state is RunState.CANCELLED:
        data["by"] = by
    if error:
        data["error"] = error
    # The log before the audit trail, as everywhere: each is held until the commit.
    await uow.events.append(record.account_id, record.id, TOLD_LAST[state], at, data)
    if state in _WHY_WITHDRAWN:
        await withdraw(uow, record.id, by or CORE, at, _WHY_WITHDRAWN[state])
    return True
