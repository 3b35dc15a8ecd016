"""A generated market in real time: to practise on today, with no files and no network."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from data_channels.market.grid import back, ceil_to_grid, floor_to_grid
from data_channels.market.practice_path import Ticks, minutes_of, path_of
from data_channels.market.series import BarSeries, quote
from data_channels.market.synthetic import SyntheticFeed
from trading_core.domain.clock import Clock, utc
from trading_core.domain.errors import InvalidInput, UnknownSymbol, UnknownTimeframe
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe

FINEST = Timeframe("1m")

_ERA = datetime(2025, 3, 3, tzinfo=UTC)  # whose market it is, whenever it is practised on; any instant would do
_HELD = 2_000  # bars of each symbol before the present that stay in memory; older ones are generated again when asked for
_AHEAD = timedelta(days=1)  # how far beyond the present bars are generated at once; nobody reads them before their time
_LEAST_AHEAD = 16  # bars
_PATHS = 256  # of single bars that are kept, over all symbols
_MANY = 100  # bars whose minutes are made beside the event loop


class PracticeFeed:
    """A `MarketFeed` of generated prices that move with the clock; `generated` is True and the name says so.

    Its bars are those of a `SyntheticFeed`, laid so that the first cycle of the practice, at `anchor`, has `before` of them
    behind it. They close on the clock. Inside a bar the price moves every second within the bar's range, from its open to its
    close, and touches its high and low (`practice_path`). Everything depends on seed, symbol, timeframe and anchor alone: a
    process that starts later, and one that reads the past, find the same prices. Nothing is told before its time, whatever
    `as_of` says.

    Minute bars are told beside those of `timeframe`: the same prices, for an exchange that matches inside a bar.

    Args:
        seed: which of the markets to generate.
        symbols: pairs such as `BTC/USDT`.
        timeframe: length of a bar.
        anchor: when the practice began; kept by whoever began it.
        before: bars that close at or before the anchor.
        clock: tells the present.

    Raises:
        InvalidInput: no bar before the anchor, a malformed symbol or an instant without a time zone.
    """

    generated = True

    def __init__(
        self, seed: int, symbols: Sequence[str], timeframe: Timeframe, anchor: datetime, *, before: int, clock: Clock
    ) -> None:
        if before < 1:
            raise InvalidInput(f"a practice market with {before} bars before its start has no price", next_step="Ask for one")
        self.name = f"practice (generated, seed {seed})"
        self.timeframe = timeframe
        self._seed, self._symbols, self._clock = seed, tuple(dict.fromkeys(symbols)), clock
        self._first = floor_to_grid(anchor, timeframe) - before * timeframe.length
        self._era = ceil_to_grid(_ERA, timeframe) - before * timeframe.length
        self._making = asyncio.Lock()
        self._held: tuple[datetime, datetime, SyntheticFeed] | None = None
        self._paths: OrderedDict[tuple[str, datetime], Ticks] = OrderedDict()

    async def instruments(self) -> Mapping[str, Instrument]:
        """Every market of the feed, by symbol."""
        now = self._clock.now()
        series = {symbol: await self._reaching(symbol, now, now) for symbol in self._symbols}
        return {symbol: each.instrument for symbol, each in series.items()}

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest closed bars, oldest first.

        Raises:
            UnknownSymbol: the feed does not list it.
            UnknownTimeframe: the feed has no bars of that length.
            InvalidInput: for a limit below one or an instant without a time zone.
        """
        if limit < 1:
            raise InvalidInput(f"a limit of {limit} bars asks for nothing", next_step="Ask for at least one")
        end = floor_to_grid(min(utc(as_of), self._clock.now()), timeframe)
        return await self.bars_between(symbol, timeframe, start=back(end, timeframe, limit), end=end)

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`, oldest first; none that is still open by the clock.

        Raises:
            UnknownSymbol: the feed does not list it.
            UnknownTimeframe: the feed has no bars of that length.
            InvalidInput: for an instant without a time zone.
        """
        if timeframe not in (self.timeframe, FINEST):
            raise UnknownTimeframe(
                f"{self.name} has {self.timeframe} and {FINEST} bars, and {timeframe} was asked for",
                next_step=f"Ask for {self.timeframe}, or practise on {timeframe} bars",
            )
        start, end = max(utc(start), self._first), min(utc(end), self._clock.now())
        series = await self._reaching(symbol, start, end)
        if timeframe == self.timeframe:
            return series.between(start, end)
        # The bar in progress has minutes that are over.
        whole = series.between(start, floor_to_grid(end, self.timeframe) + self.timeframe.length)
        if len(whole) > _MANY:
            return await asyncio.to_thread(self._minutes, series, whole, start, end, keep=False)
        return self._minutes(series, whole, start, end)

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        """The prices of the second that `as_of` lies in, or of the present one when that is earlier; None before the first bar.

        Raises:
            UnknownSymbol: the feed does not list it.
            InvalidInput: for an instant without a time zone.
        """
        known = min(utc(as_of), self._clock.now())
        series = await self._reaching(symbol, known, known)
        opened_at = floor_to_grid(known, self.timeframe)
        if known <= self._first:
            return None
        if known == opened_at:  # the last price of the bar before: that of the new one is known strictly after its start
            return series.ticker(known)
        bar = self._at(series, opened_at)
        second = int((known - opened_at).total_seconds())
        price = int(self._path(series.instrument, bar)[second]) * series.instrument.tick_size
        return quote(series.instrument, price, opened_at + timedelta(seconds=second))

    async def close(self) -> None:
        """Nothing is held open."""

    async def _reaching(self, symbol: str, start: datetime, end: datetime) -> BarSeries:
        """A series that has every bar that closes after `start` or opens before `end`, as far as the market has them.

        Memory holds the newest bars and some that are to come; for older ones a series of their own is made.
        """
        if symbol not in self._symbols:
            raise UnknownSymbol(f"{self.name} does not list {symbol!r}", next_step=f"It lists {', '.join(self._symbols)}")
        length, now = self.timeframe.length, self._clock.now()
        async with self._making:
            if self._held is None or self._held[1] <= now + length:
                since = max(self._first, floor_to_grid(now, self.timeframe) - _HELD * length)
                until = floor_to_grid(now, self.timeframe) + max(_AHEAD, _LEAST_AHEAD * length)
                self._held = since, until, await asyncio.to_thread(self._made, self._symbols, since, until)
            since, _, feed = self._held
            wanted = max(self._first, floor_to_grid(start, self.timeframe) - length)
            if wanted < since:
                until = max(floor_to_grid(end, self.timeframe), wanted) + 2 * length
                feed = await asyncio.to_thread(self._made, (symbol,), wanted, until)
        return feed.series(symbol)

    def _made(self, symbols: Sequence[str], since: datetime, until: datetime) -> SyntheticFeed:
        return SyntheticFeed(self._seed, symbols, self.timeframe, self._first, until, era=self._era, held_from=since)

    def _at(self, series: BarSeries, opened_at: datetime) -> Bar:
        return series.bars[(opened_at - series.bars[0].opened_at) // self.timeframe.length]

    def _path(self, instrument: Instrument, bar: Bar, *, keep: bool = True) -> Ticks:
        """The seconds of a bar, kept while it is likely to be asked about again."""
        place = instrument.symbol, bar.opened_at
        if keep and (known := self._paths.get(place)) is not None:
            self._paths.move_to_end(place)
            return known
        length = self.timeframe.length
        key = f"{self._seed}|{self.timeframe}|{instrument.symbol}|{(bar.opened_at - self._first) // length}"
        path = path_of(key, bar, instrument, int(length.total_seconds()))
        if keep:
            self._paths[place] = path
            while len(self._paths) > _PATHS:
                self._paths.popitem(last=False)
        return path

    def _minutes(self, series: BarSeries, bars: Sequence[Bar], start: datetime, end: datetime, *, keep: bool = True) -> list[Bar]:
        """The minutes of these bars that closed in `(start, end]`."""
        every = (
            minute for bar in bars for minute in minutes_of(self._path(series.instrument, bar, keep=keep), bar, series.instrument)
        )
        return [minute for minute in every if start < minute.opened_at + FINEST.length <= end]
