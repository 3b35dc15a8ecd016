"""What differs between venues, as data. The behaviour is in `broker.py`, once for all.

Names of parameters and options were checked against ccxt 4.5.90; limits of ids and rates are the venues' own:
Binance https://developers.binance.com/docs/binance-spot-api-docs/rest-api, Bybit https://bybit-exchange.github.io/docs/v5,
OKX https://www.okx.com/docs-v5, Coinbase https://docs.cdp.coinbase.com/advanced-trade, Kraken https://docs.kraken.com/api,
Crypto.com https://exchange-developer.crypto.com/exchange/v1/docs/api.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from trading_core.brokers.venues.client_ids import IdRule
from trading_core.brokers.venues.profile import TRIGGER, History, Lookup, MarketBuy, PageFrom, PastOrders, VenueProfile
from trading_core.brokers.venues.streams import Streams, Told
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.instruments import FeeCurrency

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
    stop_books=(TRIGGER, {**TRIGGER, "ordType": "conditional,oco"}, {**TRIGGER, "ordType": "move_order_stop"}),
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
    lookup=Lookup.BY_ID,  # as `cryptocom.py` puts it
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
