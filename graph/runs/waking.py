"""Taking waiting runs up again, once an operator has answered all that they ask, or nobody has in time."""

from __future__ import annotations

from graph.runs.event_log import EventLog
from trading_core.domain.clock import Clock, iso
from trading_core.domain.intents import Approval, ApprovalState
from trading_core.domain.money import plain
from trading_core.execution.approving import Answered, expire
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork


async def wake_answered(database: Database, clock: Clock, log: EventLog, run: RunRecord) -> bool:
    """Put a waiting run back among those that are to be worked on; False while it still waits.

    Runs of the command line's own loop are left to `algotrendy resume`.

    Args:
        clock: that of the account's desk, on which approvals expire.
    """
    async with database.reading() as uow:
        asked, request = await uow.approvals.of_run(run.id), await uow.run_requests.get(run.id)
    now = clock.now()
    if request is None or not asked:
        return False
    # Cancelled just as it began to wait: whoever takes it up now ends it.
    is_cancelled = request.cancel_requested_by is not None
    if not is_cancelled and any(one.state is ApprovalState.PENDING and now <= one.expires_at for one in asked):
        return False
    async with database.transaction() as uow:
        await uow.claims.take(run.account_id)
        known = await uow.runs.get(run.id)
        if known is None or known.state is not RunState.WAITING:
            return False
        await uow.runs.set_state(run.id, RunState.RUNNING, at=now)
        await expire(uow, run.id, now, tell_answer)
    log.wake()
    return True


async def tell_answer(uow: UnitOfWork, answered: Answered) -> None:
    """Tell the run of an operator's answer, in the transaction that keeps it: before the run goes on, and so before it ends."""
    intent = answered.intent
    record, request = await uow.runs.get(intent.run_id), await uow.run_requests.get(intent.run_id)
    if record is not None and request is not None and record.ended_at is None:
        at = answered.after.decided_at or record.started_at
        await uow.events.append(record.account_id, record.id, "approval_decided", at, approval_json(answered.after))


def approval_json(approval: Approval) -> dict[str, object]:
    """An answer, as it is told."""
    return {
        "intent_id": approval.intent_id,
        "state": approval.state.value,
        "by": approval.decided_by,
        "reason": approval.reason,
        "price": plain(approval.price),
        "expires_at": iso(approval.expires_at),
    }
