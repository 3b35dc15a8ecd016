"""Following the event log to count it: the events of the accounts whose desks this process has, from when it began to watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from api.observability.ledger_metrics import Counted
from api.observability.run_metrics import RunMetrics, is_end
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.orders import OrderState
from trading_core.execution.quality import measure

if TYPE_CHECKING:
    from graph.runs.desks import Desks
    from graph.runs.event_log import EventLog
    from trading_core.persistence.desk_records import StoredEvent
    from trading_core.persistence.session import Database

LOOK_SECONDS = 0.5  # how often is looked whether this process has taken up another account, or lost one
_AGAIN_SECONDS = 5.0  # after the log could not be read
_MOST_FILLED = 1_000  # orders that are remembered as counted; one fills within moments, and is not told of for long after

_log = logging.getLogger("algotrendy.metrics")


@asynccontextmanager
async def following_log(
    metrics: RunMetrics, *, database: Database, log: EventLog, desks: Desks
) -> AsyncIterator[Callable[[], Counted | None]]:
    """Count events until the block ends; gives how far that has come, None while this process has no desk."""
    follower = _Follower(metrics, database, log, desks)
    await follower.begin()
    task = asyncio.create_task(follower.run(), name="metrics: event log")
    try:
        yield follower.counted
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Follower:
    def __init__(self, metrics: RunMetrics, database: Database, log: EventLog, desks: Desks) -> None:
        self._metrics, self._database, self._log, self._desks = metrics, database, log, desks
        self._filled: dict[str, None] = {}
        self.position: int | None = None

    def counted(self) -> Counted | None:
        accounts = self._desks.accounts
        return Counted(accounts, self.position) if accounts and self.position is not None else None

    async def begin(self) -> None:
        """Count from now on."""
        async with self._database.reading() as uow:
            self.position = await uow.events.last_position()

    async def run(self) -> None:
        """Follow whatever accounts are here. Counting never ends because something could not be counted."""
        while True:
            try:
                await self._follow()
            except AlgoTrendyError as error:
                _log.warning("the event log could not be followed for metrics: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
            except Exception:
                _log.exception("the event log could not be followed for metrics")
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self) -> None:
        accounts = self._desks.accounts
        if not accounts:
            await asyncio.sleep(LOOK_SECONDS)
            self.position = None  # what comes before there is a desk is another process's to count
            return
        if self.position is None:
            await self.begin()
        after = self.position or 0
        following = asyncio.create_task(self._count(accounts, after), name="metrics: counting")
        try:
            while not following.done() and self._desks.accounts == accounts:
                await asyncio.wait([following], timeout=LOOK_SECONDS)
            if following.done():
                await following
                await asyncio.sleep(LOOK_SECONDS)  # the log was closed: the process ends
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):  # `run` was told of it
                await following

    async def _count(self, accounts: tuple[str, ...], after: int) -> None:
        async with aclosing(self._log.follow(accounts, after)) as events:
            async for event in events:
                try:  # what can fail comes first: an event that is read again is not counted again
                    if is_end(event):
                        await self._ended(event)
                    elif event.kind == "fill_booked":
                        await self._fill(event)
                    self._metrics.count(event)
                except AlgoTrendyError:
                    raise  # the ledger is away: this event comes again
                except Exception:
                    _log.exception("event %d could not be counted", event.position)
                self.position = event.position

    async def _ended(self, event: StoredEvent) -> None:
        async with self._database.reading() as uow:
            record = await uow.runs.get(event.run_id)
        if record is not None:
            self._metrics.ended(record)

    async def _fill(self, event: StoredEvent) -> None:
        """Of an order that is filled, what it lost, once: its last fills are often told together."""
        fill = event.data.get("fill")
        order_id = fill.get("client_order_id") if isinstance(fill, dict) else None
        if not isinstance(order_id, str) or order_id in self._filled:
            return
        async with self._database.reading() as uow:
            order, fills = await uow.orders.get(order_id), await uow.fills.of_order(order_id)
        if order is not None and order.state is OrderState.FILLED:
            self._metrics.filled(measure(order, fills))
            self._filled[order_id] = None
            if len(self._filled) > _MOST_FILLED:
                del self._filled[next(iter(self._filled))]
