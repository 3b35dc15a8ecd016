"""A local venue over a real line: unmodified ccxt, HTTP, signatures, and switches for what goes wrong."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from data_channels.market.live import LiveFeed
from tests.acceptance.account import OTHER_PRICE, PRICE, Account
from tests.venues.engine import DEPTH, Exchange
from tests.venues.engine_types import QUOTE, Fees, VenueOrder
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import Fault
from tests.venues.local import ACCOUNT, Local, LocalVenue, QuickClock, opened
from tests.venues.server import VenueServer
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.instruments import FeeCurrency
from trading_core.domain.market import MarketFeed
from trading_core.domain.orders import Side

SIDES = {Side.BUY: VenueSide.BUY, Side.SELL: VenueSide.SELL}
PING_SECONDS = 0.5
"""How often a stream is asked for a sign of life here: silence shall be noticed within a case."""


class Client(Protocol):
    """What is turned on ccxt's client, which lies behind the desk's adapter and its feed.

    Attributes:
        timeout: of a request, milliseconds.
        timeout_on_exit: how long a close waits for the ends of TLS connections, milliseconds.
        enableRateLimit: whether requests are spaced out.
    """

    timeout: int
    timeout_on_exit: int
    enableRateLimit: bool  # noqa: N815 - ccxt's own name


def close_at_once(client: Client) -> None:
    """A local venue has no TLS whose end would have to be waited for."""
    client.timeout_on_exit = 0


@dataclass
class VenueAccount(Account):
    """An account at a local venue.

    Attributes:
        broker: the desk's adapter.
        clock: with what was slept on it.
        local: the venue's other side.
    """

    broker: CcxtBroker
    clock: QuickClock
    local: Local
    quoted: Decimal = PRICE

    @property
    def exchange(self) -> Exchange:
        return self.local.exchange

    @property
    def server(self) -> VenueServer:
        return self.local.server

    @property
    def client(self) -> Client:
        return cast(Client, self.broker._exchange)

    @property
    def tick(self) -> Decimal:
        return self.exchange.markets[self.symbol].tick

    async def settle(self) -> None:
        await asyncio.sleep(0)

    async def move(self, price: Decimal) -> None:
        self.quoted = price
        self.exchange.move(self.symbol, price)

    async def trade(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        self.exchange.trade_at(self.symbol, SIDES[side], price, quantity)
        self.exchange.move(self.symbol, self.quoted)

    async def offer(self, quantity: Decimal) -> None:
        bids, asks = [(self.quoted - self.tick, DEPTH)], [(self.quoted + self.tick, quantity)]
        self.exchange.quote(self.symbol, bids, asks)

    async def restart(self) -> None:
        await self._reopen(None)

    async def reopen(self, credentials: Credentials) -> None:
        """This process ends, and one with another key opens the account."""
        await self._reopen(credentials)

    async def _reopen(self, credentials: Credentials | None) -> None:
        await self.broker.close()
        self.broker = await self.local.anew(credentials)
        close_at_once(self.client)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[MarketFeed]:
        venue, symbols = self.local.kind.profile.venue, [self.symbol, self.other_symbol]
        feed = LiveFeed(venue, symbols, clock=self.clock, base_url=self.server.base_url)
        client = cast(Client, feed._exchange)
        client.enableRateLimit = False  # the limits that a case is about come as faults
        close_at_once(client)
        try:
            yield feed
        finally:
            await feed.close()

    # Keys

    def unknown_key(self) -> Credentials:
        return replace(self.local.kind.credentials, key="nobodys-key")

    def wrong_secret(self) -> Credentials:
        """Another secret of the same form."""
        known = self.local.kind.credentials
        if not known.secret.startswith("-----BEGIN"):
            return replace(known, secret=base64.b64encode(b"another secret of the test").decode())
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return replace(known, secret=pem.decode())

    def reading_key(self) -> Credentials:
        """A key that may not trade."""
        reader = next(key for key in self.local.kind.keys if not key.can_trade)
        return Credentials(reader.key, reader.secret, self.local.kind.passphrase)

    # What only the venue knows

    def at_venue(self) -> list[VenueOrder]:
        """Every order the venue took from the account, oldest first."""
        return self.exchange.orders_of(ACCOUNT)

    def next(self, operation: str, *faults: Fault | None) -> None:
        """What the next requests of an operation meet."""
        self.server.faults.queue(operation, *faults)

    def sent(self, operation: str) -> int:
        """How many requests of an operation reached the venue, whatever became of them."""
        return self.server.count(operation)


@asynccontextmanager
async def opened_at(kind: LocalVenue, server: VenueServer, folder: Path, fees: Fees | None) -> AsyncIterator[VenueAccount]:
    """A new account at a local venue with a second market, on a server that runs."""
    if len(kind.markets) == 1:
        kind = replace(kind, markets=(kind.markets[0], replace(kind.markets[0], base="ETH")))
    streams = replace(kind.profile.streams, ping_seconds=PING_SECONDS)
    kind = replace(kind, profile=replace(kind.profile, streams=streams))
    if fees and kind.profile.fee_currency is FeeCurrency.QUOTE:
        fees = replace(fees, taken_in=QUOTE)  # it has no other; only the rates are the case's
    async with opened(kind, server, fees) as local:
        other = kind.markets[1].symbol
        local.exchange.move(other, OTHER_PRICE)
        account = VenueAccount(
            broker=local.broker,
            symbol=kind.symbol,
            other_symbol=other,
            clock=local.clock,
            since=local.began_at,
            folder=folder,
            local=local,
        )
        close_at_once(account.client)
        await account.broker.open()
        try:
            yield account
        finally:
            if account.broker is not local.broker:
                await account.broker.close()
