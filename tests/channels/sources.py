"""Sources whose answers a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from data_channels.base import Kind, Pace
from trading_core.domain.market import Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
BTC = "BTC/USDT"
MINUTE = timedelta(minutes=1)
PACE = Pace(every=5 * MINUTE, stale_after=20 * MINUTE, per_minute=60, timeout=5.0)


def reading(
    value: Decimal | int | str = 1,
    *,
    at: datetime = START,
    published: datetime | None = None,
    source: str = "told",
    name: str = "price",
    unit: str = "USD",
    symbol: str = BTC,
) -> Reading:
    return Reading(source, symbol, name, Decimal(value), unit, at, published or at)


class Told:
    """Answers with what `says` gives for the instant: readings, or an exception to raise."""

    def __init__(
        self,
        says: Callable[[datetime], Sequence[Reading] | Exception] | None = None,
        *,
        name: str = "told",
        kind: Kind = Kind.AGGREGATE,
        pace: Pace = PACE,
        wants: str = "",
    ) -> None:
        self.name, self.kind, self.pace, self.wants = name, kind, pace, wants
        self.says = says or (lambda now: [reading(at=now, source=name)])
        self.asked: list[datetime] = []
        self.closed = 0

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        self.asked.append(now)
        await asyncio.sleep(0)
        answer = self.says(now)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed += 1
