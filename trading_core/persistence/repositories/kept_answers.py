"""Answers to writes, kept under the keys their callers chose."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, select, update

from trading_core.domain.errors import LedgerError
from trading_core.persistence.desk_records import KeptAnswer
from trading_core.persistence.desk_tables import kept_answers
from trading_core.persistence.repositories.base import Repository, columns


class KeptAnswersRepository(Repository):
    async def begin(self, principal: str, key: str, request_hash: str, at: datetime) -> KeptAnswer | None:
        """Take a key. None when it was free, and is the caller's now; else what is there.

        Without a status, the first request is still at work.
        """
        answer = KeptAnswer(principal, key, request_hash, at)
        if await self._add(kept_answers, columns(answer), kept_answers.c.principal, kept_answers.c.key):
            return None
        row = await self._one(select(kept_answers).where(_under(principal, key)))
        if row is None:  # dropped between the two statements, which PostgreSQL allows
            return await self.begin(principal, key, request_hash, at)
        return KeptAnswer(**row)

    async def finish(self, principal: str, key: str, status: int, body: str) -> None:
        """Keep the answer.

        Raises:
            LedgerError: the key was not begun, or has its answer.
        """
        waiting = update(kept_answers).where(_under(principal, key), kept_answers.c.status.is_(None))
        if (await self._connection.execute(waiting.values(status=status, body=body))).rowcount != 1:
            raise LedgerError(
                f"no request waits for its answer under the key {key!r}",
                not_done="The answer was not kept",
                next_step="Begin with the key first",
            )

    async def drop(self, principal: str, key: str) -> None:
        """Free a key, whatever is under it."""
        await self._connection.execute(delete(kept_answers).where(_under(principal, key)))

    async def forget(self, before: datetime) -> int:
        """Free every key that was taken before an instant, and say how many."""
        return (await self._connection.execute(delete(kept_answers).where(kept_answers.c.created_at < before))).rowcount


def _under(principal: str, key: str) -> ColumnElement[bool]:
    return and_(kept_answers.c.principal == principal, kept_answers.c.key == key)
