"""What a person has stopped until it is resumed."""

from __future__ import annotations

from sqlalchemy import delete, select

from trading_core.persistence.desk_records import Pause, PauseKind
from trading_core.persistence.desk_tables import pauses
from trading_core.persistence.repositories.base import Repository, columns


class PausesRepository(Repository):
    async def put(self, pause: Pause) -> bool:
        """Write a pause. False when the same is paused already; who paused it first, and why, stays."""
        return await self._add(pauses, columns(pause), pauses.c.account_id, pauses.c.kind, pauses.c.subject)

    async def lift(self, account_id: str, kind: PauseKind, subject: str) -> Pause | None:
        """Take a pause away, and give it as it was. None when there is none; of several who lift it at once one gets it."""
        which = (pauses.c.account_id == account_id, pauses.c.kind == kind, pauses.c.subject == subject)
        row = (await self._connection.execute(delete(pauses).where(*which).returning(*pauses.c))).mappings().first()
        return None if row is None else Pause(**row)

    async def of_account(self, account_id: str) -> tuple[Pause, ...]:
        """By kind and subject."""
        query = select(pauses).where(pauses.c.account_id == account_id).order_by(pauses.c.kind, pauses.c.subject)
        return tuple(Pause(**row) for row in await self._all(query))
