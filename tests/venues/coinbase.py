"""Coinbase Advanced Trade, as its REST API and its WebSocket speak, over the matching engine.

    exchange = Exchange([Market("BTC", "USD")], wall_clock_ms, fees=FEES)
    with VenueServer(CoinbaseVenue(exchange, [Key("key", pem(7), "desk")])) as server:
        client = ccxt.pro.coinbase({"apiKey": "key", "secret": pem(7)})
        client.urls["api"] = {"rest": server.base_url, "ws": server.ws_url}

Every private request carries a token that was signed for it (`coinbase_keys`). An order that was judged and not taken is an
answer with status 200; a request that could not be read, or may not be made, is an error. A client order id is good for one
order: whoever sends it again is told of a success, with the id of the order that has it and, as if they were its own, the side
and configuration of the request that did nothing.
Source: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api (all endpoints below), and for the answer to a
repeated id https://github.com/coinbase/coinbase-advanced-py/issues/49.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

from tests.venues import coinbase_market as public
from tests.venues import coinbase_orders as orders
from tests.venues.coinbase_keys import Keys, pem
from tests.venues.coinbase_orders import CoinbaseError, Row, bad
from tests.venues.coinbase_requests import Asked, parsed
from tests.venues.coinbase_streams import CoinbaseStreams
from tests.venues.engine import Exchange
from tests.venues.engine_types import QUOTE, Execution, Fees, Market, Rejected, Status, VenueOrder
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, Key, Stream
from trading_core.brokers.venues.profiles import COINBASE

FEES = Fees(Decimal("0.004"), Decimal("0.006"), QUOTE)
MOST_ORDERS, MOST_FILLS, MOST_ACCOUNTS = 1000, 1000, 250
NOBODY = Key("", "", "", can_trade=False)
BROKERAGE = "/api/v3/brokerage"
PRODUCT = r"(?P<product>[A-Z0-9]+-[A-Z0-9]+)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path does: the operation's name, and the work; signed ones get the key's account."""

    method: str
    path: re.Pattern[str]
    operation: str
    work: Callable[[Asked], object]
    signed: bool = True
    trades: bool = False


class CoinbaseVenue:
    """See the module."""

    def __init__(self, exchange: Exchange, keys: Iterable[Key]) -> None:
        self.exchange = exchange
        self.skew_ms = 0
        self._keys = Keys(keys, self._now)
        self._streams = CoinbaseStreams(exchange, self._keys, self._now)
        self._by_client_id = {(order.ticket.account, order.ticket.client_id): order for order in exchange.orders.values()}
        self._markets = {orders.product_id(market): market for market in exchange.markets.values()}
        self._endpoints = self._table()

    # The frame's side

    def operation(self, call: Call) -> str:
        endpoint = self._endpoint(call)
        return endpoint[0].operation if endpoint else "unknown"

    def answer(self, call: Call) -> Answer:
        found = self._endpoint(call)
        if found is None:
            return Answer("404 page not found", 404)
        endpoint, path = found
        key = self._keys.of_call(call) if endpoint.signed else NOBODY
        if key is None:
            return Answer("Unauthorized", 401)
        if endpoint.trades and not key.can_trade:
            return _error("PERMISSION_DENIED", "Missing required scopes", 403)
        body: Mapping[str, object] = {}
        try:
            body = parsed(call.body)
            return Answer(endpoint.work(Asked(key, parse_qs(call.query), body, path)))
        except CoinbaseError as error:
            return _error(error.code, error.details, error.status)
        except Rejected as error:
            return Answer(orders.refused(error.why, body.get("order_configuration")))

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        match trouble:
            case Trouble.RATE_LIMIT:
                return Answer({"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, 429)
            case Trouble.BAN:
                return Answer("Forbidden", 403)
            case Trouble.MAINTENANCE:
                return _error("UNAVAILABLE", "Service is under maintenance", 503)
            case Trouble.NO_PERMISSION:
                return _error("PERMISSION_DENIED", "Missing required scopes", 403)
            case Trouble.BAD_KEY:
                return Answer("Unauthorized", 401)
            case Trouble.SERVER_ERROR:
                return _error("INTERNAL", "internal error", fault.status)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        if not isinstance(answer.body, dict):
            return answer
        turned = {
            name: _relisted(rows, listing) if isinstance(rows, list) and name in ("orders", "fills", "accounts") else rows
            for name, rows in answer.body.items()
        }
        return replace(answer, body=turned)

    def connected(self, stream: Stream) -> None:
        self._streams.connected(stream)

    def heard(self, stream: Stream, message: object) -> None:
        self._streams.heard(stream, message)

    def gone(self, stream: Stream) -> None:
        self._streams.gone(stream)

    def _now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    def _endpoint(self, call: Call) -> tuple[Endpoint, Mapping[str, str]] | None:
        for endpoint in self._endpoints:
            match = endpoint.path.fullmatch(call.path)
            if match and endpoint.method == call.method:
                return endpoint, match.groupdict()
        return None

    def _table(self) -> list[Endpoint]:
        past, market = f"{BROKERAGE}/orders/historical", f"{BROKERAGE}/market"
        table: list[tuple[str, str, str, Callable[[Asked], object]]] = [
            ("POST", f"{BROKERAGE}/orders", "place", self._place),
            ("POST", f"{BROKERAGE}/orders/batch_cancel", "cancel", self._cancel),
            ("GET", f"{past}/batch", "orders", self._orders),
            ("GET", f"{past}/fills", "trades", self._fills),
            ("GET", f"{past}/(?P<order>[^/]+)", "order", self._order),
            ("GET", f"{BROKERAGE}/accounts", "balance", self._accounts),
            ("GET", f"{BROKERAGE}/key_permissions", "permissions", self._permissions),
            ("GET", f"{BROKERAGE}/transaction_summary", "fees", self._summary),
            ("GET", f"{BROKERAGE}/time", "time", self._time),
            ("GET", "/v2/time", "time", self._old_time),
            ("GET", "/v2/currencies", "markets", lambda _: {"data": self._currencies(fiat=True)}),
            ("GET", "/v2/currencies/crypto", "markets", lambda _: {"data": self._currencies(fiat=False)}),
            ("GET", "/v2/exchange-rates", "markets", lambda _: {"data": {"currency": "USD", "rates": {}}}),
            ("GET", f"{market}/products", "markets", self._products),
            ("GET", f"{market}/products/{PRODUCT}/ticker", "ticker", self._ticker),
            ("GET", f"{market}/products/{PRODUCT}/candles", "candles", self._candles),
            ("GET", f"{market}/product_book", "book", self._book),
        ]
        unsigned = ("time", "markets", "ticker", "candles", "book")
        return [
            Endpoint(method, re.compile(path), operation, work, operation not in unsigned, operation in ("place", "cancel"))
            for method, path, operation, work in table
        ]

    # Orders

    def _place(self, asked: Asked) -> object:
        market = self._markets.get(str(asked.body.get("product_id")))
        if market is None:
            raise bad("valid product_id is required")
        ticket = orders.ticket(asked.body, asked.key.account, market)
        same_id = (ticket.account, ticket.client_id)
        order = self._by_client_id.get(same_id) or self.exchange.place(ticket)
        self._by_client_id[same_id] = order
        taken: Row = {
            "order_id": orders.order_id(order.number),
            "product_id": orders.product_id(market),
            "side": ticket.side.value.upper(),
            "client_order_id": ticket.client_id,
            "attached_order_id": "",
        }
        return {"success": True, "success_response": taken, "order_configuration": asked.body["order_configuration"]}

    def _cancel(self, asked: Asked) -> object:
        ids = asked.body.get("order_ids")
        if not isinstance(ids, list) or not ids:
            raise bad("order_ids are required")
        return {"results": [self._cancelled(str(order_id), asked.key) for order_id in ids]}

    def _cancelled(self, order_id: str, key: Key) -> Row:
        order = self._of_account(order_id, key)
        done = order is not None and order.status is Status.OPEN
        if order is not None and done:
            self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        reason = "UNKNOWN_CANCEL_FAILURE_REASON" if done else "UNKNOWN_CANCEL_ORDER"
        return {"success": done, "failure_reason": reason, "order_id": order_id}

    def _order(self, asked: Asked) -> object:
        order = self._of_account(asked.path["order"], asked.key)
        if order is None:
            raise CoinbaseError("NOT_FOUND", "order with this orderID was not found", 404)
        return {"order": self._rows([order])[0]}

    def _orders(self, asked: Asked) -> object:
        """Youngest first. Dates do not count for open orders, and those are not asked together with others."""
        states, products = asked.query.get("order_status", []), asked.query.get("product_ids")
        if "OPEN" in states and len(states) > 1:
            raise bad("cannot query for OPEN orders with other order statuses")
        found = [
            order
            for order in reversed(self.exchange.orders_of(asked.key.account))
            if (not states or orders.status(order) in states)
            and (products is None or orders.product_id(self._of(order)) in products)
            and (states == ["OPEN"] or asked.within("start_date", "end_date", orders.instant(order.created_ms)))
        ]
        page, cursor = asked.page(found, [order.number for order in found], asked.limit(MOST_ORDERS, MOST_ORDERS))
        return {"orders": self._rows(page), "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def _fills(self, asked: Asked) -> object:
        """Youngest first, cut by the instant they were written down."""
        products, ids = asked.query.get("product_ids"), asked.query.get("order_ids")
        names = ("start_sequence_timestamp", "end_sequence_timestamp")
        found = [
            (number, done)
            for number, done in reversed(list(enumerate(self.exchange.executions[asked.key.account])))
            if (products is None or orders.product_id(self._of(done.order)) in products)
            and (ids is None or orders.order_id(done.order.number) in ids)
            and asked.within(*names, orders.instant(done.at_ms + orders.LAG_MS))
        ]
        page, cursor = asked.page(found, [number for number, _ in found], asked.limit(100, MOST_FILLS))
        return {"fills": [orders.fill_row(done, self._of(done.order)) for _, done in page], "cursor": cursor}

    def _rows(self, found: Sequence[VenueOrder]) -> list[Row]:
        done: dict[int, list[Execution]] = {order.number: [] for order in found}
        for account in {order.ticket.account for order in found}:
            for execution in self.exchange.executions[account]:
                if execution.order.number in done:
                    done[execution.order.number].append(execution)
        return [orders.order_row(order, self._of(order), done[order.number]) for order in found]

    def _of_account(self, order_id: str, key: Key) -> VenueOrder | None:
        number = orders.order_number(order_id)
        order = self.exchange.orders.get(number) if number is not None else None
        return order if order is not None and order.ticket.account == key.account else None

    # The account

    def _accounts(self, asked: Asked) -> object:
        wallets = sorted(self.exchange.wallets[asked.key.account].items())
        size = asked.limit(49, MOST_ACCOUNTS)
        page, cursor = asked.page(wallets[::-1], list(range(len(wallets), 0, -1)), size)
        rows = [
            {
                "uuid": str(uuid5(NAMESPACE_URL, f"{asked.key.account} {asset}")),
                "name": f"{asset} Wallet",
                "currency": asset,
                "available_balance": {"value": orders.money(wallet.free), "currency": asset},
                "default": True,
                "active": True,
                "created_at": "2021-05-31T09:59:59Z",
                "updated_at": "2021-05-31T09:59:59Z",
                "deleted_at": None,
                "type": "ACCOUNT_TYPE_FIAT" if asset in public.FIAT else "ACCOUNT_TYPE_CRYPTO",
                "ready": True,
                "hold": {"value": orders.money(wallet.locked), "currency": asset},
                "retail_portfolio_id": "",
            }
            for asset, wallet in page
        ]
        return {"accounts": rows, "has_next": bool(cursor), "cursor": cursor, "size": len(rows)}

    def _permissions(self, asked: Asked) -> object:
        may = {"can_view": True, "can_trade": asked.key.can_trade, "can_transfer": asked.key.can_withdraw}
        return may | {"portfolio_uuid": asked.key.account, "portfolio_type": "DEFAULT"}

    def _summary(self, _: Asked) -> object:
        fees = self.exchange.fees
        tier = {"pricing_tier": "Intro 1", "taker_fee_rate": orders.money(fees.taker), "maker_fee_rate": orders.money(fees.maker)}
        return {"total_volume": 0, "total_fees": 0, "fee_tier": tier, "total_balance": ""}

    # Public

    def _time(self, _: Asked) -> object:
        now = self._now()
        return {"iso": orders.instant(now), "epochSeconds": str(now // 1000), "epochMillis": str(now)}

    def _old_time(self, _: Asked) -> object:
        now = self._now()
        return {"data": {"iso": orders.instant(now), "epoch": now // 1000}}

    def _currencies(self, *, fiat: bool) -> list[Row]:
        assets = {asset for market in self.exchange.markets.values() for asset in (market.base, market.quote)}
        named = sorted(asset for asset in assets if (asset in public.FIAT) == fiat)
        if fiat:
            return [{"id": asset, "name": asset, "min_size": "0.01"} for asset in named]
        return [{"code": asset, "name": asset, "exponent": 8, "type": "crypto", "asset_id": asset} for asset in named]

    def _products(self, asked: Asked) -> object:
        spot = asked.one("product_type") in (None, "SPOT")
        rows = [public.product_row(self.exchange, market) for market in self.exchange.markets.values()] if spot else []
        return {"products": rows, "num_products": len(rows)}

    def _ticker(self, asked: Asked) -> object:
        return public.ticker_row(self.exchange, self._product(asked.path["product"]), asked.limit(100, 1000))

    def _book(self, asked: Asked) -> object:
        depth = asked.limit(1000, 1000)
        return public.book_row(self.exchange, self._product(asked.one("product_id")), depth, self._now())

    def _candles(self, asked: Asked) -> object:
        start, end = asked.one("start") or "", asked.one("end") or ""
        if not start.isdecimal() or not end.isdecimal():
            raise bad("start and end are required")
        market, granularity = self._product(asked.path["product"]), asked.one("granularity") or ""
        return {"candles": public.candle_rows(self.exchange, market, granularity, int(start), int(end))}

    def _product(self, product: str | None) -> Market:
        if product not in self._markets:
            raise CoinbaseError("NOT_FOUND", "valid product_id is required", 404)
        return self._markets[product]

    def _of(self, order: VenueOrder) -> Market:
        return self.exchange.markets[order.ticket.symbol]


def _error(code: str, details: str, status: int) -> Answer:
    return Answer({"error": code, "error_details": details, "message": details}, status)


def _relisted(rows: list[object], listing: Listing) -> list[object]:
    return rows[::-1] if listing is Listing.REORDERED else [row for row in rows for _ in range(2)]


LOCAL = LocalVenue(
    profile=COINBASE,
    markets=(Market("BTC", "USD", lot=Decimal("0.00000001"), min_quantity=Decimal("0.00000001"), min_notional=Decimal(1)),),
    fees=FEES,
    keys=(
        Key("key", pem(7), ACCOUNT),
        Key("reader", pem(8), ACCOUNT, can_trade=False),
        Key("treasurer", pem(9), ACCOUNT, can_withdraw=True),
    ),
    make=CoinbaseVenue,
    ids_unique_for_ever=True,
)
