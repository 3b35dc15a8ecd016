"""A streamed market at each of the six local venues, at a time that the test moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from data_channels.market.live import LiveFeed
from data_channels.market.streaming.feed import StreamFeed
from data_channels.market.streaming.health import StreamReport
from data_channels.market.streaming.link import Patience
from tests.venues.engine import Exchange
from tests.venues.engine_types import Kind, Side, Ticket
from tests.venues.kraken import KrakenVenue
from tests.venues.local import LocalVenue
from tests.venues.server import VenueServer
from tests.waiting import until
from trading_core.domain.clock import SimulatedClock, to_ms
from trading_core.domain.market import Bar, ReadingState, Timeframe

MINUTE = Timeframe("1m")
MAKER = "maker"
PRICE = Decimal(50_000)
QUICK = Patience(first_wait=0.01, longest_wait=0.02)


class MovedClock(SimulatedClock):
    """The venue's time and the feed's; to wait on it costs next to nothing, and moves it by nothing."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))

    def move(self, seconds: float) -> None:
        self.advance_to(self.now() + timedelta(seconds=seconds))


@dataclass
class Market:
    """One market of a local venue, and the feed that streams it."""

    symbol: str
    server: VenueServer
    exchange: Exchange
    clock: MovedClock
    feed: StreamFeed
    own: LiveFeed
    traded: int = 0

    def trade(self, price: Decimal, quantity: Decimal = Decimal("0.01"), symbol: str = "") -> None:
        """Somebody buys from somebody else at a price between the house's."""
        symbol = symbol or self.symbol
        with self.exchange.lock:
            self.exchange.quote(symbol, [(price - 5, Decimal(5))], [(price + 5, Decimal(5))])
            self.exchange.place(Ticket(MAKER, symbol, Side.SELL, Kind.LIMIT, "", quantity, limit=price))
            self.exchange.trade_at(symbol, Side.BUY, price, quantity)
        self.traded += 1

    def taken(self) -> int:
        return self.feed.metrics.trades + self.feed.metrics.filled

    async def heard_all(self) -> None:
        """Every trade since the venue opened has reached the feed, by whichever way."""
        await until(lambda: self.taken() == self.traded and not any(one.has_gap for one in self.feed.report()), self.describe)

    async def begin(self) -> None:
        """Open the streams, and trade until every one of them has spoken."""
        self.feed.start()
        deadline = asyncio.get_running_loop().time() + 30
        while self.report().state is not ReadingState.LIVE or not self.feed.metrics.trades:
            assert asyncio.get_running_loop().time() < deadline, self.describe()
            self.trade(PRICE + self.traded % 2)
            await asyncio.sleep(0.05)
        await self.heard_all()

    async def live(self) -> None:
        await until(lambda: self.report().state is ReadingState.LIVE, self.describe)

    def report(self) -> StreamReport:
        return self.feed.report()[0]

    def describe(self) -> str:
        return f"{self.report()} {self.feed.metrics} of {self.traded} trades"

    async def minutes(self, count: int) -> list[Bar]:
        return list(await self.feed.bars(self.symbol, MINUTE, as_of=self.clock.now(), limit=count))

    async def own_minutes(self, count: int) -> list[Bar]:
        """The venue's own bars."""
        return list(await self.own.bars(self.symbol, MINUTE, as_of=self.clock.now(), limit=count))


@asynccontextmanager
async def streamed(kind: LocalVenue, server: VenueServer, patience: Patience = QUICK) -> AsyncIterator[Market]:
    """A new venue on a server that runs, with a trade behind it, twenty seconds before a minute is over."""
    clock = MovedClock(datetime(2026, 5, 4, 11, 59, 40, tzinfo=UTC))
    exchange = Exchange(kind.markets, lambda: to_ms(clock.now()), fees=kind.fees)
    for one in kind.markets:
        exchange.deposit(MAKER, one.base, Decimal(10_000))
    server.venue = kind.stand(exchange)
    if isinstance(server.venue, KrakenVenue):
        vars(server.venue)["_public"]["/0/public/Trades"] = "tape", partial(_kraken_trades, exchange)
    server.faults.clear()
    server.faults.streams.clear()
    server.seen.clear()
    venue, symbols = kind.profile.venue, list(exchange.markets)
    feed = StreamFeed(
        venue, symbols, clock=clock, jitter=random.Random(5), base_url=server.base_url, throttle=_no_throttle, patience=patience
    )
    own = LiveFeed(venue, symbols, clock=clock, base_url=server.base_url, throttle=_no_throttle)
    for client in (vars(vars(feed)["_rest"])["_exchange"], vars(own)["_exchange"]):
        client.tokenBucket |= {"delay": 0.001, "refillRate": 1}  # a thousand requests and subscriptions a second
    market = Market(kind.symbol, server, exchange, clock, feed, own)
    market.trade(PRICE)
    try:
        yield market
    finally:
        server.faults.streams.clear()
        await feed.close()
        await own.close()


async def _no_throttle(weight: float | None = None) -> None: ...


def _kraken_trades(exchange: Exchange, params: Mapping[str, str]) -> dict[str, object]:
    """https://docs.kraken.com/api/docs/rest-api/get-recent-trades: the newest ones, oldest first."""
    market = next(one for one in exchange.markets.values() if one.base.replace("BTC", "XBT") in params["pair"])
    rows: list[list[object]] = [
        [str(done.price), str(done.quantity), done.at_ms / 1000, done.taker.value[0], "l", "", done.number]
        for done in exchange.tape[market.symbol][-int(params["count"]) :]
        if done.quantity
    ]
    return {params["pair"]: rows, "last": str(to_ms(datetime.now(UTC)) * 10**6)}
