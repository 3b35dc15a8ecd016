"""Stopping a run that somebody has asked for."""

from __future__ import annotations

from graph.runs.ending import end_run
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import RunError, UnknownRun
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.session import Database

_AT_ONCE = frozenset({RunState.QUEUED, RunState.WAITING})  # nobody is at work on it


async def cancel_run(database: Database, clock: Clock, who: Principal, run_id: str) -> RunRecord:
    """End a run that nobody is at work on, with what it still asks; leave word for whoever works on any other.

    Raises:
        NotPermitted: the principal may neither submit on the account, nor has asked for the run.
        UnknownRun: there is no such run.
        RunError: it is of a loop of the command line, which only its own process can stop.
    """
    async with database.transaction() as uow:
        record, request = await uow.runs.get(run_id), await uow.run_requests.get(run_id)
        if record is None:
            raise UnknownRun(f"run {run_id!r} is not on record", not_done="Nothing was stopped", next_step="List the recent runs")
        if request is None or request.requested_by != who.name:
            who.require(Action.SUBMIT, record.account_id)
        if record.ended_at is not None:
            return record
        if request is None:
            raise RunError(
                f"run {run_id!r} was begun at the command line",
                not_done="It was not stopped",
                next_step="Stop the process that runs it",
            )
        await uow.claims.take(record.account_id)  # whoever begins it or takes it up again does this first, too
        record = await uow.runs.get(run_id) or record
        now = clock.now()
        if await uow.run_requests.ask_cancel(run_id, who.name) and record.state in _AT_ONCE:
            await end_run(uow, record, RunState.CANCELLED, at=now, by=who.name)
        if request.cancel_requested_by is None:
            before, after = {"state": record.state.value}, {"requested_by": request.requested_by}
            told = AuditEntry(now, who.name, AuditAction.RUN_CANCELLED, SubjectKind.RUN, run_id, before, after, run_id)
            await uow.audit.append(told)
        return await uow.runs.get(run_id) or record
