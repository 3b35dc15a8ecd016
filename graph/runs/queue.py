"""Asking for a run: three rows in the transaction of whoever asks, and nothing else."""

from __future__ import annotations

from graph.control.pauses import Paused
from trading_core.domain.errors import RunError
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.unit_of_work import UnitOfWork

_STOPPED = frozenset({RunKind.CYCLE, RunKind.REBALANCE})  # by a pause of everything


async def queue_run(uow: UnitOfWork, kind: RunKind, request: RunRequest) -> RunRecord:
    """Write down that a run is wanted, and tell of it. Asked again with the same request, the run as it now stands.

    Raises:
        RunError: the id is on record with another request, or somebody paused everything on the account.
    """
    record = await uow.runs.get(request.run_id)
    if record is None:
        await _refuse_when_paused(uow, kind, request.account_id)
        at = request.requested_at
        record = await uow.runs.queue(RunRecord(request.run_id, request.account_id, kind, at, at, state=RunState.QUEUED))
    if await uow.run_requests.add(request):
        told = {
            "kind": kind.value,
            "requested_by": request.requested_by,
            "trigger": request.trigger.value,
            "schedule": request.schedule_id,
            "payload": dict(request.payload),
        }
        await uow.events.append(request.account_id, request.run_id, "run_queued", request.requested_at, told)
    return record


async def _refuse_when_paused(uow: UnitOfWork, kind: RunKind, account_id: str) -> None:
    pause = (await Paused.of(uow, account_id)).everything if kind in _STOPPED else None
    if pause is not None:
        raise RunError(
            f"everything on account {account_id!r} is paused by {pause.by}: {pause.reason}",
            not_done="No run was asked for",
            next_step="Lift the pause of everything first",
        )
