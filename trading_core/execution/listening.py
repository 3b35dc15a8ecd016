"""Keeping the ledger beside the venue by what it tells as it happens. What it does not tell whole is read, and polling stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from trading_core.brokers.base import Broker, Missed, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError, BrokerUnavailable, FillConflict, LedgerError
from trading_core.domain.orders import Fill

T = TypeVar("T")
GAP_SECONDS = 1.0  # between two readings that a stream asks for: a burst of reasons is one reading


class Listening(Generic[T]):
    """One account's stream, listened to.

    Args:
        clock: to wait on between two readings.
        hear: books what was told. It gives what that brought, if anything, and whether the venue is to be read.
        read: reads the venue and books what is there.
        distrust: told what the ledger could not hold: nothing may be entered on such a record.
    """

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        *,
        hear: Callable[[Sequence[Fill | OrderReport]], Awaitable[tuple[T | None, bool]]],
        read: Callable[[], Awaitable[T]],
        distrust: Callable[[LedgerError], None],
    ) -> None:
        self._broker, self._clock = broker, clock
        self._hear, self._read, self._distrust = hear, read, distrust
        self._told: list[Fill | OrderReport] = []
        self._is_told, self._is_wanted = asyncio.Event(), asyncio.Event()
        self._booking, self._reading = asyncio.Lock(), asyncio.Lock()
        self._brought: asyncio.Queue[T | AlgoTrendyError | None] = asyncio.Queue()

    async def brought(self) -> AsyncGenerator[T | AlgoTrendyError, None]:
        """What each update and each reading brought, or what went wrong with it.

        Raises:
            BrokerUnavailable: the venue does not stream to this account.
        """
        tasks = [asyncio.create_task(work) for work in (self._listen(), self._book(), self._catch_up())]
        for task in tasks:
            task.add_done_callback(lambda _: self._brought.put_nowait(None))
        try:
            while (item := await self._brought.get()) is not None:
                yield item
            async with self._booking, self._reading:
                pass  # what is under way will be booked, and so it is told
            while not self._brought.empty():
                if (item := self._brought.get_nowait()) is not None:
                    yield item
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for update in self._broker.updates():
            if isinstance(update, Missed):
                self._is_wanted.set()
                if update.why:
                    self._brought.put_nowait(BrokerUnavailable(update.why, not_done="What happens meanwhile is read"))
            else:
                self._told.append(update)
                self._is_told.set()

    async def _book(self) -> None:
        while True:
            await self._is_told.wait()
            self._is_told.clear()
            told, self._told = self._told, []
            try:
                async with self._booking:
                    brought, is_behind = await self._hear(told)
                    if brought is not None:
                        self._brought.put_nowait(brought)
            except AlgoTrendyError as error:
                # Out of order, a sale may come before what it sells was bought: what is read decides. Two tales of one trade are
                # no matter of order.
                if isinstance(error, FillConflict):
                    self._distrust(error)
                self._brought.put_nowait(error)
                self._is_wanted.set()
                continue
            if is_behind:
                self._is_wanted.set()

    async def _catch_up(self) -> None:
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            try:
                async with self._reading:
                    self._brought.put_nowait(await self._read())
            except AlgoTrendyError as error:
                if isinstance(error, LedgerError):
                    self._distrust(error)
                self._brought.put_nowait(error)
            await self._clock.sleep(GAP_SECONDS)
