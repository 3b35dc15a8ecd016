"""What differs between the venues' public streams, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from trading_core.domain.errors import ConfigurationError

_NONE: Mapping[str, object] = MappingProxyType({})


class Cache(StrEnum):
    """Where ccxt keeps what a channel told, by symbol."""

    TICKERS = "tickers"
    BIDS_ASKS = "bidsasks"
    TRADES = "trades"


@dataclass(frozen=True, slots=True)
class Channel:
    """A subscription.

    Attributes:
        watch: ccxt's method.
        each: asked for each symbol by itself, with the symbol; otherwise once, with all of them.
        params: given to the method.
    """

    watch: str
    each: bool = False
    params: Mapping[str, object] = field(default_factory=lambda: _NONE)


TRADES = Channel("watch_trades_for_symbols")
TICKERS = Channel("watch_tickers")
BIDS_ASKS = Channel("watch_bids_asks")


@dataclass(frozen=True, slots=True)
class StreamProfile:
    """The public streams of one venue.

    Attributes:
        channels: what is subscribed to.
        quotes: where the best bid and ask are found.
        counts: trade ids of a market count up by one (or by `stands_for`), so that a missing one shows.
        stands_for: the field of a raw trade that says how many of the venue's trades it is made of.
        page: trades that REST gives at most, the newest ones.
        page_params: given with that question.
        stream_path: path of the streams at a host that is not the venue's own, where ccxt reads the market's kind from the
            address; otherwise the venue's own path.
        ping_seconds: how often a sign of life is asked for; two missed ones end the socket.
    """

    channels: tuple[Channel, ...]
    quotes: Cache
    counts: bool
    page: int
    page_params: Mapping[str, object] = field(default_factory=lambda: _NONE)
    stands_for: str = ""
    stream_path: str = ""
    ping_seconds: float = 10.0


_PROFILES: Mapping[str, StreamProfile] = MappingProxyType(
    {
        # The day ticker comes once a second; the best prices, of every change, have a stream of their own, without a time.
        # Trade ids count up within a market: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
        # ccxt reads aggregated trades over REST unless told otherwise, and those have other ids.
        "binance": StreamProfile(
            channels=(TRADES, BIDS_ASKS, TICKERS),
            quotes=Cache.BIDS_ASKS,
            counts=True,
            page=1000,
            page_params=MappingProxyType({"fetchTradesMethod": "publicGetTrades"}),
            stream_path="/stream/ws",
        ),
        # The ticker of spot has no bid and ask; a book of one level does, on every change or every three seconds:
        # https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook. REST gives 60 trades of spot at most.
        "bybit": StreamProfile(
            channels=(TRADES, BIDS_ASKS, TICKERS), quotes=Cache.BIDS_ASKS, counts=False, page=60, ping_seconds=15.0
        ),
        # A row of the stream may stand for several trades of one taker at one price; its id is the last one's:
        # https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-trades-channel
        "okx": StreamProfile(
            channels=(TRADES, BIDS_ASKS, TICKERS), quotes=Cache.BIDS_ASKS, counts=True, stands_for="count", page=500
        ),
        # `ticker` comes with every match and has the best prices; the batched one that ccxt takes for several markets every 5 s.
        # https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
        "coinbase": StreamProfile(
            channels=(TRADES, Channel("watch_ticker", each=True)), quotes=Cache.TICKERS, counts=True, page=1000
        ),
        # Told of every change of the best prices with this trigger, and kept by ccxt with the tickers:
        # https://docs.kraken.com/api/docs/websocket-v2/ticker. A trade id is its number in the book.
        "kraken": StreamProfile(
            channels=(TRADES, Channel("watch_bids_asks", params=MappingProxyType({"event_trigger": "bbo"}))),
            quotes=Cache.TICKERS,
            counts=True,
            page=1000,
        ),
        # The ticker has the best prices: https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#ticker-instrument_name
        "cryptocom": StreamProfile(channels=(TRADES, TICKERS), quotes=Cache.TICKERS, counts=False, page=150),
    }
)


def stream_profile(venue_id: str) -> StreamProfile:
    """The public streams of a venue.

    Raises:
        ConfigurationError: they are not known here.
    """
    profile = _PROFILES.get(venue_id)
    if profile is None:
        raise ConfigurationError(
            f"the public streams of {venue_id!r} are not known",
            not_done="No stream was opened",
            next_step=f"Read that venue over REST, or stream from {', '.join(_PROFILES)}",
        )
    return profile
