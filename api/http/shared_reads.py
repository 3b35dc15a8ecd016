"""One reading for all who ask for the same thing at the same time.

Whoever asks gets what was read after asking, never anything older: a request joins the next reading of its kind, and not the one
that is under way. So a screen that a thousand people look at costs about as much as one that ten look at, and nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic import BaseModel

Read = TypeVar("Read")


@dataclass(slots=True)
class _Next:
    """A reading that has not begun, and how many wait for it."""

    task: asyncio.Task[Any]
    waiting: int = 0


class SharedReads:
    """The readings of one process."""

    def __init__(self) -> None:
        self._next: dict[Hashable, _Next] = {}
        self._at_work: dict[Hashable, asyncio.Task[Any]] = {}

    async def once(self, key: Hashable, read: Callable[[], Awaitable[Read]]) -> Read:
        """What `read` gives, called once for all who wait for the same key.

        Who may read it is for the caller to see to before.

        Args:
            key: of everything that the reading depends on but the state of the desk.
        """
        coming = self._next.get(key)
        if coming is None:
            coming = self._next[key] = _Next(asyncio.create_task(self._begin(key, read), name="shared reading"))
        coming.waiting += 1
        try:
            found: Read = await asyncio.shield(coming.task)
        finally:
            coming.waiting -= 1
            if not coming.waiting and not coming.task.done():
                coming.task.cancel()  # everybody has left
                if self._next.get(key) is coming:
                    del self._next[key]
        return found

    async def _begin(self, key: Hashable, read: Callable[[], Awaitable[Read]]) -> Read:
        if (before := self._at_work.get(key)) is not None:
            await asyncio.wait([before])
        # From here on, whoever asks comes too late for this one.
        self._next.pop(key, None)
        self._at_work[key] = task = cast("asyncio.Task[Any]", asyncio.current_task())
        try:
            return await read()
        finally:
            if self._at_work.get(key) is task:
                del self._at_work[key]


def encode(answer: BaseModel) -> bytes:
    """An answer as JSON, as the framework would write it."""
    return answer.__pydantic_serializer__.to_json(answer, by_alias=True)
