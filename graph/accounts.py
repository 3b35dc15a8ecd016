"""The account of a session: on the paper exchange, or at a venue."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from graph.config import SessionConfig, VenueAccount
from trading_core.auth.agents import runner
from trading_core.brokers.accounts import BrokerAccounts
from trading_core.brokers.base import Broker
from trading_core.brokers.factory import BrokerFactory
from trading_core.brokers.throttle import Throttle, Throttles
from trading_core.brokers.venues.profiles import profile_of
from trading_core.domain.clock import Clock, SystemClock
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import MarketFeed
from trading_core.execution.transfers import take_over
from trading_core.persistence.session import Database
from trading_core.secrets.credentials import VenueCredentials
from trading_core.secrets.sealing import KeyRing


def _throttles() -> Throttles:
    return Throttles(monotonic=time.monotonic, sleep=SystemClock().sleep)


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """What it takes to open accounts at venues. One for each process: the venues count requests by address and account.

    Attributes:
        keys: open the stored venue keys.
    """

    keys: KeyRing
    throttles: Throttles = field(default_factory=_throttles)

    def throttle(self, venue: str, account_id: str) -> Throttle:
        profile = profile_of(venue)
        return self.throttles.of(venue, account_id, per_second=profile.per_second, burst=profile.burst)

    def factory(self, database: Database, clock: Clock) -> BrokerFactory:
        jitter = random.Random(secrets.randbits(64))  # noqa: S311  # spreads retries of many processes; nothing secret
        return BrokerFactory(VenueCredentials(database, self.keys, clock), self.throttles, clock, jitter, time.monotonic)


@asynccontextmanager
async def venue_broker(
    config: SessionConfig, wanted: VenueAccount, access: VenueAccess, ledger: Database, feed: MarketFeed, clock: Clock
) -> AsyncIterator[Broker]:
    """The session's account at its venue, on record in the ledger with all it held when it was first opened.

    Raises:
        ConfigurationError: the account is not known, was switched since the session was begun, or has no usable keys.
        BrokerUnavailable, MarketDataUnavailable: the venue is out of reach.
        LedgerError: the account is on record in another currency.
    """
    account = await BrokerAccounts(ledger, clock).get(wanted.id)
    if (account.venue, account.production, account.url) != (config.venue, wanted.production, wanted.url):
        raise ConfigurationError(
            f"account {wanted.id!r} is not what it was when this session was begun",
            not_done="It was not opened",
            next_step="Begin a new session with it",
        )
    who = runner(wanted.id)
    async with ledger.reading() as uow:
        opened_at = await uow.portfolios.opened_at(wanted.id)
    opened = await access.factory(ledger, clock).open(who, account, config.symbols, history_from=opened_at or clock.now())
    broker = opened.broker
    try:
        await take_over(ledger, wanted.id, config.currency, broker, feed, clock, await broker.instruments(), by=who.name)
        yield broker
    finally:
        await broker.close()
