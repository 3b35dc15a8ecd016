"""A venue that says what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.domain.orders import Fill


@dataclass
class ToldVenue:
    """The reading half of a `Broker` that says what the test tells it to."""

    told: list[Fill] = field(default_factory=list)
    reports: dict[str, OrderReport] = field(default_factory=dict)
    asked_since: list[datetime] = field(default_factory=list)
    streamed: asyncio.Queue[Update] = field(default_factory=asyncio.Queue)

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        self.asked_since.append(since)
        return [fill for fill in self.told if fill.at >= since]

    async def open_orders(self) -> Sequence[OrderReport]:
        return [report for report in self.reports.values() if not report.state.is_final]

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        return self.reports.get(client_order_id)

    async def updates(self) -> AsyncIterator[Update]:
        yield Missed()
        while True:
            yield await self.streamed.get()
