"""A `CcxtBroker` over the local Binance: unmodified ccxt, real HTTP, real signatures."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.venues.binance import BinanceVenue, Key
from tests.venues.engine import Exchange
from tests.venues.engine_types import Fees, Market
from tests.venues.server import VenueServer
from trading_core.brokers.ccxt_broker import CcxtBroker
from trading_core.brokers.ccxt_client import Credentials, open_client
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues import BINANCE
from trading_core.domain.clock import SystemClock

BTC = "BTC/USDT"
KEY = Credentials("key", "secret")


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


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
    server: VenueServer
    exchange: Exchange
    broker: CcxtBroker
    clock: QuickClock
    began_at: datetime

    async def anew(self, key: Credentials = KEY) -> CcxtBroker:
        """The same account, opened by a process that knows nothing yet."""
        return _broker(self.server, self.clock, self.began_at, key)


@asynccontextmanager
async def local_binance(server: VenueServer, fees: Fees | None = None) -> AsyncIterator[Local]:
    """A new venue on a server that runs: BTC/USDT at 50,000, and 100,000 USDT in the account."""
    exchange = Exchange([Market("BTC", "USDT")], wall_clock_ms, fees=fees)
    exchange.deposit("desk", "USDT", Decimal(100_000))
    exchange.move(BTC, Decimal(50_000))
    began_at, clock = datetime.now(UTC) - timedelta(seconds=1), QuickClock()
    server.venue = binance_of(exchange)
    server.faults.clear()
    server.seen.clear()
    broker = _broker(server, clock, began_at, KEY)
    try:
        yield Local(server, exchange, broker, clock, began_at)
    finally:
        await broker.close()


def binance_of(exchange: Exchange) -> BinanceVenue:
    return BinanceVenue(exchange, [Key("key", "secret", "desk")])


def _broker(server: VenueServer, clock: QuickClock, began_at: datetime, key: Credentials) -> CcxtBroker:
    throttle = Throttle(1000, burst=1000, monotonic=clock.monotonic, sleep=clock.sleep)
    client = open_client(BINANCE, key, throttle, sandbox=False, base_url=server.base_url)
    jitter = random.Random(7)
    return CcxtBroker(BINANCE, client, [BTC], clock=clock, history_from=began_at, jitter=jitter, is_paper=False)
