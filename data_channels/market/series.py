"""Bars held in memory and read by instant: what the synthetic and the history feed have in common."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput, UnknownSymbol, UnknownTimeframe
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe

SPREAD = Decimal("0.0002")
"""Distance of ask from bid as a fraction of the last price: 2 basis points, an assumption. Bars carry no book."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bars that a series does not have.

    Attributes:
        start: when the first missing bar would have opened.
        end: when the next bar that is there opens.
        missing: how many are not there.
    """

    start: datetime
    end: datetime
    missing: int


class BarSeries:
    """The bars of one symbol, oldest first, and what was known of them at an instant.

    Args:
        instrument: the market, with its filters.
        timeframe: length of every bar.
        bars: at least one, strictly ascending, each starting on the grid; gaps are allowed.

    Raises:
        InvalidInput: for no bars at all.
    """

    def __init__(self, instrument: Instrument, timeframe: Timeframe, bars: Sequence[Bar]) -> None:
        if not bars:
            raise InvalidInput(f"there is not one bar of {instrument.symbol}")
        self.instrument = instrument
        self.timeframe = timeframe
        self.bars = bars
        self._closes = [bar.opened_at + timeframe.length for bar in bars]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """When the first bar opens and when the last one closes."""
        return self.bars[0].opened_at, self._closes[-1]

    def closed(self, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest bars closed at `as_of`."""
        known = bisect_right(self._closes, as_of)
        return self.bars[max(0, known - limit) : known]

    def between(self, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`."""
        return self.bars[bisect_right(self._closes, start) : bisect_right(self._closes, end)]

    def ticker(self, as_of: datetime) -> Ticker | None:
        """The last price known at `as_of`: the open of the bar in progress, or else the last close.

        `at` is when that price was true, so that a price from before a gap shows its age. Bid and ask lie half of `SPREAD` to
        either side, rounded outwards to the tick; for a price below one tick the bid is zero, which is no price to trade at.
        """
        known = bisect_right(self._closes, as_of)
        if known < len(self.bars) and self.bars[known].opened_at < as_of:
            last, at = self.bars[known].open, self.bars[known].opened_at
        elif known:
            # The last trade of a bar lies before its end: stamped at the end itself, it would look like one of the next bar,
            # and a gap that begins there would not be seen.
            last, at = self.bars[known - 1].close, self._closes[known - 1] - timedelta(microseconds=1)
        else:
            return None
        return quote(self.instrument, last, at)

    def gaps(self) -> list[Gap]:
        """Every run of missing bars between the first and the last one, oldest first."""
        found: list[Gap] = []
        for closed_at, following in zip(self._closes, self.bars[1:], strict=False):
            if following.opened_at > closed_at:
                missing = (following.opened_at - closed_at) // self.timeframe.length
                found.append(Gap(closed_at, following.opened_at, missing))
        return found


def quote(instrument: Instrument, last: Decimal, at: datetime) -> Ticker:
    """The ticker around a last price: half of `SPREAD` to either side, rounded outwards to the tick."""
    half = last * SPREAD / 2
    return Ticker(
        symbol=instrument.symbol,
        bid=instrument.floor_price(last - half),
        ask=instrument.ceil_price(last + half),
        last=last,
        at=at,
    )


class SeriesFeed:
    """A `MarketFeed` over series held in memory, all of one timeframe."""

    def __init__(self, name: str, timeframe: Timeframe, series: Mapping[str, BarSeries], *, generated: bool) -> None:
        self.name = name
        self.generated = generated
        self.timeframe = timeframe
        self._series = dict(series)

    async def instruments(self) -> Mapping[str, Instrument]:
        """Every market of the feed, by symbol."""
        return {symbol: series.instrument for symbol, series in self._series.items()}

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest closed bars, oldest first; gaps stay gaps.

        Raises:
            UnknownSymbol: the feed does not list it.
            UnknownTimeframe: the feed has another timeframe.
            InvalidInput: for a limit below one or an instant without a time zone.
        """
        if limit < 1:
            raise InvalidInput(f"a limit of {limit} bars asks for nothing", next_step="Ask for at least one")
        return self._of(symbol, timeframe).closed(utc(as_of), limit)

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        """The last prices known at `as_of`; None before the first bar.

        Raises:
            UnknownSymbol: the feed does not list it.
            InvalidInput: for an instant without a time zone.
        """
        return self._of(symbol, self.timeframe).ticker(utc(as_of))

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`, oldest first.

        Raises:
            UnknownSymbol: the feed does not list it.
            UnknownTimeframe: the feed has another timeframe.
            InvalidInput: for an instant without a time zone.
        """
        return self._of(symbol, timeframe).between(utc(start), utc(end))

    async def close(self) -> None:
        """Nothing is held open."""

    def series(self, symbol: str) -> BarSeries:
        """All that is held of a market, whatever was known when.

        Raises:
            UnknownSymbol: the feed does not list it.
        """
        return self._of(symbol, self.timeframe)

    def span(self, symbol: str) -> tuple[datetime, datetime]:
        """When the first bar of `symbol` opens and when its last one closes.

        Raises:
            UnknownSymbol: the feed does not list it.
        """
        return self._of(symbol, self.timeframe).span

    def gaps(self, symbol: str) -> list[Gap]:
        """Every run of missing bars of `symbol`, oldest first.

        Raises:
            UnknownSymbol: the feed does not list it.
        """
        return self._of(symbol, self.timeframe).gaps()

    def _of(self, symbol: str, timeframe: Timeframe) -> BarSeries:
        series = self._series.get(symbol)
        if series is None:
            raise UnknownSymbol(
                f"{self.name} does not list {symbol!r}",
                next_step=f"It lists {', '.join(sorted(self._series))}",
            )
        if timeframe != self.timeframe:
            raise UnknownTimeframe(
                f"{self.name} has {self.timeframe} bars of {symbol}, and {timeframe} was asked for",
                next_step=f"Ask for {self.timeframe}, or open the feed with {timeframe}",
            )
        return series
