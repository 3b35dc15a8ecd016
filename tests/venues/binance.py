"""Binance spot, as its REST API and its streams speak, over the matching engine: enough of it for unmodified ccxt to trade.

    exchange = Exchange([Market("BTC", "USDT")], wall_clock_ms)
    exchange.deposit("desk", "USDT", Decimal(10_000))
    exchange.move("BTC/USDT", Decimal(50_000))
    with VenueServer(BinanceVenue(exchange, [Key("key", "secret", "desk")])) as server:
        client = ccxt.async_support.binance({"apiKey": "key", "secret": "secret", "options": OPTIONS})
        client.urls["api"] = api_urls(server.base_url)

Keys, signatures (HMAC-SHA256 over the query and body as they were sent), timestamps and `recvWindow` are checked as Binance
does, and every refusal has Binance's status, code and message. A parameter that an endpoint does not have is an error, too.
Source: https://developers.binance.com/docs/binance-spot-api-docs (REST: request security, all endpoints below; errors).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from tests.venues import binance_account as account
from tests.venues import binance_market as public
from tests.venues import binance_orders as orders
from tests.venues.binance_orders import BinanceError, Params, need, number, only
from tests.venues.binance_stream import BinanceStreams
from tests.venues.engine import Exchange
from tests.venues.engine_types import Fees, Market, Rejected, VenueOrder
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, Key, Stream, wall_clock_ms
from trading_core.brokers.venues.profiles import BINANCE

__all__ = ["OPTIONS", "BinanceVenue", "Key", "api_urls", "wall_clock_ms"]

OPTIONS = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}
"""ccxt's options that keep a spot client on the spot API."""
SIGNED = frozenset({"timestamp", "recvWindow", "signature"})
ID_PARAMS = frozenset({"symbol", "orderId", "origClientOrderId"})
PAGE = frozenset({"symbol", "orderId", "startTime", "endTime", "limit"})
WEIGHTS = {"markets": 20, "balance": 20, "orders": 20, "trades": 20, "open_orders": 6, "order": 4, "book": 5, "candles": 2}


def api_urls(base_url: str) -> dict[str, str]:
    """ccxt's `urls["api"]` with every part of Binance at `base_url`."""
    return {
        "public": f"{base_url}/api/v3",
        "private": f"{base_url}/api/v3",
        "v1": f"{base_url}/api/v1",
        "sapi": f"{base_url}/sapi/v1",
        "sapiV2": f"{base_url}/sapi/v2",
        "sapiV3": f"{base_url}/sapi/v3",
        "sapiV4": f"{base_url}/sapi/v4",
    }


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path does: the operation's name, the parameters it knows, and the work; `signed` ones get the key's account."""

    operation: str
    known: frozenset[str]
    work: Callable[[Params, Key], object]
    signed: bool = True
    trades: bool = False


NOBODY = Key("", "", "", can_trade=False)


class BinanceVenue:
    """See the module."""

    def __init__(self, exchange: Exchange, keys: Iterable[Key]) -> None:
        self.exchange = exchange
        self.keys = {key.key: key for key in keys}
        self.skew_ms = 0
        self._markets = {market.base + market.quote: market for market in exchange.markets.values()}
        self._generated = 0
        self._weight: tuple[int, int] = (0, 0)
        self._streams = BinanceStreams(exchange, self.keys, self.now)
        self._endpoints = self._table()

    def now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    # The frame's side

    def operation(self, call: Call) -> str:
        endpoint = self._endpoints.get((call.method, call.path))
        return endpoint.operation if endpoint else "unknown"

    def answer(self, call: Call) -> Answer:
        endpoint = self._endpoints.get((call.method, call.path))
        if endpoint is None:
            return Answer({"code": -1000, "msg": f"The path {call.path} is not served here."}, 404)
        try:
            key = self._authorised(call, endpoint) if endpoint.signed else NOBODY
            params = {name: value for name, value in call.params.items() if not endpoint.signed or name not in SIGNED}
            only(params, endpoint.known)
            return Answer(endpoint.work(params, key), headers=self._used(endpoint.operation))
        except BinanceError as error:
            return Answer({"code": error.code, "msg": error.message}, error.status, self._used(endpoint.operation))
        except Rejected as error:
            code, message = orders.REJECTIONS[error.why]
            return Answer({"code": code, "msg": message}, 400, self._used(endpoint.operation))

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        match trouble:
            case Trouble.RATE_LIMIT:
                limit = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
                return Answer({"code": -1003, "msg": f"{limit} Please use WebSocket Streams for live updates."}, 429)
            case Trouble.BAN:
                until = self.now() + 1000 * (fault.retry_after or 120)
                return Answer({"code": -1003, "msg": f"Way too much request weight used; IP banned until {until}."}, 418)
            case Trouble.MAINTENANCE:
                return Answer({"code": 1, "msg": "System is under maintenance."}, 503)
            case Trouble.NO_PERMISSION:
                return Answer({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
            case Trouble.BAD_KEY:
                return Answer({"code": -2014, "msg": "API-key format invalid."}, 401)
            case Trouble.SERVER_ERROR if fault.executes:
                lost = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
                return Answer({"code": -1007, "msg": lost}, fault.status)
            case Trouble.SERVER_ERROR:
                return Answer(
                    {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}, fault.status
                )

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        if not isinstance(answer.body, list):
            return answer
        rows = answer.body[::-1] if listing is Listing.REORDERED else [row for row in answer.body for _ in range(2)]
        return replace(answer, body=rows)

    def connected(self, stream: Stream) -> None:
        self._streams.connected(stream)

    def heard(self, stream: Stream, message: object) -> None:
        self._streams.heard(stream, message)

    def gone(self, stream: Stream) -> None:
        self._streams.gone(stream)

    def end_user_streams(self) -> None:
        """End every subscription to an account, as Binance does when its session is logged out; the sockets stay open."""
        with self.exchange.lock:
            self._streams.end_users()

    def _used(self, operation: str) -> dict[str, str]:
        """The weight used in this minute, as Binance's header tells it."""
        minute = self.now() // 60_000
        weight = WEIGHTS.get(operation, 1) + (self._weight[1] if self._weight[0] == minute else 0)
        self._weight = minute, weight
        return {"X-MBX-USED-WEIGHT-1M": str(weight)}

    def _authorised(self, call: Call, endpoint: Endpoint) -> Key:
        """The key of a signed request whose signature, clock and permission are right."""
        sent = "".join(part.partition("signature=")[0].removesuffix("&") for part in (call.query, call.body))
        params = dict(parse_qsl(f"{call.query}&{call.body}"))
        key = account.authorised(self.keys, call.headers.get("x-mbx-apikey", ""), sent, params, self.now())
        if endpoint.trades and not key.can_trade:
            raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return key

    def _table(self) -> dict[tuple[str, str], Endpoint]:
        symbol = frozenset({"symbol"})
        cancel, query = ID_PARAMS | {"newClientOrderId"}, ID_PARAMS
        candles = frozenset({"symbol", "interval", "startTime", "endTime", "limit"})
        listed = symbol | {"limit"}
        tickers = frozenset({"symbol", "symbols", "type"})
        none: frozenset[str] = frozenset()
        markets = frozenset({"symbol", "symbols", "permissions", "showPermissionSets"})
        return {
            ("POST", "/api/v3/order"): Endpoint("place", orders.NEW_ORDER, self._place, trades=True),
            ("DELETE", "/api/v3/order"): Endpoint("cancel", cancel, self._cancel, trades=True),
            ("DELETE", "/api/v3/openOrders"): Endpoint("cancel_all", symbol, self._cancel_all, trades=True),
            ("GET", "/api/v3/order"): Endpoint("order", query, self._order),
            ("GET", "/api/v3/openOrders"): Endpoint("open_orders", symbol, self._open_orders),
            ("GET", "/api/v3/allOrders"): Endpoint("orders", PAGE, self._all_orders),
            ("GET", "/api/v3/myTrades"): Endpoint("trades", PAGE | {"fromId"}, self._my_trades),
            ("GET", "/api/v3/account"): Endpoint("balance", frozenset({"omitZeroBalances"}), self._account),
            ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint("permissions", none, self._permissions),
            ("GET", "/sapi/v1/asset/tradeFee"): Endpoint("fees", symbol, self._fees),
            ("GET", "/sapi/v1/system/status"): Endpoint("status", none, lambda *_: {"status": 0, "msg": "normal"}, signed=False),
            ("GET", "/api/v3/ping"): Endpoint("status", none, lambda *_: {}, signed=False),
            ("GET", "/api/v3/time"): Endpoint("time", none, lambda *_: {"serverTime": self.now()}, signed=False),
            ("GET", "/api/v3/exchangeInfo"): Endpoint("markets", markets, self._info, signed=False),
            ("GET", "/api/v3/ticker/24hr"): Endpoint("ticker", tickers, self._day_ticker, signed=False),
            ("GET", "/api/v3/ticker/bookTicker"): Endpoint("ticker", tickers, self._book_ticker, signed=False),
            ("GET", "/api/v3/ticker/price"): Endpoint("ticker", tickers, self._price, signed=False),
            ("GET", "/api/v3/depth"): Endpoint("book", listed, self._depth, signed=False),
            ("GET", "/api/v3/trades"): Endpoint("tape", listed, self._tape, signed=False),
            ("GET", "/api/v3/klines"): Endpoint("candles", candles, self._candles, signed=False),
        }

    # Orders

    def _place(self, params: Params, key: Key) -> object:
        ticket = orders.ticket(params, key.account, self._market(params), self._own_id())
        detail = params.get("newOrderRespType", "FULL" if params["type"] in ("LIMIT", "MARKET") else "ACK")
        if detail not in ("ACK", "RESULT", "FULL"):
            raise BinanceError(-1136, "Invalid newOrderRespType.")
        order = self.exchange.place(ticket)
        done = [execution for execution in self.exchange.executions[key.account][-200:] if execution.order is order]
        return orders.new_order_row(order, params["symbol"], done, detail)

    def _cancel(self, params: Params, key: Key) -> object:
        symbol, (order_id, client_id) = self._market(params).symbol, _ids(params)
        self._streams.cancel_id = params.get("newClientOrderId", self._own_id())
        order = self.exchange.cancel(key.account, symbol, order_id, client_id)
        return orders.cancelled_row(order, params["symbol"], self._streams.cancel_id)

    def _cancel_all(self, params: Params, key: Key) -> object:
        found = self.exchange.orders_of(key.account, self._market(params).symbol, only_open=True)
        if not found:
            raise BinanceError(-2011, "Unknown order sent.")
        return [self._cancel({"symbol": params["symbol"], "orderId": str(order.number)}, key) for order in found]

    def _order(self, params: Params, key: Key) -> object:
        symbol, (order_id, client_id) = self._market(params).symbol, _ids(params)
        order = self.exchange.find(key.account, symbol, order_id, client_id)
        if order is None:
            raise BinanceError(-2013, "Order does not exist.")
        return orders.order_row(order, params["symbol"])

    def _open_orders(self, params: Params, key: Key) -> object:
        symbol = self._market(params).symbol if "symbol" in params else None
        return [self._row(order) for order in self.exchange.orders_of(key.account, symbol, only_open=True)]

    def _all_orders(self, params: Params, key: Key) -> object:
        found = self.exchange.orders_of(key.account, self._market(params).symbol)
        page = _page(params, [(order.number, order.created_ms) for order in found], number(params, "orderId"))
        return [self._row(found[index]) for index in page]

    def _my_trades(self, params: Params, key: Key) -> object:
        symbol, order_id = self._market(params).symbol, number(params, "orderId")
        found = [
            done
            for done in self.exchange.executions[key.account]
            if done.order.ticket.symbol == symbol and order_id in (None, done.order.number)
        ]
        page = _page(params, [(done.trade, done.at_ms) for done in found], number(params, "fromId"))
        return [orders.trade_row(found[index], params["symbol"]) for index in page]

    # The account

    def _account(self, params: Params, key: Key) -> object:
        return account.account_row(self.exchange, key, hides_zeros=params.get("omitZeroBalances") == "true")

    def _permissions(self, _: Params, key: Key) -> object:
        return account.permissions_row(key)

    def _fees(self, params: Params, _: Key) -> object:
        names = [params["symbol"]] if self._market_or_none(params) else list(self._markets)
        fees = self.exchange.fees
        return [{"symbol": name, "makerCommission": str(fees.maker), "takerCommission": str(fees.taker)} for name in names]

    # Public

    def _info(self, params: Params, _: Key) -> object:
        chosen = self._market_or_none(params)
        markets = [chosen] if chosen else list(self._markets.values())
        return {
            "timezone": "UTC",
            "serverTime": self.now(),
            "rateLimits": public.RATE_LIMITS,
            "exchangeFilters": [],
            "symbols": [public.market_row(market) for market in markets],
        }

    def _day_ticker(self, params: Params, _: Key) -> object:
        return self._tickers(params, lambda market: public.day_ticker(self.exchange, market, self.now()))

    def _book_ticker(self, params: Params, _: Key) -> object:
        return self._tickers(params, lambda market: public.book_ticker(self.exchange, market))

    def _price(self, params: Params, _: Key) -> object:
        return self._tickers(params, lambda market: public.price_row(self.exchange, market))

    def _tickers(self, params: Params, row: Callable[[Market], object]) -> object:
        """One row for `symbol`, a list for `symbols` (a JSON list) or for all."""
        if chosen := self._market_or_none(params):
            return row(chosen)
        names = json.loads(params["symbols"]) if "symbols" in params else list(self._markets)
        return [row(self._market({"symbol": name})) for name in names]

    def _depth(self, params: Params, _: Key) -> object:
        market = self._market(params)
        return public.depth(self.exchange, market, number(params, "limit") or 100, self._streams.feed.version(market))

    def _tape(self, params: Params, _: Key) -> object:
        return public.tape_rows(self.exchange, self._market(params), number(params, "limit") or 500)

    def _candles(self, params: Params, _: Key) -> object:
        start, end, limit = (number(params, name) for name in ("startTime", "endTime", "limit"))
        interval = need(params, "interval")
        return public.candles(self.exchange, self._market(params), interval, self.now(), start, end, min(limit or 500, 1000))

    # Small parts

    def _market(self, params: Params) -> Market:
        name = need(params, "symbol")
        if name not in self._markets:
            raise BinanceError(-1121, "Invalid symbol.")
        return self._markets[name]

    def _market_or_none(self, params: Params) -> Market | None:
        return self._market(params) if "symbol" in params else None

    def _row(self, order: VenueOrder) -> object:
        market = self.exchange.markets[order.ticket.symbol]
        return orders.order_row(order, market.base + market.quote)

    def _own_id(self) -> str:
        """A client order id of the venue's making, for a request without one."""
        self._generated += 1
        return f"venue{self._generated:017d}"


def _ids(params: Params) -> tuple[int | None, str | None]:
    order_id, client_id = number(params, "orderId"), params.get("origClientOrderId") or None
    if order_id is None and client_id is None:
        raise BinanceError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return order_id, client_id


def _page(params: Params, rows: list[tuple[int, int]], first_id: int | None) -> list[int]:
    """Indices of the (id, instant) rows that a page of a listing holds, oldest first.

    From an id or a start it is the first `limit` rows; without either the last.
    """
    start, end, limit = (number(params, name) for name in ("startTime", "endTime", "limit"))
    if limit is not None and not 0 < limit <= 1000:
        raise BinanceError(-1130, "Data sent for parameter 'limit' is not valid.")
    if start is not None and end is not None and end - start > public.DAY_MS:
        raise BinanceError(-1127, "More than 24 hours between startTime and endTime.")
    kept = [
        index
        for index, (row_id, at_ms) in enumerate(rows)
        if (first_id is None or row_id >= first_id) and (start is None or at_ms >= start) and (end is None or at_ms <= end)
    ]
    return kept[-(limit or 500) :] if first_id is None and start is None else kept[: limit or 500]


LOCAL = LocalVenue(
    profile=BINANCE,
    markets=(Market("BTC", "USDT"),),
    fees=Fees(),
    keys=(
        Key("key", "secret", ACCOUNT),
        Key("reader", "secret", ACCOUNT, can_trade=False),
        Key("treasurer", "secret", ACCOUNT, can_withdraw=True),
    ),
    make=BinanceVenue,
)
