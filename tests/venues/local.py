"""An account at a local venue, and the desk's adapter over it: unmodified ccxt, real HTTP, real signatures.

    with serving(BINANCE) as server:
        async with opened(BINANCE, server) as local:
            await local.broker.place(...)
            local.exchange.trade_at(local.symbol, ...)

`six.py` has all of them by name.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.venues.engine import Exchange
from tests.venues.engine_types import Fees, Market
from tests.venues.server import Key, Venue, VenueServer, wall_clock_ms
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.domain.clock import SystemClock

ACCOUNT = "desk"
PRICE = Decimal(50_000)
DEPOSIT = Decimal(100_000)


@dataclass(frozen=True, slots=True)
class LocalVenue:
    """One kind of local venue, and what it takes to trade there.

    Attributes:
        profile: the desk's.
        markets: what trades; tests trade the first.
        fees: of the account.
        keys: what the venue knows; the first trades for `ACCOUNT`.
        passphrase: of the first key, where the venue has one.
        make: the venue's protocol over an exchange.
        ids_unique_for_ever: whether a client order id is taken once, or again when its order has ended.
    """

    profile: VenueProfile
    markets: tuple[Market, ...]
    fees: Fees
    keys: tuple[Key, ...]
    make: Callable[[Exchange, Sequence[Key]], Venue]
    passphrase: str = ""
    ids_unique_for_ever: bool = False

    @property
    def symbol(self) -> str:
        return self.markets[0].symbol

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.keys[0].key, self.keys[0].secret, self.passphrase)

    def empty(self) -> Venue:
        """A venue where nothing was deposited and nothing has a price."""
        return self.stand(Exchange(self.markets, wall_clock_ms, fees=self.fees, ids_unique_for_ever=self.ids_unique_for_ever))

    def stand(self, exchange: Exchange) -> Venue:
        return self.make(exchange, self.keys)


class QuickClock(SystemClock):
    """The machine's time, on which waiting costs next to nothing."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(0)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.slept)


@dataclass
class Local:
    """An open account with `DEPOSIT` of quote at a venue whose price is `PRICE`."""

    kind: LocalVenue
    server: VenueServer
    exchange: Exchange
    broker: CcxtBroker
    clock: QuickClock
    began_at: datetime

    @property
    def symbol(self) -> str:
        return self.kind.symbol

    async def anew(self, credentials: Credentials | None = None) -> CcxtBroker:
        """The same account, opened by a process that knows nothing yet."""
        return _broker(self.kind, self.server, self.clock, self.began_at, credentials)


def serving(kind: LocalVenue) -> VenueServer:
    """A server of that kind, for `with`."""
    return VenueServer(kind.empty())


@asynccontextmanager
async def opened(kind: LocalVenue, server: VenueServer, fees: Fees | None = None) -> AsyncIterator[Local]:
    """A new venue on a server that runs, without what was there before."""
    exchange = Exchange(kind.markets, wall_clock_ms, fees=fees or kind.fees, ids_unique_for_ever=kind.ids_unique_for_ever)
    exchange.deposit(ACCOUNT, kind.markets[0].quote, DEPOSIT)
    exchange.move(kind.symbol, PRICE)
    began_at, clock = datetime.now(UTC) - timedelta(seconds=1), QuickClock()
    server.venue = kind.stand(exchange)
    server.faults.clear()
    server.seen.clear()
    broker = _broker(kind, server, clock, began_at, None)
    try:
        yield Local(kind, server, exchange, broker, clock, began_at)
    finally:
        await broker.close()


def _broker(
    kind: LocalVenue, server: VenueServer, clock: QuickClock, began_at: datetime, credentials: Credentials | None
) -> CcxtBroker:
    throttle = Throttle(1000, burst=1000, monotonic=clock.monotonic, sleep=clock.sleep)
    client = open_client(kind.profile, credentials or kind.credentials, throttle, sandbox=False, base_url=server.base_url)
    symbols = [market.symbol for market in kind.markets]
    jitter = random.Random(7)
    return CcxtBroker(kind.profile, client, symbols, clock=clock, history_from=began_at, jitter=jitter, is_paper=False)
