"""What differs between venues, as data. The behaviour is in `ccxt_broker.py`, once for all.

Names of parameters and options were checked against ccxt 4.5.90; limits of ids and rates are the venues' own:
Binance https://developers.binance.com/docs/binance-spot-api-docs/rest-api, Bybit https://bybit-exchange.github.io/docs/v5,
OKX https://www.okx.com/docs-v5, Coinbase https://docs.cdp.coinbase.com/advanced-trade, Kraken https://docs.kraken.com/api,
Crypto.com https://exchange-developer.crypto.com/exchange/v1/docs/api.
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
from trading_core.brokers.venue_streams import Streams, Told
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.instruments import FeeCurrency

Params = Mapping[str, object]
_NONE: Params = MappingProxyType({})
_TRIGGER: Params = MappingProxyType({"trigger": True})


class Lookup(StrEnum):
    """How an order is found by its client id, and so what "the venue has no such order" rests on."""

    BY_ID = "by_id"  # one call that answers with the order, or that it does not exist
    FILTERED = "filtered"  # lists of open and of closed orders that the venue filters by the id: absent from both
    LISTED = "listed"  # no filter: the whole lists of the account's open and past orders are gone through


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
        leaves_out_end: whether the last instant that is asked for is not told.
        cursor: under which name a row of a page tells where the next page begins, and that page is asked for; empty for a
            venue whose pages are cut by time only.
        cursor_param: under which name it is asked for, where that is another.
        offset_param: under which name a page is asked for by how many rows go before it, where the venue counts them.
    """

    page: int
    window: timedelta | None
    order: PageFrom
    needs_symbol: bool = False
    leaves_out_end: bool = False
    cursor: str = ""
    cursor_param: str = ""
    offset_param: str = ""


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
        stop_params: sent with a stop, with or without a limit.
        stop_needs_limit: stops exist only with a limit; one is put `collar` beyond the stop price.
        stops_apart: stops are kept in a book of their own, asked and cancelled with `{"trigger": True}`.
        stop_books: what each of these books is asked for its live stops with.
        cancel_stop_params: sent with the cancel of a stop.
        waiting_stop: what the raw row of a stop says until it triggers, where it is a plain order to the cancel from then on.
        infers_stop_direction: a stop is never refused because its price was passed: the venue waits for it to come back.
        collar: how far a limit that stands in for a market order may lie from the price, as a fraction.
        fee_currency: what it takes its fees from, where ccxt does not say.
        trades_name_orders: a trade tells the client id of its order: without one, the order has none.
        past: where `Lookup.FILTERED` finds orders that have ended.
        fetch_params: sent when an order is asked for by the venue's id.
        open_by_symbol: live orders have to be asked market by market.
        open_limit: how many live orders it tells at most; None for all.
        repeats_answered: an order under a client id that is in use is answered as if it had been taken, with the venue's id of
            the order that has it. Nothing is placed then.
        hidden_markets: what the ids of markets end with that must not stand in for the one of the same symbol.
        sandbox: whether it has one that ccxt reaches.
        measures_clock: whether the skew to its time is measured and taken off what requests carry.
        clock_step_ms: how coarsely it tells its time, milliseconds.
        nonces_grow: it takes signed requests in the order of their nonces only, so that one waits for the answer to another.
        signs_seconds: requests are signed with the second they were made in, from which ccxt takes no skew off; one whose time
            is not accepted is answered like one of a wrong key.
        key_endpoint: ccxt's method that tells what a key may do (`permissions.py`); empty where the venue does not.
        options: ccxt's options that are needed.
        refusals: fragments of an error body that only an order which was judged gets, or a caller who was turned away, for
            errors that ccxt has no class for, or the wrong one.
        refuses_with_5xx: such a body proves a refusal, although it comes with the status of a server error.
        taken: fragments of an error body that tell of an order which was taken, and perhaps filled, whatever ccxt's class for it.
        streams: what it tells of the account as it happens.
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
    streams: Streams
    stop_id_param: str | None = None
    credentials: tuple[str, ...] = ("apiKey", "secret")
    market_buy: MarketBuy = MarketBuy.BASE
    market_params: Params = field(default_factory=lambda: _NONE)
    stop_params: Params = field(default_factory=lambda: _NONE)
    stop_needs_limit: bool = False
    stops_apart: bool = False
    stop_books: tuple[Params, ...] = (_TRIGGER,)
    cancel_stop_params: Params = field(default_factory=lambda: _NONE)
    waiting_stop: Params = field(default_factory=lambda: _NONE)
    infers_stop_direction: bool = False
    collar: Decimal = Decimal("0.05")
    trades_name_orders: bool = False
    past: PastOrders = PastOrders.CLOSED
    fetch_params: Params = field(default_factory=lambda: _NONE)
    open_by_symbol: bool = False
    open_limit: int | None = None
    repeats_answered: bool = False
    hidden_markets: str = ""
    sandbox: bool = True
    measures_clock: bool = True
    clock_step_ms: int = 1
    nonces_grow: bool = False
    signs_seconds: bool = False
    key_endpoint: str = ""
    options: Params = field(default_factory=lambda: _NONE)
    refusals: tuple[str, ...] = ()
    refuses_with_5xx: bool = False
    taken: tuple[str, ...] = ()


_DAY = timedelta(days=1)

BINANCE = VenueProfile(
    venue="binance",
    title="Binance",
    ids=IdRule(36, also="-_.:/"),
    id_param="clientOrderId",
    find_param="clientOrderId",
    lookup=Lookup.BY_ID,
    history=History(page=1000, window=_DAY, order=PageFrom.OLDEST_FIRST, needs_symbol=True),
    per_second=15,  # ccxt counts a fifth of the venue's weights, of which it takes 6,000 a minute
    burst=250,  # with a minute at that rate still below it; asking for all live orders alone is 16
    stop_param="stopLossPrice",
    fee_currency=FeeCurrency.RECEIVED,
    key_endpoint="sapiGetAccountApiRestrictions",  # the test network does not have it
    options={
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},  # else every derivative is loaded too
        "fetchMargins": False,  # both would call sapi, which the test network does not have
        "fetchCurrencies": False,
        "fetchOpenOrders": {"warnWithoutSymbol": False},  # the whole account is wanted: 80 of weight
        "recvWindow": 5000,
    },
    # -2015 and -2008; once a key has worked, ccxt takes the first for a rate limit.
    refusals=("Invalid API-key, IP, or permissions", "Invalid Api-Key ID"),
    streams=Streams(
        fills=Told.WHOLE,
        orders=Told.WHOLE,
        confirms={"status": 200},
        ends={"e": "eventStreamTerminated"},  # ccxt then waits on, on a socket that tells nothing any more
        denials=('"code":-1022', '"code":-2008', '"code":-2014', '"code":-2015'),  # signature, key, its format, its rights
        client_id="c",
    ),
)

BYBIT = VenueProfile(
    venue="bybit",
    title="Bybit",
    ids=IdRule(36, also="-_"),
    id_param="clientOrderId",
    find_param="orderLinkId",
    lookup=Lookup.FILTERED,  # its `fetch_order` wants the venue's id, and sees the last 500 orders only
    history=History(
        page=100,
        window=timedelta(days=7),
        order=PageFrom.NEWEST_FIRST,
        needs_symbol=True,
        cursor="nextPageCursor",  # one order that sweeps the book trades more than a page in a millisecond
        cursor_param="cursor",
    ),
    open_by_symbol=True,  # without a market, ccxt takes rows of spot for rows of contracts
    open_limit=50,
    per_second=10,  # order endpoints: 10 to 20 a second for each account
    burst=10,
    market_params={"marketUnit": "baseCoin"},
    stop_param="triggerPrice",
    waiting_stop={"orderStatus": "Untriggered"},
    infers_stop_direction=True,
    trades_name_orders=True,
    past=PastOrders.CANCELLED_AND_CLOSED,
    fetch_params={"acknowledged": True},  # that only the last 500 orders are seen
    cancel_stop_params={"trigger": True},  # else the cancel looks among plain orders only
    fee_currency=FeeCurrency.RECEIVED,
    key_endpoint="privateGetV5UserQueryApi",
    options={
        "defaultType": "spot",
        "fetchMarkets": {"types": ["spot"]},
        "recvWindow": 5000,
        # A unified account, which every other kind has to be made. Not told so, ccxt asks twice before the first order.
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "unifiedMarginStatus": 6,
    },
    # Both topics carry the rows of the REST API, and ccxt reads both with the same code.
    streams=Streams(fills=Told.WHOLE, orders=Told.WHOLE, confirms={"op": "subscribe", "success": True}),
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
    stop_param="triggerPrice",  # with `stopLossPrice`, which has a direction, ccxt trades on margin
    infers_stop_direction=True,
    stops_apart=True,
    # The desk's are in the first; in the others is what its owner has set at the venue.
    stop_books=(_TRIGGER, {**_TRIGGER, "ordType": "conditional,oco"}, {**_TRIGGER, "ordType": "move_order_stop"}),
    cancel_stop_params={"trigger": True},
    fee_currency=FeeCurrency.RECEIVED,
    key_endpoint="privateGetAccountConfig",
    # The key may not do this; the account has, or has just placed, too many orders; the id of a stop is in use.
    refusals=('"50120"', '"50061"', '"51025"', '"51065"'),
    options={"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
    # Executions come inside of orders, and ccxt leaves their fees with the wrong sign: an order that has filled more is read.
    streams=Streams(fills=Told.NOTHING, orders=Told.WHOLE, confirms={"event": "subscribe"}),
)

COINBASE = VenueProfile(
    venue="coinbase",
    title="Coinbase",
    ids=IdRule(36, also="-"),
    id_param="client_order_id",  # ccxt drops `clientOrderId` and sends a random id instead
    find_param="client_order_id",
    lookup=Lookup.LISTED,
    # Fills are told by the time of the trade and cut by the later one at which they were written down: only a cursor is exact.
    history=History(page=100, window=None, order=PageFrom.NEWEST_FIRST, cursor="cursor"),
    per_second=29,
    burst=10,
    open_limit=1000,
    repeats_answered=True,
    market_buy=MarketBuy.LIMIT,
    stop_param="stopLossPrice",  # with `triggerPrice` ccxt sends the opposite direction
    stop_needs_limit=True,
    fee_currency=FeeCurrency.QUOTE,
    sandbox=False,
    clock_step_ms=1000,
    signs_seconds=True,
    key_endpoint="v3PrivateGetBrokerageKeyPermissions",
    options={
        "defaultType": "spot",
        "fetchBalance": "v3PrivateGetBrokerageAccounts",  # v2 lists wallets, not what trades
        "v3Accounts": ("ACCOUNT_TYPE_CRYPTO", "ACCOUNT_TYPE_FIAT", "CRYPTO", "FIAT"),  # recorded bodies have the short form
    },
    refusals=('"error_response"',),
    # Of executions only the order tells. A channel without news for 60 to 90 seconds is ended, but for the one that beats
    # (https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels).
    streams=Streams(
        fills=Told.NOTHING,
        orders=Told.WHOLE,
        confirms={"channel": "subscriptions"},
        denials=("authentication failure",),
        keeps_open="heartbeats",
    ),
)

KRAKEN = VenueProfile(
    venue="kraken",
    title="Kraken",
    ids=IdRule(18),
    id_param="clientOrderId",
    find_param="clientOrderId",
    lookup=Lookup.FILTERED,
    # ccxt asks for whole seconds, and one more: pages that were cut by time would stand still in a second of many trades.
    history=History(page=50, window=None, order=PageFrom.NEWEST_FIRST, offset_param="ofs"),
    per_second=1,
    burst=10,
    stop_param="stopLossPrice",  # ccxt does not read `triggerPrice` here
    fee_currency=FeeCurrency.QUOTE,
    nonces_grow=True,
    measures_clock=False,  # it looks at no clock, and tells whole seconds: with them taken off, nonces would step back
    hidden_markets=".d",  # dark pools: where they are listed, ccxt's last market of a symbol wins
    sandbox=False,
    clock_step_ms=1000,
    key_endpoint="privatePostGetApiKeyInfo",
    options={"defaultType": "spot"},
    # Arguments, pair and state of the market are judged before anything is done
    # (https://docs.kraken.com/api/docs/guides/spot-errors); an id that an open order has comes as an argument "not unique".
    refusals=(
        '"EOrder:',
        '"EGeneral:Invalid arguments',
        '"EQuery:Unknown asset pair',
        '"EService:Market in ',
        '"EAPI:Invalid signature',
    ),
    # ccxt takes a user's number for the client id and works out what has filled by a division; a trade's time and fee are
    # rounded otherwise than in its history (https://docs.kraken.com/api/docs/websocket-v2/executions).
    streams=Streams(
        fills=Told.NEWS,
        orders=Told.NEWS,
        confirms={"method": "subscribe", "success": True},
        refuses={"method": "subscribe", "success": False},
        denials=("Permission denied",),
    ),
)

CRYPTOCOM = VenueProfile(
    venue="cryptocom",
    title="Crypto.com",
    ids=IdRule(36, also="-_"),
    id_param="client_oid",  # ccxt drops `clientOrderId`
    find_param="client_oid",
    lookup=Lookup.BY_ID,  # as `ccxt_cryptocom.py` puts it
    history=History(page=100, window=_DAY, order=PageFrom.NEWEST_FIRST, leaves_out_end=True),
    per_second=100,  # ccxt's weights: most private calls weigh 3.3, for three each 100 ms; trades and history 100
    burst=10,
    stop_param="stopLossPrice",
    stop_params={"ref_price_type": "LAST_PRICE"},  # else a stop triggers by the mark price
    stops_apart=True,
    cancel_stop_params={"trigger": True},
    fee_currency=FeeCurrency.RECEIVED,
    measures_clock=False,  # it tells no time
    options={"defaultType": "spot"},
    refusals=tuple(
        f'"{code}"'
        for code in (
            "DUPLICATE_CLORDID",
            "INSTRUMENT_NOT_TRADABLE",
            "INVALID_INSTRUMENT",
            "INVALID_ORDERID",
            "INVALID_ORDTYPE",
            "INVALID_FEE_CURRENCY",
            "INVALID_EXECINST",
            "INVALID_SIDE",
            "INVALID_TIF",
            "INVALID_REF_PRICE",
            "INVALID_REF_PRICE_TYPE",
            "INVALID_PRICE",
            "INSUFFICIENT_AVAILABLE_BALANCE",
            "MARKET_IS_NOT_OPEN",
            "ORDER_PRICE_GREATER_THAN_LIMITUPPRICE",
            "ORDER_PRICE_LESS_THAN_LIMITDOWNPRICE",
            "NO_ACTIVE_ORDER",
            "EXCEEDS_MAX_ALLOWED_ORDERS",
            "EXCEEDS_MAX_AVAILABLE_BALANCE",
            "ACCOUNT_IS_NOT_ACTIVE",
            "ACCOUNT_IS_SUSPENDED",
            "BELOW_MIN_ORDER_SIZE",
            "POST_ONLY_REJ",
        )
    ),
    refuses_with_5xx=True,
    # The first three end an order that was there; the last comes with an id, and the venue's own client takes it for a success.
    taken=('"FILL_OR_KILL"', '"IMMEDIATE_OR_CANCEL"', '"SELF_TRADE_PREVENTION"', '"FAR_AWAY_LIMIT_PRICE"'),
    streams=Streams(fills=Told.WHOLE, orders=Told.WHOLE, confirms={"method": "subscribe", "code": 0, "result": None}),
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
