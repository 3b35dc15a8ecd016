"""Bybit spot of a unified account, as its API v5 speaks, over the matching engine: enough of it for unmodified ccxt to trade.

    exchange = Exchange([Market("BTC", "USDT")], wall_clock_ms, ids_unique_for_ever=True)
    with VenueServer(BybitVenue(exchange, [Key("key", "secret", "desk")])) as server:
        client = ccxt.async_support.bybit({"apiKey": "key", "secret": "secret", "options": OPTIONS})
        client.urls["api"] = {"public": server.base_url, "private": server.base_url}

Keys, signatures (HMAC-SHA256 over time, key, window and the query or body as they were sent), timestamps and windows are checked
as Bybit does. Nearly every refusal comes with status 200 and a `retCode`. Accepting an order or a cancel says nothing but its
ids; a post-only order that would take is accepted and cancelled at once. Streams are in `bybit_streams`.

Unlike Bybit, the engine locks what a conditional order gives away from the start, and not when its price comes.
Source: https://bybit-exchange.github.io/docs/v5/guide (authentication), https://bybit-exchange.github.io/docs/v5/rate-limit and
the pages named in `bybit_orders` and `bybit_market`.
"""

from __future__ import annotations

import bisect
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from tests.venues import bybit_account as account
from tests.venues import bybit_market as public
from tests.venues import bybit_orders as orders
from tests.venues.bybit_orders import BybitError, Params, Row, body_of, integer, limit_of, need
from tests.venues.bybit_streams import BybitStreams
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Fees, Market, Rejected, Status, Ticket, VenueOrder, Why
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, Key
from trading_core.brokers.venues.profiles import BYBIT

T = TypeVar("T")
OPTIONS = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
"""ccxt's options that keep a client on spot."""
DEFAULT_WINDOW_MS, AHEAD_MS, WEEK_MS = 5_000, 1_000, 7 * public.DAY_MS
RECENT = 500
"""Of an account's orders, how many of those that have ended the real-time list still knows."""
ORDER_PAGE, EXECUTION_PAGE = (20, 50), (50, 100)
"""Rows on a page when nothing is said, and at most."""
PER_SECOND = {"place": 20, "cancel": 20, "cancel_all": 20}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path does: the operation's name and the work; `signed` ones get the key's account."""

    operation: str
    work: Callable[[Params, Key], object]
    signed: bool = True
    trades: bool = False


NOBODY = Key("", "", "", can_trade=False)


class BybitVenue:
    """See the module."""

    def __init__(self, exchange: Exchange, keys: Iterable[Key]) -> None:
        self.exchange = exchange
        self.keys = {key.key: key for key in keys}
        self.skew_ms = 0
        self._markets = {public.market_id(market): market for market in exchange.markets.values()}
        self._placed: defaultdict[str, list[int]] = defaultdict(list)
        self._restarted_after = 0
        self._turned_away: dict[tuple[str, str], VenueOrder] = {}
        self._triggered: set[int] = set()
        self._done: defaultdict[int, list[Execution]] = defaultdict(list)
        self._spent: dict[tuple[str, str], tuple[int, int]] = {}
        self._streams = BybitStreams(exchange, self.keys, self.now, self._row)
        self.connected, self.heard, self.gone = self._streams.connected, self._streams.heard, self._streams.gone
        self._endpoints = self._table()
        exchange.listen(self._note)

    def now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    def restart(self) -> None:
        """What a release of Bybit's does: the real-time list has lost every order that has ended."""
        self._restarted_after = len(self.exchange.orders)

    # The frame's side

    def operation(self, call: Call) -> str:
        endpoint = self._endpoints.get((call.method, call.path))
        if endpoint is not None and endpoint.operation == "open_orders" and {"orderId", "orderLinkId"} & call.params.keys():
            return "order"
        return endpoint.operation if endpoint else "unknown"

    def answer(self, call: Call) -> Answer:
        endpoint = self._endpoints.get((call.method, call.path))
        if endpoint is None:
            return self._said(10017, "Route not found.", {})
        key = NOBODY
        try:
            key = self._authorised(call, endpoint) if endpoint.signed else NOBODY
            answer = self._said(0, "OK", endpoint.work(body_of(call), key))
        except BybitError as error:
            answer = self._said(error.code, error.message, {})
        except Rejected as error:
            answer = self._said(*orders.REJECTIONS[error.why], {})
        return replace(answer, headers=self._budget(key, endpoint.operation)) if endpoint.signed else answer

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        """Outages and address bans come from the gateway in front of Bybit, in words that are no JSON object."""
        match trouble:
            case Trouble.RATE_LIMIT:
                return self._said(10006, "Too many visits. Exceeded the API Rate Limit.", {})
            case Trouble.BAN:
                return Answer("403, access too frequent", 403)
            case Trouble.MAINTENANCE:
                return Answer("503 Service Temporarily Unavailable", 503)
            case Trouble.NO_PERMISSION:
                return self._said(10005, "Permission denied, please check your API key permissions.", {})
            case Trouble.BAD_KEY:
                return self._said(10003, "API key is invalid.", {})
            case Trouble.SERVER_ERROR:
                return Answer("upstream request timeout", fault.status)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        match answer.body:
            case {"result": {"list": list(rows), **rest}, **envelope}:
                turned = rows[::-1] if listing is Listing.REORDERED else [row for row in rows for _ in range(2)]
                return replace(answer, body={**envelope, "result": {**rest, "list": turned}})
        return answer

    def _said(self, code: int, message: str, result: object) -> Answer:
        return Answer({"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": self.now()})

    def _budget(self, key: Key, operation: str) -> dict[str, str]:
        """What is left of this second's requests, as Bybit's headers tell it; it is told here, and not enforced."""
        second, limit = self.now() // 1000, PER_SECOND.get(operation, 50)
        begun, used = self._spent.get((key.account, operation), (second, 0))
        used = used + 1 if begun == second else 1
        self._spent[key.account, operation] = second, used
        return {
            "X-Bapi-Limit": str(limit),
            "X-Bapi-Limit-Status": str(max(0, limit - used)),
            "X-Bapi-Limit-Reset-Timestamp": str(self.now() if used < limit else (second + 1) * 1000),
        }

    def _authorised(self, call: Call, endpoint: Endpoint) -> Key:
        """The key of a signed request whose clock, signature and permission are right."""
        given, stamp, sign = (call.headers.get(f"x-bapi-{name}", "") for name in ("api-key", "timestamp", "sign"))
        if not (given and stamp.isdecimal() and sign):
            words = f"empty value: apiTimestamp[{stamp}] apiKey[{given}] apiSignature[{sign}]"
            raise BybitError(10001, f"{words}: openapi sign params error!")
        key = self.keys.get(given)
        if key is None:
            raise BybitError(10003, "API key is invalid.")
        window = call.headers.get("x-bapi-recv-window", str(DEFAULT_WINDOW_MS))
        now = self.now()
        if not now - int(window) <= int(stamp) < now + AHEAD_MS:
            words = f"req_timestamp[{stamp}],server_timestamp[{now}],recv_window[{window}]"
            raise BybitError(10002, f"invalid request, please check your server timestamp or recv_window param. {words}")
        origin = f"{stamp}{given}{window}{call.body if call.method == 'POST' else call.query}"
        expected = hmac.new(key.secret.encode(), origin.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, sign):
            raise BybitError(10004, f"error sign! origin_string[{origin}]")
        if endpoint.trades and not key.can_trade:
            raise BybitError(10005, "Permission denied, please check your API key permissions.")
        return key

    def _table(self) -> dict[tuple[str, str], Endpoint]:
        return {
            ("POST", "/v5/order/create"): Endpoint("place", self._place, trades=True),
            ("POST", "/v5/order/cancel"): Endpoint("cancel", self._cancel, trades=True),
            ("POST", "/v5/order/cancel-all"): Endpoint("cancel_all", self._cancel_all, trades=True),
            ("GET", "/v5/order/realtime"): Endpoint("open_orders", self._realtime),
            ("GET", "/v5/order/history"): Endpoint("orders", self._history),
            ("GET", "/v5/execution/list"): Endpoint("trades", self._executions),
            ("GET", "/v5/account/wallet-balance"): Endpoint("balance", self._balance),
            ("GET", "/v5/account/info"): Endpoint("permissions", lambda *_: account.info()),
            ("GET", "/v5/account/fee-rate"): Endpoint("fees", self._fees),
            ("GET", "/v5/user/query-api"): Endpoint("permissions", lambda _, key: account.permissions(key)),
            ("GET", "/v5/system/status"): Endpoint("status", lambda *_: {"list": []}, signed=False),
            ("GET", "/v5/market/time"): Endpoint("time", self._time, signed=False),
            ("GET", "/v5/market/instruments-info"): Endpoint("markets", self._instruments, signed=False),
            ("GET", "/v5/market/tickers"): Endpoint("ticker", self._tickers, signed=False),
            ("GET", "/v5/market/orderbook"): Endpoint("book", self._book, signed=False),
            ("GET", "/v5/market/recent-trade"): Endpoint("tape", self._tape, signed=False),
            ("GET", "/v5/market/kline"): Endpoint("candles", self._candles, signed=False),
        }

    # Orders

    def _place(self, params: Params, key: Key) -> object:
        market = self._market(params)
        generated = str(orders.FIRST_ORDER + len(self.exchange.orders))
        ticket = orders.ticket(params, key.account, market, self.exchange.last(market.symbol), generated)
        if (key.account, ticket.client_id) in self._turned_away:
            raise Rejected(Why.DUPLICATE)
        try:
            order = self.exchange.place(ticket)
        except Rejected as error:
            if error.why is not Why.WOULD_TAKE:
                raise
            order = self._turn_away(ticket)
        self._placed[key.account].append(order.number)
        return {"orderId": orders.order_id(order), "orderLinkId": ticket.client_id}

    def _turn_away(self, ticket: Ticket) -> VenueOrder:
        """A post-only order that would take: Bybit accepts it, and cancels it at once."""
        now = self.exchange.clock()
        order = VenueOrder(len(self.exchange.orders) + 1, ticket, now, now, status=Status.CANCELLED)
        self.exchange.orders[order.number] = order
        self._turned_away[ticket.account, ticket.client_id] = order
        self._streams.tell(order)
        return order

    def _cancel(self, params: Params, key: Key) -> object:
        """Plain orders and conditional ones are in two books; one that was triggered is a plain order."""
        self._market(params)
        order = self._found(params, key)
        conditional = params.get("orderFilter", "Order") == "StopOrder"
        if order is None or order.waiting != conditional:
            raise Rejected(Why.UNKNOWN_ORDER)
        self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"orderId": orders.order_id(order), "orderLinkId": order.ticket.client_id}

    def _cancel_all(self, params: Params, key: Key) -> object:
        symbol = self._market(params).symbol if "symbol" in params else None
        found = self.exchange.orders_of(key.account, symbol, only_open=True)
        for order in found:
            self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"list": [{"orderId": orders.order_id(o), "orderLinkId": o.ticket.client_id} for o in found], "success": "1"}

    def _realtime(self, params: Params, key: Key) -> object:
        """Open orders; asked for by an id, also one of the last that have ended."""
        if {"orderId", "orderLinkId"} & params.keys():
            order = self._found(params, key)
            found = [order] if order is not None and (order.status is Status.OPEN or self._is_recent(order)) else []
        else:
            symbol = self._market(params).symbol if "symbol" in params else None
            found = self.exchange.orders_of(key.account, symbol, only_open=True)[::-1]
        rows = [(orders.order_id(order), order) for order in found if _passes(params, order)]
        return self._listed(params, rows, self._row, ORDER_PAGE)

    def _history(self, params: Params, key: Key) -> object:
        """Orders that have ended, youngest first, out of at most seven days."""
        begin, end = self._span(params)
        if {"orderId", "orderLinkId"} & params.keys():
            one = self._found(params, key)
            ended = [one] if one is not None else []
        else:
            symbol = self._market(params).symbol if "symbol" in params else None
            ended = self.exchange.orders_of(key.account, symbol)[::-1]
        rows = [
            (orders.order_id(order), order)
            for order in ended
            if order.status is not Status.OPEN and begin <= order.created_ms <= end and _passes(params, order)
        ]
        return self._listed(params, rows, self._row, ORDER_PAGE)

    def _executions(self, params: Params, key: Key) -> object:
        """Youngest first, out of at most seven days."""
        begin, end = self._span(params)
        by_order = bool({"orderId", "orderLinkId"} & params.keys())
        order = self._found(params, key) if by_order else None
        symbol = self._market(params).symbol if "symbol" in params else None
        done = [
            (orders.execution_id(row), row)
            for row in self.exchange.executions[key.account][::-1]
            if begin <= row.at_ms <= end and (row.order is order if by_order else symbol in (None, row.order.ticket.symbol))
        ]
        return self._listed(params, done, lambda row: orders.execution_row(row, self._of(row.order)), EXECUTION_PAGE)

    def _found(self, params: Params, key: Key) -> VenueOrder | None:
        """The account's order of the request's `orderId` or, without one, `orderLinkId`."""
        if "orderId" in params:
            number = orders.order_number(str(params["orderId"]))
            order = self.exchange.orders.get(number or 0)
            return order if order is not None and order.ticket.account == key.account else None
        client_id = need(params, "orderLinkId")
        placed = (self.exchange.find(key.account, symbol, client_id=client_id) for symbol in self.exchange.markets)
        return next(filter(None, placed), self._turned_away.get((key.account, client_id)))

    def _is_recent(self, order: VenueOrder) -> bool:
        placed = self._placed[order.ticket.account]
        return order.number > self._restarted_after and len(placed) - bisect.bisect(placed, order.number) < RECENT

    def _row(self, order: VenueOrder) -> Row:
        """The order's row. What the streams tell at the moment of a trade already has that trade in it."""
        return orders.order_row(
            order,
            self._of(order),
            self._done[order.number],
            triggered=order.number in self._triggered,
            turned_away=(order.ticket.account, order.ticket.client_id) in self._turned_away,
        )

    def _note(self, change: VenueOrder | Execution) -> None:
        if isinstance(change, Execution):
            self._done[change.order.number].append(change)
        elif change.ticket.kind.has_stop and change.status is Status.OPEN and not change.waiting:
            self._triggered.add(change.number)
        self._streams.tell(change)

    def _span(self, params: Params) -> tuple[int, int]:
        """The instants a listing of the past covers: the last seven days if nothing is said."""
        start, end = (integer(params, name) for name in ("startTime", "endTime"))
        if start is None:
            end = self.now() if end is None else end
            return end - WEEK_MS, end
        end = start + WEEK_MS if end is None else end
        if not 0 <= end - start <= WEEK_MS:
            raise BybitError(10001, "The time range between startTime and endTime cannot exceed 7 days.")
        return start, end

    def _listed(self, params: Params, rows: Sequence[tuple[str, T]], shown: Callable[[T], Row], page: tuple[int, int]) -> Row:
        """A page of rows (with their ids), and the cursor behind its last, be it the last of all. `page`: usual and longest."""
        usual, most = page
        limit = limit_of(params, most, default=usual)
        after = re.match(r"\d+", str(params.get("cursor", "")))
        first = next((index + 1 for index, (row_id, _) in enumerate(rows) if after and row_id == after[0]), 0)
        chosen = rows[first : first + limit]
        cursor = f"{chosen[-1][0]}%3A{self.now()}" if chosen else ""
        return {"nextPageCursor": cursor, "category": "spot", "list": [shown(row) for _, row in chosen]}

    # The account

    def _balance(self, params: Params, key: Key) -> object:
        if params.get("accountType") != "UNIFIED":
            raise BybitError(10001, "accountType only support UNIFIED.")
        return account.balance(self.exchange.wallets[key.account])

    def _fees(self, params: Params, _: Key) -> object:
        markets = [self._market(params)] if "symbol" in params else self._markets.values()
        return account.fee_rates(self.exchange.fees, markets)

    # Public

    def _time(self, *_: object) -> object:
        return {"timeSecond": str(self.now() // 1000), "timeNano": str(self.now() * 1_000_000)}

    def _instruments(self, params: Params, _: Key) -> object:
        markets = [self._market(params)] if "symbol" in params else self._markets.values()
        return {"category": "spot", "list": [public.instrument_row(market) for market in markets], "nextPageCursor": ""}

    def _tickers(self, params: Params, _: Key) -> object:
        markets = [self._market(params)] if "symbol" in params else self._markets.values()
        return {"category": "spot", "list": [public.ticker_row(self.exchange, market, self.now()) for market in markets]}

    def _book(self, params: Params, _: Key) -> object:
        return public.book(self.exchange, self._market(params), limit_of(params, 200, default=1), self.now())

    def _tape(self, params: Params, _: Key) -> object:
        rows = public.tape_rows(self.exchange, self._market(params), limit_of(params, 60, default=60))
        return {"category": "spot", "list": rows}

    def _candles(self, params: Params, _: Key) -> object:
        start, end = integer(params, "start"), integer(params, "end")
        market, limit = self._market(params), limit_of(params, 1000, default=200)
        rows = public.candles(self.exchange, market, need(params, "interval"), self.now(), start, end, limit)
        return {"category": "spot", "symbol": public.market_id(market), "list": rows}

    # Small parts

    def _market(self, params: Params) -> Market:
        market = self._markets.get(need(params, "symbol"))
        if market is None:
            raise Rejected(Why.SYMBOL)
        return market

    def _of(self, order: VenueOrder) -> Market:
        return self.exchange.markets[order.ticket.symbol]


def _passes(params: Params, order: VenueOrder) -> bool:
    """Whether a listing shows the order: without `orderFilter` it shows every kind."""
    wanted = params.get("orderFilter")
    return wanted is None or (wanted == "StopOrder") == order.ticket.kind.has_stop


LOCAL = LocalVenue(
    profile=BYBIT,
    markets=(Market("BTC", "USDT", lot=Decimal("0.000001"), min_quantity=Decimal("0.00001"), max_quantity=Decimal(100)),),
    fees=Fees(),
    keys=(
        Key("key", "secret", ACCOUNT),
        Key("reader", "secret", ACCOUNT, can_trade=False),
        Key("treasurer", "secret", ACCOUNT, can_withdraw=True),
    ),
    make=BybitVenue,
    ids_unique_for_ever=True,
)
