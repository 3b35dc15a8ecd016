"""What a person was asked, and what the person answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from trading_core.domain.errors import ApprovalError
from trading_core.domain.intents import Approval, ApprovalState
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import approvals, intents


class ApprovalsRepository(Repository):
    async def request(self, approval: Approval) -> bool:
        """Ask for an approval. False when the same content was already asked for; the first question stands.

        Raises:
            ApprovalError: the intent's approval is bound to another content.
        """
        if await self._add(approvals, columns(approval), approvals.c.intent_id):
            return True
        known = await self._known(approval.intent_id)
        if known.content_hash != approval.content_hash:
            raise ApprovalError(
                f"the approval of intent {approval.intent_id!r} is bound to another content",
                not_done="No other was asked for",
                next_step="Propose the change as a new intent",
            )
        return False

    async def get(self, intent_id: str) -> Approval | None:
        row = await self._one(select(approvals).where(approvals.c.intent_id == intent_id))
        return None if row is None else Approval(**row)

    async def decide(self, intent_id: str, state: ApprovalState, *, by: str, at: datetime, reason: str = "") -> Approval:
        """Answer a pending approval, once.

        Raises:
            ApprovalError: there is none, or it is no longer pending. Of two answers at the same time the first stands.
        """
        pending = approvals.c.state == ApprovalState.PENDING
        answer = update(approvals).where(approvals.c.intent_id == intent_id, pending)
        done = await self._connection.execute(answer.values(state=state, decided_by=by, decided_at=at, reason=reason))
        known = await self._known(intent_id)
        if done.rowcount != 1:
            raise ApprovalError(
                f"the approval of intent {intent_id!r} is already {known.state.value}",
                not_done="The answer was not taken",
                next_step="Propose a new intent if it is still wanted",
            )
        return known

    async def pending(self, account_id: str | None = None) -> tuple[Approval, ...]:
        """What waits for an answer, oldest first."""
        query = select(approvals).where(approvals.c.state == ApprovalState.PENDING)
        if account_id is not None:
            query = query.join(intents).where(intents.c.account_id == account_id)
        rows = await self._all(query.order_by(approvals.c.requested_at, approvals.c.intent_id))
        return tuple(Approval(**row) for row in rows)

    async def of_run(self, run_id: str) -> tuple[Approval, ...]:
        rows = await self._all(select(approvals).join(intents).where(intents.c.run_id == run_id))
        return tuple(Approval(**row) for row in rows)

    async def _known(self, intent_id: str) -> Approval:
        approval = await self.get(intent_id)
        if approval is None:
            raise ApprovalError(
                f"no approval was asked for intent {intent_id!r}",
                not_done="The answer was not taken",
                next_step="List the pending approvals",
            )
        return approval
