"""What differs between venues, as data. The behaviour is in `ccxt_broker.py`, once for all.

Names of parameters and options were checked against ccxt 4.5.90; limits of ids and rates are the venues' own:
Binance https://developers.binance.com/docs/binance-spot-api-docs/rest-api, Bybit https://bybit-exchange.github.io/docs/v5,
OKX https://www.okx.com/docs-v5, Coinbase https://docs.cdp.coinbase.com/advanced-trade, Kraken https://docs.kraken.com/api,
Crypto.com https://exchange-docs.crypto.com/exchange/v1/rest-ws.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from trading_core.brokers.client_ids import IdRule
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.instruments import FeeCurrency

Params = Mapping[str, object]
_NONE: Params = MappingProxyType({})


class Lookup(StrEnum):
    """How an order is found by its client id, and so what "the venue has no such order" rests on."""

    BY_ID = "by_id"  # one call that answers with the order, or that it does not exist
    FILTERED = "filtered"  # lists of open and of closed orders that the venue filters by the id: absent from both
    LISTED = "listed"  # no filter: the whole lists of open and of past orders are gone through


class PastOrders(StrEnum):
    """Which of ccxt's lists holds every order that has ended."""

    CLOSED = "closed"
    CANCELLED_AND_CLOSED = "cancelled_and_closed"


class MarketBuy(StrEnum):
    """How a market buy of a base quantity is sent."""

    BASE = "base"
    LIMIT = "limit"  # the venue takes quote only: an immediate-or-cancel limit above the ask keeps the quantity exact


class PageFrom(StrEnum):
    """Which end of its history a venue gives when there is more than a page."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


@dataclass(frozen=True, slots=True)
class History:
    """How past trades and orders are read.

    Attributes:
        page: how many the venue gives at once.
        window: the longest span one question may cover; None for no limit.
        order: which end of a span a page is cut from.
        needs_symbol: whether trades are only told market by market.
    """

    page: int
    window: timedelta | None
    order: PageFrom
    needs_symbol: bool = False


@dataclass(frozen=True, slots=True)
class VenueProfile:
    """One venue.

    Attributes:
        venue: ccxt's id.
        title: its name.
        ids: what it takes for a client order id.
        id_param: under which name ccxt hands the id on when an order is placed.
        stop_id_param: under which name too when it is a stop, if stops have ids of their own.
        find_param: under which name an order is asked for.
        credentials: what a key consists of, in ccxt's names.
        lookup: how an order is found.
        history: how the past is read.
        per_second: requests (in ccxt's weights) the venue takes each second.
        burst: how many at once.
        market_buy: how a market buy is sent.
        market_params: sent with a market order, so that the quantity is never read as quote.
        stop_param: under which name the stop price is sent.
        stop_needs_limit: stops exist only with a limit; one is put `collar` beyond the stop price.
        stops_apart: stops are kept in a book of their own, asked and cancelled with `{"trigger": True}`.
        cancel_stop_params: sent with the cancel of a stop.
        collar: how far a limit that stands in for a market order may lie from the price, as a fraction.
        fee_currency: what it takes its fees from, where ccxt does not say.
        past: where `Lookup.FILTERED` finds orders that have ended.
        fetch_params: sent when an order is asked for by the venue's id.
        open_by_symbol: live orders have to be asked market by market.
        open_limit: how many live orders it tells at most; None for all.
        hidden_markets: what the ids of markets end with that must not stand in for the one of the same symbol.
        sandbox: whether it has one that ccxt reaches.
        measures_clock: whether it tells its time, so that skew is taken off.
        options: ccxt's options that are needed.
        refusals: fragments of an error body that only an order which was judged gets, for errors ccxt has no class for.
    """

    venue: str
    title: str
    ids: IdRule
    id_param: str
    find_param: str
    lookup: Lookup
    history: History
    per_second: float
    burst: float
    stop_param: str
    fee_currency: FeeCurrency
    stop_id_param: str | None = None
    credentials: tuple[str, ...] = ("apiKey", "secret")
    market_buy: MarketBuy = MarketBuy.BASE
    market_params: Params = field(default_factory=lambda: _NONE)
    stop_needs_limit: bool = False
    stops_apart: bool = False
    cancel_stop_params: Params = field(default_factory=lambda: _NONE)
    collar: Decimal = Decimal("0.05")
    past: PastOrders = PastOrders.CLOSED
    fetch_params: Params = field(default_factory=lambda: _NONE)
    open_by_symbol: bool = False
    open_limit: int | None = None
    hidden_markets: str = ""
    sandbox: bool = True
    measures_clock: bool = True
    options: Params = field(default_factory=lambda: _NONE)
    refusals: tuple[str, ...] = ()


_DAY = timedelta(days=1)

BINANCE = VenueProfile(
    venue="binance",
    title="Binance",
    ids=IdRule(36, also="-_.:/"),
    id_param="clientOrderId",
    find_param="clientOrderId",
    lookup=Lookup.BY_ID,
    history=History(page=1000, window=_DAY, order=PageFrom.OLDEST_FIRST, needs_symbol=True),
    per_second=20,  # 6,000 of weight a minute are allowed; ccxt keeps to 1,200
    burst=20,
    stop_param="stopLossPrice",
    fee_currency=FeeCurrency.RECEIVED,
    options={
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},  # else every derivative is loaded too
        "fetchMargins": False,  # both would call sapi, which the test network does not have
        "fetchCurrencies": False,
        "fetchOpenOrders": {"warnWithoutSymbol": False},  # the whole account is wanted: 80 of weight
        "recvWindow": 5000,
    },
)

BYBIT = VenueProfile(
    venue="bybit",
    title="Bybit",
    ids=IdRule(36, also="-_"),
    id_param="clientOrderId",
    find_param="orderLinkId",
    lookup=Lookup.FILTERED,  # its `fetch_order` wants the venue's id, and sees the last 500 orders only
    history=History(page=100, window=timedelta(days=7), order=PageFrom.NEWEST_FIRST, needs_symbol=True),
    open_by_symbol=True,  # without a market, ccxt takes rows of spot for rows of contracts
    open_limit=50,
    per_second=10,  # order endpoints: 10 to 20 a second for each account
    burst=10,
    market_params={"marketUnit": "baseCoin"},
    stop_param="triggerPrice",
    past=PastOrders.CANCELLED_AND_CLOSED,
    fetch_params={"acknowledged": True},  # that only the last 500 orders are seen
    cancel_stop_params={"trigger": True},  # else the cancel looks among plain orders only
    fee_currency=FeeCurrency.RECEIVED,
    options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "recvWindow": 5000},
)

OKX = VenueProfile(
    venue="okx",
    title="OKX",
    ids=IdRule(32),
    id_param="clientOrderId",
    stop_id_param="algoClOrdId",
    find_param="clientOrderId",
    credentials=("apiKey", "secret", "password"),
    lookup=Lookup.BY_ID,
    history=History(page=100, window=None, order=PageFrom.NEWEST_FIRST),
    per_second=9,
    burst=9,
    open_limit=100,
    market_params={"tgtCcy": "base_ccy"},
    stop_param="triggerPrice",
    stops_apart=True,
    cancel_stop_params={"trigger": True},
    fee_currency=FeeCurrency.RECEIVED,
    options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
)

COINBASE = VenueProfile(
    venue="coinbase",
    title="Coinbase",
    ids=IdRule(36, also="-"),
    id_param="client_order_id",  # ccxt drops `clientOrderId` and sends a random id instead
    find_param="client_order_id",
    lookup=Lookup.LISTED,
    history=History(page=100, window=None, order=PageFrom.NEWEST_FIRST),
    per_second=29,
    burst=10,
    open_limit=100,
    market_buy=MarketBuy.LIMIT,
    stop_param="stopLossPrice",  # with `triggerPrice` ccxt sends the opposite direction
    stop_needs_limit=True,
    fee_currency=FeeCurrency.QUOTE,
    sandbox=False,
    options={
        "defaultType": "spot",
        "fetchBalance": "v3PrivateGetBrokerageAccounts",  # v2 lists wallets, not what trades
        "v3Accounts": ("ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT", "CRYPTO", "FIAT"),  # recorded bodies have the short form
    },
    refusals=('"error_response"',),
)

KRAKEN = VenueProfile(
    venue="kraken",
    title="Kraken",
    ids=IdRule(18),
    id_param="clientOrderId",
    find_param="clientOrderId",
    lookup=Lookup.FILTERED,
    history=History(page=50, window=None, order=PageFrom.NEWEST_FIRST),
    per_second=1,
    burst=10,
    stop_param="stopLossPrice",  # ccxt does not read `triggerPrice` here
    fee_currency=FeeCurrency.QUOTE,
    hidden_markets=".d",  # dark pools: where they are listed, ccxt's last market of a symbol wins
    sandbox=False,
    options={"defaultType": "spot"},
    refusals=('"EOrder:',),
)

CRYPTOCOM = VenueProfile(
    venue="cryptocom",
    title="Crypto.com",
    ids=IdRule(36, also="-_"),
    id_param="client_oid",  # ccxt drops `clientOrderId`
    find_param="client_oid",
    lookup=Lookup.LISTED,  # ccxt always sends an `order_id` beside it
    history=History(page=100, window=_DAY, order=PageFrom.NEWEST_FIRST),
    per_second=30,  # private calls: three each 100 ms; trades and history one a second, which ccxt weighs
    burst=3,
    stop_param="stopLossPrice",
    fee_currency=FeeCurrency.RECEIVED,
    measures_clock=False,  # ccxt has no time of this venue
    options={"defaultType": "spot"},
)

PROFILES: Mapping[str, VenueProfile] = MappingProxyType(
    {profile.venue: profile for profile in (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)}
)


def profile_of(venue: str) -> VenueProfile:
    """The profile of a venue.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return PROFILES[venue]
    except KeyError:
        near = difflib.get_close_matches(venue.lower(), PROFILES, n=1, cutoff=0.6)
        raise ConfigurationError(
            f"the desk does not trade at a venue {venue!r}",
            not_done="No broker was opened",
            next_step=f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(PROFILES)}",
        ) from None
