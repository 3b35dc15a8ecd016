"""Answers of models, kept to be used again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from trading_core.persistence.records import AnswerRecord
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import answers


class AnswersRepository(Repository):
    async def get(self, key: str) -> AnswerRecord | None:
        row = await self._one(select(answers).where(answers.c.key == key))
        return None if row is None else AnswerRecord(**row)

    async def prune(self, beginning: str, before: datetime) -> int:
        """Forget the answers under keys with this beginning that were given before an instant; how many those were."""
        old = answers.c.key.startswith(beginning, autoescape=True) & (answers.c.created_at < before)
        return (await self._connection.execute(delete(answers).where(old))).rowcount

    async def put(self, record: AnswerRecord) -> bool:
        """Keep an answer; the first under a key stays. True when this one was new."""
        return await self._add(answers, columns(record), answers.c.key)
