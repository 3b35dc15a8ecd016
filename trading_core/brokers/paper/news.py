"""Telling whoever listens what the paper exchange did. Nobody who listens can hold it up, or make it fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from trading_core.brokers.base import Missed, Update

_KEPT = 1000  # updates that wait for one listener; one who is further behind has to read


class PaperNews:
    """The streams of one paper account. Each `listen` gets what is told from then on."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Queue[Update]] = []

    def tell(self, updates: Iterable[Update]) -> None:
        """Hand updates to every listener, at once."""
        if not self._waiting:
            return
        told = list(updates)
        for queue in self._waiting:
            if queue.qsize() + len(told) > _KEPT:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(Missed("more happened than was listened to"))
            else:
                for update in told:
                    queue.put_nowait(update)

    async def listen(self) -> AsyncIterator[Update]:
        """Updates, for ever; `Missed` first."""
        queue: asyncio.Queue[Update] = asyncio.Queue()
        self._waiting.append(queue)
        try:
            yield Missed()
            while True:
                yield await queue.get()
        finally:
            self._waiting.remove(queue)
