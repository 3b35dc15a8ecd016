"""Taking waiting runs up again, once an operator has answered all that they ask, or nobody has in time."""

from __future__ import annotations

from graph.runs.event_log import EventLog
from trading_core.domain.clock import Clock, iso
from trading_core.domain.intents import Approval
from trading_core.domain.money import plain
from trading_core.execution.approving import Answered, expire
from trading_core.persistence.records import RunState
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork


async def wake(database: Database, clock: Clock, log: EventLog, account_id: str, run_id: str) -> bool:
    """Put a waiting run back among those that are to be worked on, its late questions closed; False when it waits no more.

    Args:
        clock: that of the account's desk, on which approvals expire.
    """
    now = clock.now()
    async with database.transaction() as uow:
        await uow.claims.take(account_id)
        known = await uow.runs.get(run_id)
        if known is None or known.state is not RunState.WAITING:
            return False
        await uow.runs.set_state(run_id, RunState.RUNNING, at=now)
        await expire(uow, run_id, now, tell_answer)
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
