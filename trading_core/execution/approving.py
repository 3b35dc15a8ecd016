"""An operator's yes or no to one intent. It needs the ledger and no venue: whoever has the desk sees the answer there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, recorded
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ApprovalError, InvalidInput, NotPermitted
from trading_core.domain.intents import CORE, Approval, ApprovalState, TradeIntent
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

LONGEST_REASON = 500
_NOT_IN_TIME = "it was not answered in time"


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question: the intent, the approval before and after."""

    intent: TradeIntent
    before: Approval
    after: Approval

    @property
    def audit(self) -> tuple[AuditAction, SubjectKind, str, dict[str, object], dict[str, object]]:
        """For the audit trail: what was done, to what, and what it was before and is after."""
        given = self.after.state is ApprovalState.APPROVED
        before, after = (recorded(one, "state", "content_hash", "price", "reason") for one in (self.before, self.after))
        action = AuditAction.APPROVAL_GIVEN if given else AuditAction.APPROVAL_REFUSED
        return action, SubjectKind.INTENT, self.intent.intent_id, dict(before), dict(after)

    def require_in_time(self) -> Approval:
        """The answer.

        Raises:
            ApprovalError: it came too late.
        """
        if self.after.state is ApprovalState.EXPIRED:
            raise ApprovalError(
                f"the approval of {self.intent.intent_id[:12]!r} expired at {self.before.expires_at}",
                not_done="Nothing was approved",
            )
        return self.after


Also = Callable[[UnitOfWork, Answered], Awaitable[None]]


class Approvals:
    """Approvals of every account of one ledger.

    Args:
        limits: that say where four eyes are needed; those of the session that asked, as they are on record, when absent. The desk
            asks again with its own before it sends anything.
    """

    def __init__(self, database: Database, clock: Clock, limits: LimitsBook | None = None) -> None:
        self._database, self._clock, self._limits = database, clock, limits

    async def decide(
        self, principal: Principal, intent_id: str, *, approve: bool, reason: str, also: Also | None = None
    ) -> Approval:
        """An operator's yes or no. One that comes too late is kept as that.

        Args:
            also: done in the same transaction, for what else is to know of the answer; one that came too late is an answer.

        Raises:
            NotPermitted: the principal may not approve, or proposed this and the limits ask for four eyes.
            ApprovalError: nothing was asked, it has expired, or it is decided already.
            InvalidInput: the reason is longer than `LONGEST_REASON` characters.
        """
        if len(reason) > LONGEST_REASON:
            raise InvalidInput(
                f"the reason has {len(reason)} characters",
                not_done="The answer was not taken",
                next_step=f"Say why in at most {LONGEST_REASON}",
            )
        principal.require(Action.APPROVE)
        async with self._database.transaction() as uow:
            intent = await uow.intents.get(intent_id)
            # Somebody who may not approve there learns nothing of what is asked there.
            if intent is None or not principal.may(Action.APPROVE, intent.account_id):
                raise _not_asked(intent_id)
            await uow.claims.take(intent.account_id)  # one at a time, and the desk sees that something has changed
            asked, now = await uow.approvals.get(intent_id), self._clock.now()
            if asked is None:
                raise _not_asked(intent_id)
            if approve and principal.name == intent.proposer and (await self._limits_of(uow, intent)).four_eyes:
                raise NotPermitted(
                    f"{principal.name!r} proposed intent {intent_id[:12]!r} and may not approve it too",
                    not_done="Nothing was approved",
                    next_step="Ask another operator",
                )
            state = ApprovalState.APPROVED if approve else ApprovalState.REJECTED
            if asked.state is ApprovalState.PENDING and now > asked.expires_at:
                state, reason = ApprovalState.EXPIRED, _NOT_IN_TIME
            after = await uow.approvals.decide(intent_id, state, by=principal.name, at=now, reason=reason)
            answered = Answered(intent, asked, after)
            if also is not None:
                await also(uow, answered)
            await _tell(uow, principal.name, now, answered)
        return answered.require_in_time()

    async def _limits_of(self, uow: UnitOfWork, intent: TradeIntent) -> Limits:
        limits = self._limits or await _recorded_limits(uow, intent.run_id)
        return limits.of(intent.account_id, intent.strategy)


async def expire(uow: UnitOfWork, run_id: str, now: datetime, also: Also | None = None) -> tuple[Approval, ...]:
    """Close what a run asked and nobody answered in time, with what `also` does of each; what was closed."""
    late = [one for one in await uow.approvals.of_run(run_id) if one.state is ApprovalState.PENDING and now > one.expires_at]
    return await _close(uow, late, CORE, now, ApprovalState.EXPIRED, _NOT_IN_TIME, also)


async def withdraw(uow: UnitOfWork, run_id: str, by: str, now: datetime, reason: str) -> tuple[Approval, ...]:
    """Close all that a run still asks, within the transaction that ends the run; what was closed."""
    asked = [one for one in await uow.approvals.of_run(run_id) if one.state is ApprovalState.PENDING]
    return await _close(uow, asked, by, now, ApprovalState.REJECTED, reason)


async def _close(
    uow: UnitOfWork,
    asked: Sequence[Approval],
    by: str,
    now: datetime,
    state: ApprovalState,
    reason: str,
    also: Also | None = None,
) -> tuple[Approval, ...]:
    closed: list[Approval] = []
    for one in asked:
        intent = await uow.intents.get(one.intent_id)
        if intent is None:
            raise _not_asked(one.intent_id)
        await uow.claims.take(intent.account_id)
        after = await uow.approvals.decide(one.intent_id, state, by=by, at=now, reason=reason)
        answered = Answered(intent, one, after)
        if also is not None:
            await also(uow, answered)
        await _tell(uow, by, now, answered)
        closed.append(after)
    return tuple(closed)


async def _tell(uow: UnitOfWork, by: str, now: datetime, answered: Answered) -> None:
    await uow.audit.append(AuditEntry(now, by, *answered.audit, answered.intent.run_id))


async def _recorded_limits(uow: UnitOfWork, run_id: str) -> LimitsBook:
    run = await uow.runs.get(run_id)
    session = await uow.sessions.get(run.session_id) if run is not None and run.session_id is not None else None
    known = session.config.get("limits") if session is not None else None
    if not isinstance(known, Mapping):
        return LimitsBook()
    is_book = not known.keys().isdisjoint(LimitsBook.model_fields)
    return LimitsBook.model_validate(known if is_book else {"desk": known})  # older sessions kept the desk's limits alone


def _not_asked(intent_id: str) -> ApprovalError:
    return ApprovalError(f"no approval is asked for intent {intent_id[:12]!r}", not_done="Nothing was approved")
