"""Hands readings to whoever keeps them, and outlives their failures."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from trading_core.domain.market import Reading

BACKLOG = 20_000
"""Readings that wait at most: a day of some dozen sources whose store is gone."""

_BATCH = 500
_log = logging.getLogger(__name__)


class ReadingSink(Protocol):
    """Whoever keeps readings. `put` may be given a reading it has."""

    async def put(self, readings: Sequence[Reading]) -> object: ...


class Outbox:
    """The way from the hub to its sink, which may be slow or fail without holding up a source.

    What could not be put waits for the next readings and goes before them.

    Attributes:
        put: readings the sink took.
        failures: times it failed.
        lost: readings dropped, the oldest first, because too many waited.
        last_error: of the sink; empty when the last `put` went well.
    """

    def __init__(self, sink: ReadingSink, *, within: float = 30.0) -> None:
        self._sink = sink
        self._within = within
        self._waiting: deque[Reading] = deque()
        self._offered = asyncio.Event()
        self.put = 0
        self.failures = 0
        self.lost = 0
        self.last_error = ""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, readings: Sequence[Reading]) -> None:
        """Take them; they are put soon."""
        self._waiting.extend(readings)
        while len(self._waiting) > BACKLOG:
            self._waiting.popleft()
            self.lost += 1
        self._offered.set()

    async def run(self) -> None:
        """Put what is offered, until cancelled."""
        while True:
            await self._offered.wait()
            self._offered.clear()
            await self.flush()

    async def flush(self) -> None:
        """Put everything that waits, or up to the first failure."""
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
            lost = self.lost
            try:
                async with asyncio.timeout(self._within):
                    await self._sink.put(batch)
            except Exception as error:  # whatever a store raises, the sources go on
                self.failures += 1
                self.last_error = f"{type(error).__name__}: {error}"
                _log.warning("readings could not be kept; %d wait for the next time", len(self._waiting), exc_info=error)
                return
            self.put += len(batch)
            self.last_error = ""
            # Some of the batch may have been dropped from the front meanwhile.
            for _ in range(len(batch) - (self.lost - lost)):
                self._waiting.popleft()
