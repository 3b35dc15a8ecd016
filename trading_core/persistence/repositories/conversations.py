"""What users and the desk have said to each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Select, func, literal, select, tuple_, update

from trading_core.domain.errors import LedgerError
from trading_core.persistence.desk_records import Conversation, Message
from trading_core.persistence.desk_tables import conversations, messages
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.types import UtcTime


class ConversationsRepository(Repository):
    async def add(self, conversation: Conversation) -> None:
        """Write a new conversation.

        Raises:
            LedgerError: the id is taken, or there is no such account.
        """
        await self._write(conversations.insert(), columns(conversation))

    async def get(self, conversation_id: str) -> Conversation | None:
        row = await self._one(select(conversations).where(conversations.c.id == conversation_id))
        return None if row is None else Conversation(**row)

    async def page(
        self, owner: str, *, limit: int, before: tuple[datetime, str] | None = None, archived: bool = False
    ) -> tuple[Conversation, ...]:
        """An owner's conversations, the one in which something was said last first.

        Args:
            before: `updated_at` and `id` of the last one of the page before.
            archived: those that were archived, in place of those that were not.
        """
        kept = conversations.c.archived_at.is_not(None) if archived else conversations.c.archived_at.is_(None)
        query = select(conversations).where(conversations.c.owner == owner, kept)
        if before is not None:
            # Said twice: the first bound is what an index is searched by.
            query = query.where(
                conversations.c.updated_at <= before[0], tuple_(conversations.c.updated_at, conversations.c.id) < before
            )
        query = query.order_by(conversations.c.updated_at.desc(), conversations.c.id.desc()).limit(limit)
        return tuple(Conversation(**row) for row in await self._all(query))

    async def rename(self, conversation_id: str, title: str, at: datetime) -> Conversation:
        """Give a conversation another title.

        Raises:
            LedgerError: there is no such conversation.
        """
        return await self._change(conversation_id, title=title, updated_at=at)

    async def archive(self, conversation_id: str, at: datetime) -> Conversation:
        """Put a conversation away; again changes nothing.

        Raises:
            LedgerError: there is no such conversation.
        """
        return await self._change(conversation_id, archived_at=func.coalesce(conversations.c.archived_at, literal(at, UtcTime)))

    async def touch(self, conversation_id: str, at: datetime) -> Conversation:
        """Move a conversation to the front of its owner's list.

        Raises:
            LedgerError: there is no such conversation.
        """
        return await self._change(conversation_id, updated_at=at)

    async def say(self, message: Message) -> Message:
        """Write a message, and give it with its place in the conversation; the `sequence` it came with does not matter.

        What the same author, or the same agent, has already said in the same run stays, and is given instead.

        Raises:
            LedgerError: there is no such conversation.
        """
        # The conversation's row is locked: several agents of one turn may answer at once.
        there = select(conversations.c.id).where(conversations.c.id == message.conversation_id).with_for_update()
        if await self._one(there) is None:
            raise _unknown(message.conversation_id)
        said = messages.c.run_id == message.run_id, messages.c.author == message.author, messages.c.agent == message.agent
        of = messages.c.conversation_id == message.conversation_id
        if (row := await self._one(select(messages).where(of, *said))) is not None:
            return Message(**row)
        last = await self._connection.execute(select(func.coalesce(func.max(messages.c.sequence), 0)).where(of))
        message = replace(message, sequence=int(last.scalar_one()) + 1)
        await self._write(messages.insert(), columns(message))
        await self.touch(message.conversation_id, message.created_at)
        return message

    async def messages(self, conversation_id: str, *, after: int = 0, limit: int) -> tuple[Message, ...]:
        """What was said after the message with the sequence `after`, the first of it, oldest first."""
        query = select(messages).where(messages.c.conversation_id == conversation_id, messages.c.sequence > after)
        return await self._messages(query.order_by(messages.c.sequence).limit(limit))

    async def last_messages(self, conversation_id: str, limit: int) -> tuple[Message, ...]:
        """What was said last, oldest first."""
        query = select(messages).where(messages.c.conversation_id == conversation_id)
        newest_first = await self._messages(query.order_by(messages.c.sequence.desc()).limit(limit))
        return newest_first[::-1]

    async def _messages(self, query: Select[tuple[object, ...]]) -> tuple[Message, ...]:
        return tuple(Message(**row) for row in await self._all(query))

    async def _change(self, conversation_id: str, **values: object) -> Conversation:
        changing = update(conversations).where(conversations.c.id == conversation_id).values(**values)
        row = (await self._connection.execute(changing.returning(*conversations.c))).mappings().first()
        if row is None:
            raise _unknown(conversation_id)
        return Conversation(**row)


def _unknown(conversation_id: str) -> LedgerError:
    return LedgerError(
        f"conversation {conversation_id!r} is not on record",
        not_done="Nothing was written",
        next_step="List the conversations, or begin a new one",
    )
