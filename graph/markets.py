"""The market of a session: generated, recorded, generated as time passes, or a venue's as it streams it."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from data_channels.market.failover import FailoverFeed
from data_channels.market.history import HistoryFeed
from data_channels.market.live import LiveFeed
from data_channels.market.practice import PracticeFeed
from data_channels.market.streaming.feed import StreamFeed
from data_channels.market.synthetic import SyntheticFeed
from graph.accounts import VenueAccess
from graph.config import SessionConfig
from graph.snapshot import WINDOW
from graph.ticks import DEFAULT_CYCLES, DEFAULT_START
from trading_core.brokers.venues.profiles import PROFILES
from trading_core.domain.clock import SystemClock
from trading_core.domain.market import MarketFeed


def make_feed(config: SessionConfig, access: VenueAccess | None = None, *, streams: bool = False) -> MarketFeed:
    """The market of a config; with `access`, one that shares the account's throttle.

    Args:
        streams: keep a live venue's prices in memory as it streams them, where the desk knows how. It opens sockets.

    Raises:
        AlgoTrendyError: a file cannot be trusted, a venue is not known, a symbol is not listed.
    """
    if config.market == "history":
        return HistoryFeed.load(Path(config.data or ""), timeframe=config.bars, symbols=config.symbols)
    if config.market == "live":
        return _live_feed(config, access, streams=streams)
    if config.market == "practice" and config.start is not None:
        before = WINDOW + 1  # for the indicators of the first cycle
        return PracticeFeed(config.seed, config.symbols, config.bars, config.start, before=before, clock=SystemClock())
    start = config.start or DEFAULT_START
    last = config.end or start + (config.cycles or DEFAULT_CYCLES) * config.bars.length
    # Bars before the first cycle for the indicators, and some after the last for its orders to fill in.
    return SyntheticFeed(
        config.seed, config.symbols, config.bars, start - (WINDOW + 1) * config.bars.length, last + 2 * config.bars.length
    )


def _live_feed(config: SessionConfig, access: VenueAccess | None, *, streams: bool) -> MarketFeed:
    """The venue's prices, and those of the standbys while it cannot be read."""
    venue, account, clock = config.venue or "", config.account, SystemClock()
    throttle = access.throttle(venue, account.id) if access and account else None
    url, sandbox = (account.url, account.sandbox) if account else (None, False)
    acquire = throttle.acquire if throttle else None
    first: MarketFeed
    if streams and venue in PROFILES:
        jitter = random.Random(secrets.randbits(64))  # noqa: S311  # spreads reconnects; nothing secret
        first = StreamFeed(venue, config.symbols, clock=clock, jitter=jitter, base_url=url, sandbox=sandbox, throttle=acquire)
    else:
        first = LiveFeed(venue, config.symbols, clock=clock, base_url=url, sandbox=sandbox, throttle=acquire)
    if not config.standby:
        return first
    return FailoverFeed([first, *(LiveFeed(name, config.symbols, clock=clock) for name in config.standby)], clock=clock)


@asynccontextmanager
async def closing(feed: MarketFeed) -> AsyncIterator[MarketFeed]:
    """A feed that is closed at the end of the block."""
    try:
        yield feed
    finally:
        await feed.close()
