"""A venue's public data as it happens, with REST behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from data_channels.market.grid import back, floor_to_grid
from data_channels.market.live import LiveFeed
from data_channels.market.streaming.health import StreamMetrics, StreamReport
from data_channels.market.streaming.link import Link, Patience
from data_channels.market.streaming.market import StreamedMarket
from data_channels.market.streaming.sockets import StreamingExchange
from data_channels.market.streaming.venues import stream_profile
from data_channels.market.venue_client import Throttling, open_exchange
from trading_core.domain.clock import Clock, utc
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, ReadingState, Ticker, Timeframe

FRESH = timedelta(seconds=5)
"""How old the best prices may be for an answer from memory; older ones are asked for anew."""
_PRESENT = timedelta(seconds=60)  # as of the live feed: a question about an earlier instant is its to refuse


class StreamFeed:
    """A `MarketFeed` of one venue's spot markets, told by its streams.

    Prices and bars come from memory where the streams have told them whole, and otherwise from REST: the same venue's answer to
    the same question. A bar is told from memory only when it has closed and every trade of it is known; one with a gap in it, or
    without a trade, is the venue's own. The first question opens the streams; `start` does so before.

    Args:
        venue_id: ccxt's name of the venue: `binance`, `bybit`, `okx`, `coinbase`, `kraken` or `cryptocom`.
        symbols: the markets to list.
        clock: tells the present; waits before a new attempt are on it.
        jitter: decides how long they are.
        base_url: another host that speaks the venue's REST API and its streams; paths stay the same.
        sandbox: the venue's test network, whose prices are its own.
        throttle: waits for a turn of so much weight, instead of ccxt's own throttle: whoever else asks the venue shares it.
        patience: how long what is waited for.
        fresh: how old the best prices may be for an answer from memory.

    Attributes:
        name: says when REST answers in the streams' place.
        metrics: what was counted since it was opened.

    Raises:
        ConfigurationError: ccxt knows no such venue, its streams are not known, or it has no sandbox.
    """

    generated = False

    def __init__(
        self,
        venue_id: str,
        symbols: Sequence[str],
        *,
        clock: Clock,
        jitter: random.Random,
        base_url: str | None = None,
        sandbox: bool = False,
        throttle: Throttling | None = None,
        patience: Patience | None = None,
        fresh: timedelta = FRESH,
    ) -> None:
        profile = stream_profile(venue_id)
        opened = open_exchange(venue_id, base_url, sandbox=sandbox, throttle=throttle, streams=True)
        exchange = cast(StreamingExchange, opened)
        if base_url is not None and profile.stream_path:
            _set_path(exchange.urls, profile.stream_path)
        self.metrics = StreamMetrics()
        self.name = self._name = f"{venue_id} ({'sandbox' if sandbox else 'live'}, streamed)"
        self._rest = LiveFeed(venue_id, symbols, clock=clock, sandbox=sandbox, exchange=exchange)
        self._markets = {symbol: StreamedMarket(symbol, profile, self.metrics) for symbol in symbols}
        self._clock = clock
        self._fresh = fresh
        self._link = Link(
            exchange,
            profile,
            self._markets,
            load=self._rest.load,
            clock=clock,
            jitter=jitter,
            metrics=self.metrics,
            patience=patience or Patience(),
        )
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Open the streams, in the background. Again does nothing."""
        if self._running is None and not self._is_closed:
            self._running = asyncio.create_task(self._link.run(), name=f"streams of {self._name}")

    async def instruments(self) -> Mapping[str, Instrument]:
        """The listed markets with the venue's filters.

        Raises:
            UnknownSymbol: the venue has no such spot market.
            MarketDataUnavailable: the venue is out of reach, or its description of a market cannot be used.
        """
        self.start()
        return await self._rest.instruments()

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker:
        """The venue's present prices: the best ones as last told, if that is not too long ago, or those that REST gives.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            MarketDataUnavailable: see `LiveFeed.ticker`.
            InvalidInput: for an instant without a time zone.
        """
        self.start()
        market, now = self._markets.get(symbol), self._clock.now()
        told = market.ticker() if market is not None else None
        if told is None or now - told.at > self._fresh or now - utc(as_of) > _PRESENT:
            self._by_rest()
            return await self._rest.ticker(symbol, as_of=as_of)
        self.name = self._name
        return told

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest bars closed at `as_of`, oldest first; gaps stay gaps, and use up the limit.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            MarketDataUnavailable: see `LiveFeed.bars`.
            InvalidInput: for a limit below one or an instant without a time zone.
        """
        self.start()
        end = floor_to_grid(min(utc(as_of), self._clock.now()), timeframe)
        start = back(end, timeframe, max(limit, 1))
        known = self._known(symbol, timeframe, start, end)
        if known and limit >= 1:
            return known
        self._by_rest()
        bars = await self._rest.bars(symbol, timeframe, as_of=as_of, limit=limit)
        self._markets[symbol].keep(timeframe, bars, start, end, self._clock.now())
        return bars

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`, oldest first; none that is still open by the clock.

        Raises:
            UnknownSymbol: the feed does not list it, or the venue has no such spot market.
            MarketDataUnavailable: see `LiveFeed.bars_between`.
            InvalidInput: for an instant without a time zone.
        """
        self.start()
        first, last = floor_to_grid(start, timeframe), floor_to_grid(min(utc(end), self._clock.now()), timeframe)
        known = self._known(symbol, timeframe, first, last) if first < last else None
        if known is not None:
            return known
        self._by_rest()
        return await self._rest.bars_between(symbol, timeframe, start=start, end=end)

    def report(self) -> Sequence[StreamReport]:
        """How the streams of each market do now."""
        return [self._report(market) for market in self._markets.values()]

    async def close(self) -> None:
        """Close the streams and the connections to the venue."""
        self._is_closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._rest.close()

    def _known(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> list[Bar] | None:
        market = self._markets.get(symbol)
        return market.bars(timeframe, start, end) if market is not None else None

    def _by_rest(self) -> None:
        self.metrics.by_rest += 1
        self.name = self._name if self._link.is_up else f"{self._name}, read over REST while its streams are down"

    def _report(self, market: StreamedMarket) -> StreamReport:
        age = max(self._clock.now() - market.quote.at, timedelta()) if market.quote is not None else None
        state, reason = ReadingState.LIVE, ""
        if self._running is None or self._is_closed:
            state, reason = ReadingState.OFF, "The streams are not open."
        elif not self._link.is_up:
            state, reason = ReadingState.DEGRADED, f"REST answers: the streams are down, {self._link.why}."
        elif age is None or age > self._fresh:
            state, reason = ReadingState.STALE, f"No best prices within {self._fresh.total_seconds():g} s; REST is asked."
        return StreamReport(market.symbol, state, reason, age, market.tape.hole is not None)


def _set_path(urls: Mapping[str, object], path: str) -> None:
    """Give the spot streams another path on their host."""
    streams = cast(dict[str, dict[str, str]], urls["api"])["ws"]
    streams["spot"] = urlunsplit(urlsplit(streams["spot"])._replace(path=path))
