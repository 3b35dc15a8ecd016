"""The connection to a venue's public streams: opened, read, mended, and opened anew whenever it ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from data_channels.market.streaming.filler import Filler
from data_channels.market.streaming.health import StreamMetrics
from data_channels.market.streaming.market import StreamedMarket
from data_channels.market.streaming.sockets import Sockets, StreamingExchange, TradeCache
from data_channels.market.streaming.venues import Cache, Channel, StreamProfile
from data_channels.market.venue_client import brief
from trading_core.domain.clock import Clock

_LOOK_SECONDS = 0.5  # between two looks at how long it has been silent

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for.

    Attributes:
        silent: seconds without a word about any of the markets, after which the sockets count as dead.
        first_wait: longest wait in seconds before the first attempt to open them anew; it doubles with each that fails.
        longest_wait: where the doubling ends.
        steady: seconds after which an opening counts as one that did not fail.
    """

    silent: float = 30.0
    first_wait: float = 0.5
    longest_wait: float = 60.0
    steady: float = 30.0


class Link:
    """Keeps the streams of one venue open, with exponential backoff and full jitter between two attempts
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        exchange: a client that streams.
        profile: the venue's streams.
        markets: told what the streams say, by symbol.
        load: reads what the venue lists.
        clock: dates best prices that come without a time; waits are on it.
        jitter: decides how long they are.
        metrics: counted in.
        patience: how long what is waited for.

    Attributes:
        is_up: the venue has spoken of a market since the sockets were opened.
        why: what ended the last opening, while it is not up.
        unread: why the last frame that could not be read could not.
    """

    def __init__(
        self,
        exchange: StreamingExchange,
        profile: StreamProfile,
        markets: Mapping[str, StreamedMarket],
        *,
        load: Callable[[], Awaitable[None]],
        clock: Clock,
        jitter: random.Random,
        metrics: StreamMetrics,
        patience: Patience,
    ) -> None:
        self.is_up = False
        self.why = "they are being opened"
        self.unread = ""
        self._exchange = exchange
        self._profile = profile
        self._markets = markets
        self._load = load
        self._clock = clock
        self._jitter = jitter
        self._metrics = metrics
        self._patience = patience
        self._sockets = Sockets(
            exchange, read=self._read, unread=self._on_unread, ended=self._on_end, ping_seconds=profile.ping_seconds
        )
        self._filler = Filler(exchange, profile, clock, metrics)
        self._end: asyncio.Future[None] | None = None
        self._has_spoken = False
        self._told_at = 0.0
        self._read_before: dict[str, tuple[object, object, object]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        try:
            while True:
                began = asyncio.get_running_loop().time()
                with suppress(Exception):  # whatever it was, `why` says so, and the next attempt begins with nothing of it
                    await self._session()
                self._metrics.failures += 1
                if asyncio.get_running_loop().time() - began > self._patience.steady:
                    failures = 0
                longest = min(self._patience.longest_wait, self._patience.first_wait * 2 ** min(failures, 30))
                await self._clock.sleep(self._jitter.uniform(0, longest))
                failures += 1
        finally:
            await self._filler.stop()

    async def _session(self) -> None:
        """One opening, to its end, which is an error."""
        try:
            await self._load()
            await self._open_and_hold()
        except Exception as error:
            self.why = brief(error)
            raise
        finally:
            await self._clear()

    async def _open_and_hold(self) -> None:
        loop = asyncio.get_running_loop()
        self._end, self._told_at = loop.create_future(), loop.time()
        watches = [asyncio.create_task(watch) for channel in self._profile.channels for watch in self._watches(channel)]
        try:
            await self._hold({self._end, *watches})
        except Exception as error:
            self.why = brief(error)
            raise
        finally:
            self.is_up = False
            for waiting in (self._end, *watches):
                waiting.cancel()
            await asyncio.gather(self._end, *watches, return_exceptions=True)

    async def _clear(self) -> None:
        """Close the sockets; nothing that was told on them may look new to the next opening."""
        for market in self._markets.values():
            market.interrupted()
        await self._sockets.close()
        for kept in (self._exchange.tickers, self._exchange.bidsasks, self._exchange.trades):
            cast(dict[str, object], kept).clear()
        self._read_before.clear()

    async def _hold(self, waiting: set[asyncio.Future[None]]) -> None:
        """Wait for an error: of a socket, of a subscription, or for the venue being silent."""
        while True:
            done, waiting = await asyncio.wait(waiting, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
            if asyncio.get_running_loop().time() - self._told_at > self._patience.silent:
                raise ConnectionError(f"nothing was heard of any market for {self._patience.silent:g} seconds")

    def _watches(self, channel: Channel) -> list[Coroutine[object, object, None]]:
        watch = cast(Callable[..., Awaitable[object]], getattr(self._exchange, channel.watch))
        asked: list[object] = list(self._markets) if channel.each else [list(self._markets)]
        return [_subscribe(watch, symbols, dict(channel.params)) for symbols in asked]

    def _on_end(self, error: Exception) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(error)

    def _on_unread(self, error: Exception) -> None:
        """Whatever the frame told, it is not known: as if it had come between two sockets."""
        self._metrics.unread += 1
        self.unread = brief(error)
        for market in self._markets.values():
            market.tape.interrupted()

    def _read(self, came_at: float) -> None:
        """Hand on what a frame has changed of what ccxt keeps."""
        if self._end is None or self._end.done():
            return  # another socket has ended, and this one is about to
        exchange, is_news = self._exchange, False
        for symbol, market in self._markets.items():
            ticker, best, trades = exchange.tickers.get(symbol), exchange.bidsasks.get(symbol), exchange.trades.get(symbol)
            newest = trades[-1] if trades else None
            was = self._read_before.get(symbol, (None, None, None))
            if ticker is was[0] and best is was[1] and newest is was[2]:
                continue
            self._read_before[symbol], is_news = (ticker, best, newest), True
            if ticker is not None and ticker is not was[0]:
                market.priced(ticker)
            quote, before = (ticker, was[0]) if self._profile.quotes is Cache.TICKERS else (best, was[1])
            if quote is not None and quote is not before:
                market.quoted(quote, self._clock.now())
            if trades is not None and newest is not was[2]:
                market.traded(_new(trades))
                self._filler.look(market)
        self._count(came_at, is_news=is_news)

    def _count(self, came_at: float, *, is_news: bool) -> None:
        metrics, now = self._metrics, asyncio.get_running_loop().time()
        metrics.messages += 1
        if not is_news:
            return
        metrics.seconds.append(now - came_at)
        self._told_at = now
        if not self.is_up:
            self.is_up, self.why = True, ""
            metrics.reconnects += self._has_spoken
            self._has_spoken = True


async def _subscribe(watch: Callable[..., Awaitable[object]], symbols: object, params: dict[str, object]) -> None:
    """Ask for a channel, and wait for its first word; what it says from then on is read from what ccxt keeps."""
    if params:
        await watch(symbols, params=params)
    else:
        await watch(symbols)


def _new(trades: TradeCache) -> list[Row]:
    """What was added by the last frame."""
    return [trades[-index] for index in range(min(trades.getLimit(None, None), len(trades)), 0, -1)]
