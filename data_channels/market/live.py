"""Any venue's public market data, through ccxt. No key is used and nothing is ever written to the venue."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from data_channels.market.grid import back
from data_channels.market.venue_client import Exchange, Throttling, open_exchange, translated
from data_channels.market.venue_markets import exact, instrument_of
from trading_core.domain.clock import Clock, from_ms, to_ms, utc
from trading_core.domain.errors import InvalidInput, MarketDataUnavailable, UnknownSymbol, UnknownTimeframe
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe

_PAGE = 300  # bars asked for at once: every one of the supported venues gives so many
_EMPTY_PAGE = 100  # bars skipped after an empty answer: the least any of them covers with one
_PRESENT = timedelta(seconds=60)
"""How far `as_of` may lie behind the clock for a live ticker: a run fixes its instant and then gathers its facts."""


class LiveFeed:
    """A `MarketFeed` of one venue's spot markets as they are now.

    Args:
        venue_id: ccxt's name of the venue: `binance`, `bybit`, `okx`, `coinbase`, `kraken`, `cryptocom` or any other.
        symbols: the markets to list.
        clock: tells how far a question lies in the past. A venue gives only its present ticker.
        base_url: another host that speaks the venue's REST API (a mirror, a proxy, a test server); paths stay the same.
        sandbox: the venue's test network, whose prices are its own.
        throttle: waits for a turn of so much weight, instead of ccxt's own throttle: whoever else asks the venue shares it.
        exchange: a client of the venue to share, opened with the same settings, instead of one of its own.

    Raises:
        ConfigurationError: ccxt knows no such venue, or it has no sandbox.
    """

    generated = False

    def __init__(
        self,
        venue_id: str,
        symbols: Sequence[str],
        *,
        clock: Clock,
        base_url: str | None = None,
        sandbox: bool = False,
        throttle: Throttling | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self.name = f"{venue_id} ({'sandbox' if sandbox else 'live'})"
        self._venue = venue_id
        self._symbols = tuple(dict.fromkeys(symbols))
        self._clock = clock
        self._loading = asyncio.Lock()
        self._exchange = exchange or open_exchange(venue_id, base_url, sandbox=sandbox, throttle=throttle)

    async def instruments(self) -> Mapping[str, Instrument]:
        """The listed markets with the venue's filters.

        Raises:
            UnknownSymbol: the venue has no such spot market.
            MarketDataUnavailable: the venue is out of reach, or its description of a market cannot be used.
        """
        await self.load()
        mode = self._exchange.precisionMode
        return {symbol: instrument_of(self._venue, self._market(symbol), mode) for symbol in self._symbols}

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest bars closed at `as_of`, oldest first; gaps stay gaps, and use up the limit.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            UnknownTimeframe: the venue has no such timeframe.
            MarketDataUnavailable: the venue is out of reach, gives not one bar, or answers with bars that cannot be.
            InvalidInput: for a limit below one or an instant without a time zone.
        """
        if limit < 1:
            raise InvalidInput(f"a limit of {limit} bars asks for nothing", next_step="Ask for at least one")
        end = utc(as_of)
        bars = await self.bars_between(symbol, timeframe, start=back(end, timeframe, limit + 1), end=end)
        if not bars:
            raise MarketDataUnavailable(
                f"{self._venue} has not one of the last {limit} {timeframe} bars of {symbol} before {end:%Y-%m-%d %H:%M}Z",
                next_step="Ask for a time at which the market was open, or try again",
            )
        return bars[-limit:]

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`, oldest first; none that is still open by the clock.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            UnknownTimeframe: the venue has no such timeframe.
            MarketDataUnavailable: the venue is out of reach, or answers with bars that cannot be.
            InvalidInput: for an instant without a time zone.
        """
        await self._listed(symbol)
        if timeframe.code not in self._exchange.timeframes:
            offered = ", ".join(self._exchange.timeframes)
            raise UnknownTimeframe(f"{self._venue} has no {timeframe} bars", next_step=f"Use one of {offered}")
        start, end = utc(start), min(utc(end), self._clock.now())
        bars = await self._fetch_bars(symbol, timeframe, start - timeframe.length, end)
        return [bar for bar in bars if start < bar.opened_at + timeframe.length <= end]

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker:
        """The venue's present ticker.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            MarketDataUnavailable: the venue is out of reach, a price is missing or zero, the book is crossed, or `as_of` lies so
                far back that the present price was not known then.
            InvalidInput: for an instant without a time zone.
        """
        asked_at = self._clock.now()
        if asked_at - utc(as_of) > _PRESENT:
            raise MarketDataUnavailable(
                f"a live feed knows the price of {symbol} at {asked_at:%Y-%m-%d %H:%M:%S}Z, and not at {as_of}",
                next_step="Ask for the present, or read the past from bars",
            )
        await self._listed(symbol)
        with translated(self._venue, f"the ticker of {symbol}"):
            answer = await self._exchange.fetch_ticker(symbol)
            bid, ask, last = (exact(answer.get(name)) for name in ("bid", "ask", "last"))
            stamp = exact(answer.get("timestamp"))
        if not bid or not ask or not last or min(bid, ask, last) <= 0 or bid > ask:
            raise MarketDataUnavailable(
                f"{self._venue} gives {symbol} a bid of {bid}, an ask of {ask} and a last price of {last}: no price to trade on",
                not_done="The ticker was not used",
                next_step="Try again, and look at the venue's status page if it lasts",
            )
        # Some venues (Kraken) stamp nothing: the price is then at least as old as the question.
        return Ticker(symbol=symbol, bid=bid, ask=ask, last=last, at=from_ms(int(stamp)) if stamp else asked_at)

    async def load(self) -> None:
        """Read what the venue lists, once.

        Raises:
            MarketDataUnavailable: the venue is out of reach.
        """
        # ccxt shares one task between everybody who waits: without the lock, one cancelled reader would cancel them all.
        async with self._loading:
            with translated(self._venue, "its markets"):
                await self._exchange.load_markets()

    async def close(self) -> None:
        """Close the connections to the venue."""
        await self._exchange.close()

    async def _fetch_bars(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar]:
        """Bars opened from `start` on and closed by `end`, page by page: venues cap an answer, and cut its newest end off."""
        step = timeframe.length // timedelta(milliseconds=1)
        cursor, stop = to_ms(start), to_ms(end)
        bars: dict[int, Bar] = {}
        while cursor + step <= stop:
            wanted = min(_PAGE, (stop - cursor) // step + 1)
            with translated(self._venue, f"{timeframe} bars of {symbol}"):
                rows = await self._exchange.fetch_ohlcv(symbol, timeframe.code, cursor, wanted)
                page = {bar.opened_at: bar for bar in map(_bar, rows)}
            fresh = {to_ms(at): bar for at, bar in page.items() if to_ms(at) >= cursor}
            if bars and not fresh and stop - cursor >= _EMPTY_PAGE * step:
                # Nothing before a listing and a few quiet minutes are honest; so long a silence is an answer that failed.
                raise MarketDataUnavailable(
                    f"{self._venue} gives no {timeframe} bars of {symbol} from {from_ms(cursor):%Y-%m-%d %H:%M}Z on",
                    not_done="No bars were taken over, as the newest would be missing",
                    next_step="Try again",
                )
            bars |= fresh
            cursor = max(fresh) + step if fresh else cursor + _EMPTY_PAGE * step
        for bar in bars.values():
            offence = bar.inconsistency()
            if offence:
                raise MarketDataUnavailable(
                    f"{self._venue} gives a {timeframe} bar of {symbol} at {bar.opened_at} that cannot be: {offence}",
                    not_done="No bars were taken over",
                    next_step="Try again, or use another venue",
                )
        return [bars[at] for at in sorted(bars)]

    async def _listed(self, symbol: str) -> None:
        if symbol not in self._symbols:
            raise UnknownSymbol(f"{self.name} does not list {symbol!r}", next_step=f"It lists {', '.join(self._symbols)}")
        await self.load()
        self._market(symbol)

    def _market(self, symbol: str) -> Mapping[str, object]:
        market = self._exchange.markets.get(symbol)
        if market is None or not market.get("spot"):
            spot = [name for name, other in self._exchange.markets.items() if other.get("spot")]
            near = difflib.get_close_matches(symbol, spot, n=3, cutoff=0.6)
            raise UnknownSymbol(
                f"{self._venue} has no spot market {symbol!r}",
                next_step=f"Close to it are {', '.join(near)}" if near else "Symbols are written like BTC/USDT",
            )
        if market.get("active") is False:
            raise MarketDataUnavailable(f"{self._venue} does not trade {symbol} at present", next_step="Choose another symbol")
        return market


def _bar(row: Sequence[object]) -> Bar:
    """A row of ccxt's: time in ms, open, high, low, close, base volume."""
    ts, *values = (exact(value) for value in row[:6])
    open_, high, low, close, volume = values
    if ts is None or open_ is None or high is None or low is None or close is None or volume is None:
        raise InvalidInput(f"a bar lacks a number: {list(row)!r}")
    return Bar(from_ms(int(ts)), open_, high, low, close, volume)
