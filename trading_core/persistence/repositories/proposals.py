"""Orders that were suggested to somebody."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, tuple_, update

from trading_core.domain.errors import ApprovalError
from trading_core.persistence.desk_records import Proposal, ProposalState
from trading_core.persistence.desk_tables import proposals
from trading_core.persistence.repositories.base import Repository, columns

_OPEN = proposals.c.state == ProposalState.OPEN


class ProposalsRepository(Repository):
    async def add(self, proposal: Proposal) -> bool:
        """Write a proposal. False when the same one is on record: what became of it stays.

        Raises:
            ApprovalError: the id belongs to another order, or was suggested to somebody else.
        """
        if await self._add(proposals, columns(proposal), proposals.c.id):
            return True
        known = await self._known(proposal.id)
        if (known.content_hash, known.owner, known.account_id) != (proposal.content_hash, proposal.owner, proposal.account_id):
            raise ApprovalError(
                f"proposal {proposal.id!r} is on record with another content",
                not_done="No other was written",
                next_step="Give a new proposal a new id",
            )
        return False

    async def get(self, proposal_id: str) -> Proposal | None:
        row = await self._one(select(proposals).where(proposals.c.id == proposal_id))
        return None if row is None else Proposal(**row)

    async def decide(self, proposal_id: str, state: ProposalState, at: datetime, order_run_id: str | None = None) -> Proposal:
        """Answer an open proposal, once.

        Raises:
            ApprovalError: there is none, or it is no longer open. Of two answers at the same time the first stands.
        """
        answer = update(proposals).where(proposals.c.id == proposal_id, _OPEN)
        done = await self._connection.execute(answer.values(state=state, decided_at=at, order_run_id=order_run_id))
        known = await self._known(proposal_id)
        if done.rowcount != 1:
            raise ApprovalError(
                f"proposal {proposal_id!r} is already {known.state.value}",
                not_done="The answer was not taken",
                next_step="Ask for a new proposal if the order is still wanted",
            )
        return known

    async def of_conversation(self, conversation_id: str) -> tuple[Proposal, ...]:
        """Oldest first."""
        mine = select(proposals).where(proposals.c.conversation_id == conversation_id)
        return tuple(Proposal(**row) for row in await self._all(mine.order_by(proposals.c.created_at, proposals.c.id)))

    async def page(
        self,
        owner: str,
        *,
        limit: int,
        before: tuple[datetime, str] | None = None,
        states: Collection[ProposalState] = (),
    ) -> tuple[Proposal, ...]:
        """An owner's proposals, newest first.

        Args:
            before: `created_at` and `id` of the last one of the page before.
            states: only those in one of them; empty for all.
        """
        query = select(proposals).where(proposals.c.owner == owner)
        if before is not None:
            # Said twice: the first bound is what an index is searched by.
            query = query.where(proposals.c.created_at <= before[0], tuple_(proposals.c.created_at, proposals.c.id) < before)
        if states:
            query = query.where(proposals.c.state.in_(sorted(states)))
        query = query.order_by(proposals.c.created_at.desc(), proposals.c.id.desc()).limit(limit)
        return tuple(Proposal(**row) for row in await self._all(query))

    async def expire(self, now: datetime) -> tuple[Proposal, ...]:
        """Close the open proposals whose time is over, and give them, oldest first."""
        over = update(proposals).where(_OPEN, proposals.c.expires_at <= now)
        closing = over.values(state=ProposalState.EXPIRED, decided_at=now).returning(*proposals.c)
        closed = [Proposal(**row) for row in (await self._connection.execute(closing)).mappings()]
        return tuple(sorted(closed, key=lambda proposal: (proposal.created_at, proposal.id)))

    async def _known(self, proposal_id: str) -> Proposal:
        proposal = await self.get(proposal_id)
        if proposal is None:
            raise ApprovalError(
                f"proposal {proposal_id!r} is not on record",
                not_done="The answer was not taken",
                next_step="List the open proposals",
            )
        return proposal
