"""A listener as a desk would be: it books what the stream tells, and reads where the stream says that it missed something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.acceptance.account import Account
from tests.waiting import until
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.domain.errors import BrokerUnavailable
from trading_core.domain.orders import Fill


@dataclass
class Following:
    """What a listener knows.

    Attributes:
        missed: every `Missed`, oldest first.
        fills: each trade once, however often and in whatever order it was told.
        orders: the furthest report of each order.
        first: what the stream said first.
    """

    account: Account
    missed: list[Missed] = field(default_factory=list)
    fills: dict[str, Fill] = field(default_factory=dict)
    orders: dict[str, OrderReport] = field(default_factory=dict)
    first: Update | None = None

    async def until(self, what: str, reached: Callable[[], bool]) -> None:
        """Wait for what the stream has to bring."""
        await until(reached, lambda: f"{what}: {self.missed}, {list(self.orders.values())}")

    async def filled(self, key: str, count: int) -> list[Fill]:
        """The fills of an order, once there are so many."""
        await self.until(f"{count} fills of {key!r}", lambda: len(self._of(key)) >= count)
        return self._of(key)

    def _of(self, key: str) -> list[Fill]:
        return [fill for fill in self.fills.values() if fill.client_order_id == key]

    async def take(self, update: Update) -> None:
        self.first = self.first or update
        if isinstance(update, Fill):
            self._book(update)
        elif isinstance(update, OrderReport):
            self._know(update)
            # Where executions are not told one by one, an order that has filled more says that there is one to read.
            if update.filled > sum(fill.quantity for fill in self._of(update.client_order_id)):
                await self._read()
        else:
            self.missed.append(update)
            await self._read()

    def _book(self, fill: Fill) -> None:
        known = self.fills.setdefault(fill.trade_id, fill)
        assert known == fill, f"one trade was told in two ways: {known} and {fill}"

    def _know(self, report: OrderReport) -> None:
        """An older report that comes later changes nothing: what has ended does not live again, what was filled stays so."""
        known = self.orders.get(report.client_order_id)
        if known is None or (not known.state.is_final and report.filled >= known.filled):
            self.orders[report.client_order_id] = report

    async def _read(self) -> None:
        # A venue that cannot be read says so again when the stream is open anew.
        with suppress(BrokerUnavailable):
            for fill in await self.account.fills():
                self._book(fill)
            live = {report.client_order_id: report for report in await self.account.broker.open_orders()}
            for key in {*self.orders, *live}:
                report = live.get(key) or await self.account.broker.order(key, self.account.symbol)
                if report is not None:
                    self._know(report)


@asynccontextmanager
async def following(account: Account) -> AsyncIterator[Following]:
    """A listener whose stream is open."""
    follower = Following(account)

    async def listen() -> None:
        async with aclosing(account.broker.updates()) as updates:
            async for update in updates:
                await follower.take(update)

    task = asyncio.create_task(listen())
    try:
        await follower.until("its first word", lambda: follower.first is not None or task.done())
        yield follower
        if task.done():
            task.result()
            raise AssertionError("the stream came to an end")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
