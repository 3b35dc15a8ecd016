"""Which sources a desk asks about the world outside its market, and how they are opened."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from pydantic import SecretStr

from data_channels.aggregates import coingecko, defillama
from data_channels.aggregates.coingecko import CoinGecko
from data_channels.aggregates.defillama import DefiLlama
from data_channels.base import Channel, Kind, NotConfigured, Source
from data_channels.hub import ChannelHub
from data_channels.news import cryptopanic
from data_channels.news.cryptopanic import CryptoPanic
from data_channels.onchain import glassnode, whale_alert
from data_channels.onchain.glassnode import Glassnode
from data_channels.onchain.sentora import Sentora
from data_channels.onchain.whale_alert import WhaleAlert
from data_channels.sentiment import fear_greed, lunarcrush, x_api
from data_channels.sentiment.fear_greed import FearGreed
from data_channels.sentiment.lunarcrush import LunarCrush
from data_channels.sentiment.scoring import DEFAULT_SCORER, Scorer
from data_channels.sentiment.x_api import XApi
from data_channels.sink import ReadingSink
from data_channels.store.base import TimeSeriesStore
from data_channels.store.channel import StoredChannel
from data_channels.store.retention import Retention
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import MarketFeed


@dataclass(frozen=True, slots=True)
class ChannelAccess:
    """What the sources are opened with.

    Attributes:
        keys: secrets by name, such as `glassnode-api-key`; what is missing switches its source off, and it says so.
        store: path or URL of where readings are kept; None for the home folder's file.
        retention: for how long; None for ever.
        urls: other hosts that speak a source's API, by the source's name: mirrors, proxies, test servers.
    """

    keys: Mapping[str, SecretStr] = field(default_factory=lambda: MappingProxyType({}))
    urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    store: str | None = None
    retention: Retention | None = None

    def url(self, name: str, usual: str) -> str:
        """Where a source is."""
        return self.urls.get(name, usual)


SECRETS = (
    "coingecko-api-key",
    "cryptopanic-api-key",
    "glassnode-api-key",
    "lunarcrush-api-key",
    "reddit-client-id",
    "reddit-client-secret",
    "sentora-api-key",
    "sentora-base-url",
    "whale-alert-api-key",
    "x-bearer-token",
)
"""The names under which the providers of secrets are asked."""


def _sentora(access: ChannelAccess, _: Scorer) -> Source:
    configured = access.keys.get("sentora-base-url")
    url = access.urls.get("sentora") or (configured.get_secret_value() if configured else None)
    return Sentora(url, access.keys.get("sentora-api-key"))


def _reddit(access: ChannelAccess, scorer: Scorer) -> Source:
    from data_channels.sentiment import reddit  # here, because PRAW costs a fifth of a second that only its users should pay

    keys = access.keys
    return reddit.Reddit(
        keys.get("reddit-client-id"),
        keys.get("reddit-client-secret"),
        scorer,
        api_url=access.url("reddit", reddit.API_URL),
        login_url=access.url("reddit", reddit.LOGIN_URL),
    )


_MAKERS: Mapping[str, Callable[[ChannelAccess, Scorer], Source]] = MappingProxyType(
    {
        "coingecko": lambda a, _: CoinGecko(a.keys.get("coingecko-api-key"), base_url=a.url("coingecko", coingecko.DEMO_URL)),
        "defillama": lambda a, _: DefiLlama(
            base_url=a.url("defillama", defillama.API_URL), stablecoins_url=a.url("defillama", defillama.STABLECOINS_URL)
        ),
        "fear-greed": lambda a, _: FearGreed(base_url=a.url("fear-greed", fear_greed.BASE_URL)),
        "reddit": _reddit,
        "x": lambda a, s: XApi(a.keys.get("x-bearer-token"), s, base_url=a.url("x", x_api.BASE_URL)),
        "lunarcrush": lambda a, s: LunarCrush(
            a.keys.get("lunarcrush-api-key"), s, base_url=a.url("lunarcrush", lunarcrush.BASE_URL)
        ),
        "cryptopanic": lambda a, s: CryptoPanic(
            a.keys.get("cryptopanic-api-key"), s, base_url=a.url("cryptopanic", cryptopanic.BASE_URL)
        ),
        "glassnode": lambda a, _: Glassnode(a.keys.get("glassnode-api-key"), base_url=a.url("glassnode", glassnode.BASE_URL)),
        "whale-alert": lambda a, _: WhaleAlert(
            a.keys.get("whale-alert-api-key"), base_url=a.url("whale-alert", whale_alert.BASE_URL)
        ),
        "sentora": _sentora,
    }
)
SOURCES = tuple(_MAKERS)


def make_sources(names: Sequence[str], access: ChannelAccess) -> list[Source]:
    """The named sources, those without their key switched off.

    Raises:
        ConfigurationError: a name is not known.
    """
    for name in names:
        if name not in _MAKERS:
            raise ConfigurationError(
                f"there is no channel source {name!r}", not_done="Nothing was opened", next_step=f"Use {', '.join(SOURCES)}"
            )
    scorer = DEFAULT_SCORER()
    return [_MAKERS[name](access, scorer) for name in dict.fromkeys(names)]


@asynccontextmanager
async def open_hub(
    names: Sequence[str],
    symbols: Sequence[str],
    access: ChannelAccess,
    *,
    clock: Clock,
    feeds: Sequence[MarketFeed] = (),
    sink: ReadingSink | None = None,
) -> AsyncIterator[ChannelHub]:
    """The hub over these sources, asking them until the block ends.

    Args:
        feeds: venues whose prices are held against those of the sources.
        sink: keeps every reading.
    """
    chance = random.Random(secrets.randbits(64))  # noqa: S311  # spreads the asking of many desks; nothing secret
    hub = ChannelHub(make_sources(names, access), symbols, clock=clock, chance=chance, feeds=feeds, sink=sink)
    async with hub:
        yield hub


def channels_of(hub: ChannelHub) -> list[Channel]:
    """A channel for each kind; where no source is of it, one that says so."""
    return [hub.channel(kind) or NotConfigured(kind.value) for kind in Kind]


async def stored_channels(names: Sequence[str], store: TimeSeriesStore) -> list[Channel]:
    """A channel for each kind out of what was kept of the named sources: what was known at an instant of the past.

    Raises:
        ConfigurationError: a name is not known.
    """
    sources = make_sources(names, ChannelAccess())
    fresh: dict[Kind, dict[str, timedelta]] = {}
    for source in sources:
        fresh.setdefault(source.kind, {})[source.name] = source.pace.stale_after
        await source.close()
    return [StoredChannel(kind, store, fresh[kind]) if kind in fresh else NotConfigured(kind.value) for kind in Kind]
