"""What a person was asked, and what the person answered."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import RowMapping, and_, or_, select, update

from trading_core.domain.errors import ApprovalError
from trading_core.domain.intents import Approval, ApprovalState, TradeIntent
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import approvals, intents

# Labelled, since columns of the two tables share names.
_ASKED = [column.label(f"asked_{column.name}") for column in approvals.c]
_WITH_INTENT = select(intents, *_ASKED).join(approvals, approvals.c.intent_id == intents.c.intent_id)


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

    async def page(
        self,
        accounts: Collection[str],
        *,
        limit: int,
        before: tuple[bool, datetime, str] | None = None,
        states: Collection[ApprovalState] = (),
    ) -> tuple[tuple[Approval, TradeIntent], ...]:
        """What was asked on these accounts, with what is to be approved: what waits first, each part newest first.

        Args:
            before: of the last one of the page before: whether it was answered, `requested_at` and `intent_id`.
            states: only those in one of them; empty for all.
        """
        found: list[tuple[Approval, TradeIntent]] = []
        pending = approvals.c.state == ApprovalState.PENDING
        for answered in (False, True):
            if len(found) == limit or (before is not None and before[0] and not answered):
                continue
            query = _WITH_INTENT.where(intents.c.account_id.in_(sorted(accounts)), ~pending if answered else pending)
            if states:
                query = query.where(approvals.c.state.in_(sorted(states)))
            if before is not None and before[0] is answered:
                at, last = before[1:]
                older = or_(approvals.c.requested_at < at, and_(approvals.c.requested_at == at, approvals.c.intent_id < last))
                query = query.where(older)
            newest_first = (approvals.c.requested_at.desc(), approvals.c.intent_id.desc())
            found += map(_pair, await self._all(query.order_by(*newest_first).limit(limit - len(found))))
        return tuple(found)

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


def _pair(row: RowMapping) -> tuple[Approval, TradeIntent]:
    asked = {column.name: row[f"asked_{column.name}"] for column in approvals.c}
    own = {column.name: row[column.name] for column in intents.c if column is not intents.c.content_hash}
    return Approval(**asked), TradeIntent(**own)
