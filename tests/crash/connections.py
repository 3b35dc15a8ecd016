"""Where the desk of the crash tests trades, and how it gets there: the paper venue, or a venue's own protocol through ccxt."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, cast

import httpx

from tests.crash.http_broker import NO_CERTIFICATES, HttpBroker
from tests.crash.live_venue import PRICE, SYMBOLS
from tests.crash.paper_venue import market
from tests.crash.quoted_feed import QuotedFeed
from tests.venues.local import LocalVenue
from tests.venues.six import SIX
from trading_core.brokers.base import Broker
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Exchange, open_client
from trading_core.domain.clock import Clock, SimulatedClock, SystemClock
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed

TIMEOUT_MS = 2500
WIDE = 10_000.0  # requests a second: how fast a venue may be asked is no matter here


class At(StrEnum):
    """A venue of the crash tests."""

    PAPER = "paper"
    BINANCE = "binance"
    KRAKEN = "kraken"

    @property
    def process(self) -> tuple[str, ...]:
        """The module that serves it, and its arguments before the folder."""
        return ("tests.crash.paper_venue",) if self is At.PAPER else ("tests.crash.live_venue", self.value)

    @property
    def drives(self) -> int:
        """How often the plan is carried out to find its points: on the machine's time, not every wait is one each time."""
        return 1 if self is At.PAPER else 2

    @property
    def answer(self) -> str:
        """How the name of a point ends at which the answer to an order is waited for."""
        return "_write > Event.wait" if self is At.PAPER else " > DataQueue.read"


class LeapingClock(SystemClock):
    """The machine's time, or ahead of it: who sleeps on it leaps instead of waiting."""

    def __init__(self, start: datetime) -> None:
        self._lead = max(timedelta(0), start - super().now())

    def now(self) -> datetime:
        return super().now() + self._lead

    async def sleep(self, seconds: float) -> None:
        self._lead += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Connection:
    """What a desk needs of the world.

    Attributes:
        fill_up: lets the venue fill what it has filled in part.
    """

    broker: Broker
    clock: Clock
    feed: MarketFeed
    instruments: Mapping[str, Instrument]
    fill_up: Callable[[], Awaitable[None]]


class _Client(Protocol):
    timeout: int
    timeout_on_exit: int


@asynccontextmanager
async def connected(at: At, url: str, now: datetime, began_at: datetime) -> AsyncIterator[Connection]:
    """The account at `url`, as of `now`; the desk has had it since `began_at`."""
    connect = _to_paper(url, now) if at is At.PAPER else _to_live(SIX[at.value], url, now, began_at)
    async with connect as connection:
        try:
            yield connection
        finally:
            await connection.broker.close()


@asynccontextmanager
async def _to_paper(url: str, now: datetime) -> AsyncIterator[Connection]:
    clock, feed = SimulatedClock(now), market()

    async def two_hours_later() -> None:
        await clock.sleep(7200)

    yield Connection(HttpBroker(url, clock), clock, feed, await feed.instruments(), two_hours_later)


@asynccontextmanager
async def _to_live(kind: LocalVenue, url: str, now: datetime, began_at: datetime) -> AsyncIterator[Connection]:
    clock = LeapingClock(now)
    throttle = Throttle(WIDE, burst=WIDE, monotonic=time.monotonic, sleep=asyncio.sleep)
    client = open_client(kind.profile, kind.credentials, throttle, sandbox=False, base_url=url)
    hurry(client)
    broker = CcxtBroker(
        kind.profile,
        client,
        SYMBOLS,
        clock=clock,
        history_from=began_at,
        jitter=random.Random(7),
        is_paper=False,
    )

    async def somebody_sells() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=NO_CERTIFICATES) as somebody:
            (await somebody.post(f"{url}/sell")).raise_for_status()

    instruments = await broker.instruments()
    feed = QuotedFeed(instruments, lambda _: PRICE)
    yield Connection(broker, clock, feed, instruments, somebody_sells)


def hurry(client: Exchange) -> None:
    """Wait neither long for an answer nor for the end of TLS connections that a local venue does not have."""
    ours = cast(_Client, client)
    ours.timeout, ours.timeout_on_exit = TIMEOUT_MS, 0
