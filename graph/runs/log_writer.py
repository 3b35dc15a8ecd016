"""Writing down what is told, in the order it was told, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trading_core.domain.errors import AlgoTrendyError, StoreUnavailable
from trading_core.persistence.desk_records import NewEvent, StoredEvent
from trading_core.persistence.session import Database

_MOST_AT_ONCE = 200
_AGAIN_AFTER = 0.5  # seconds before the ledger is tried again
_LAST_WRITE = 5.0  # seconds that what is left is given when the log is closed
_log = logging.getLogger("algotrendy.event_log")


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is not on record yet. `kept` is answered when it is."""

    event: NewEvent
    kept: asyncio.Future[StoredEvent] | None = None


class LogWriter:
    """One queue, and the one task that empties it."""

    def __init__(self, database: Database, written: Callable[[], None]) -> None:
        self._database, self._written = database, written
        self._queue: asyncio.Queue[Told | asyncio.Future[None]] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._some = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()

    def put(self, told: Told) -> None:
        self._queue.put_nowait(told)
        self._some.set()

    async def flush(self) -> None:
        """Wait until all that was told so far is on record."""
        mark: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(mark)
        await self._empty()
        await mark

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Write as it is told, until the block ends; what is left then is written first."""
        task = asyncio.create_task(self._run(), name="event log writer")
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(_LAST_WRITE):
                    await self.flush()
            except TimeoutError:
                _log.error("%d events were not kept: the ledger could not be written", self._queue.qsize())
            tasks = [task, *self._at_work]
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            await self._empty()

    async def _empty(self) -> None:
        # In a task of its own: whoever waits may be cancelled, and what it took out of the queue must be kept all the same.
        task = asyncio.create_task(self._write_all(), name="event log batches")
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        await asyncio.shield(task)

    async def _write_all(self) -> None:
        # Whoever waits for it writes along, so that nobody depends on the task. Nothing is taken out but under the lock.
        async with self._writing:
            while batch := self._next(_MOST_AT_ONCE):
                await self._write(batch)

    def _next(self, most: int) -> list[Told | asyncio.Future[None]]:
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    async def _write(self, batch: Sequence[Told | asyncio.Future[None]]) -> None:
        told = [one for one in batch if isinstance(one, Told)]
        kept: Sequence[StoredEvent] = ()
        while told:
            try:
                async with self._database.transaction() as uow:
                    if not await uow.events.holds(kept):  # the answer to its commit may have been lost
                        kept = await uow.events.append_many([one.event for one in told])
            except StoreUnavailable as error:
                _log.warning("events wait to be kept: %s", error)
                await asyncio.sleep(_AGAIN_AFTER)
            except Exception as error:  # whatever it is: what was told behind it must not wait for ever
                if len(told) == 1:
                    _refuse(told[0], error)
                else:  # one of them cannot be kept; the others can
                    for one in told:
                        await self._write([one])
                break
            else:
                for one, event in zip(told, kept, strict=True):
                    if one.kept is not None and not one.kept.done():
                        one.kept.set_result(event)
                self._written()
                break
        for mark in batch:
            if not isinstance(mark, Told) and not mark.done():
                mark.set_result(None)


def _refuse(told: Told, error: Exception) -> None:
    unexpected = None if isinstance(error, AlgoTrendyError) else error
    _log.error("the event %s of run %r was not kept: %s", told.event.kind, told.event.run_id, error, exc_info=unexpected)
    if told.kept is not None and not told.kept.done():
        told.kept.set_exception(error)
