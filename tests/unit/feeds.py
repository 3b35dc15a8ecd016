"""A market feed over bars given in the test."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading_core.domain.errors import MarketDataUnavailable, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def bar(index: int, o: str, h: str, low: str, c: str, volume: str = "1000") -> Bar:
    """The hourly bar `index` hours after START."""
    return Bar(START + index * HOUR, Decimal(o), Decimal(h), Decimal(low), Decimal(c), Decimal(volume))


def flat(index: int, price: str = "100", volume: str = "1000") -> Bar:
    return bar(index, price, price, price, price, volume)


class BarFeed:
    """`MarketFeed` over lists of bars of one timeframe; `half_spread` is a fraction of the price. `broken` makes reads fail."""

    name = "bars of the test"
    generated = True

    def __init__(
        self,
        instruments: Sequence[Instrument],
        bars: Mapping[str, Sequence[Bar]],
        *,
        timeframe: Timeframe | None = None,
        half_spread: str = "0",
    ) -> None:
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._bars = bars
        self._length = (timeframe or Timeframe("1h")).length
        self._closes = {symbol: [b.opened_at + self._length for b in series] for symbol, series in bars.items()}
        self._half_spread = Decimal(half_spread)
        self.broken = False

    async def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        known = bisect_right(self._of(symbol), as_of)
        return self._bars[symbol][max(0, known - limit) : known]

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        closes = self._of(symbol)
        return self._bars[symbol][bisect_right(closes, start) : bisect_right(closes, end)]

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        closes, bars = self._of(symbol), self._bars[symbol]
        known = bisect_right(closes, as_of)
        if known < len(bars) and bars[known].opened_at < as_of:
            last, at = bars[known].open, bars[known].opened_at
        elif known:
            # The last instant at which it was true, so that it is older than a missing bar that follows.
            last, at = bars[known - 1].close, closes[known - 1] - timedelta(microseconds=1)
        else:
            return None
        return Ticker(symbol, last * (1 - self._half_spread), last * (1 + self._half_spread), last, at)

    async def close(self) -> None: ...

    def _of(self, symbol: str) -> list[datetime]:
        if self.broken:
            raise MarketDataUnavailable("the feed is down")
        if symbol not in self._closes:
            raise UnknownSymbol(f"{symbol!r} is not listed")
        return self._closes[symbol]
