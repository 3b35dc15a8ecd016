"""OKX spot, as its v5 API speaks to an account in spot mode, over the matching engine: enough of it for unmodified ccxt to trade.

    exchange = Exchange([Market("BTC", "USDT", tick=Decimal("0.1"))], wall_clock_ms, fees=FEES)
    with VenueServer(OkxVenue(exchange, [Key("key", "secret", "desk")])) as server:
        client = ccxt.pro.okx({"apiKey": "key", "secret": "secret", "password": PASSPHRASE})
        client.urls["api"] = {"rest": server.base_url, "ws": f"{server.ws_url}/ws/v5"}

Keys, passphrase, signatures (HMAC-SHA256 of time, method, path with query and body, in base64) and times (30 s) are checked as
OKX does. What is wrong with a request comes as a code of its own, what is wrong with an order as `sCode` in a row of its own
under status 200. A post-only order that would take is taken, and cancelled at once. Streams are in `okx_streams`.
Source: https://www.okx.com/docs-v5/en/ (overview: REST authentication; trading account; order book trading; error code).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.venues import okx_account as account
from tests.venues import okx_market as public
from tests.venues import okx_orders as orders
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Execution, Fees, Market, Rejected, Status, Ticket, VenueOrder, Why
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.okx_orders import ALGOS, BILLS, ORDERS, OkxError, Params, Row, bad
from tests.venues.okx_records import Records
from tests.venues.okx_requests import NO_PERMISSION, Rows, authorised, entries, number, page
from tests.venues.okx_streams import Streams
from tests.venues.server import Answer, Call, Key
from tests.venues.streams import Stream
from trading_core.brokers.venues.profiles import OKX

FEES = Fees(Decimal("0.0008"), Decimal("0.001"))
PASSPHRASE = "a phrase of the test"  # noqa: S105 - of nobody
NO_ORDER = OkxError("51603", "Order does not exist", 200)
NOT_OPEN = OkxError("51400", "Cancellation failed as the order has been filled, canceled or does not exist.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path does: the operation's name and the work. Each entry of a body is worked on by itself."""

    operation: str
    work: Callable[[Params, Key], object]
    private: bool = True
    trades: bool = False


NOBODY = Key("", "", "", can_trade=False)


class OkxVenue:
    """See the module."""

    def __init__(self, exchange: Exchange, keys: Iterable[Key], passphrase: str = PASSPHRASE) -> None:
        self.exchange = exchange
        self.keys = {key.key: key for key in keys}
        self.skew_ms = 0
        self._passphrase = passphrase
        self._markets = {orders.instrument_id(market): market for market in exchange.markets.values()}
        self._records = Records(exchange, self.now)
        self._streams = Streams(exchange, self._records, self.keys, passphrase, self.now)
        self._endpoints = self._table()
        exchange.listen(self._changed)
        exchange.watch(self._streams.printed)

    def now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    def _changed(self, change: VenueOrder | Execution) -> None:
        self._records.note(change)
        self._streams.changed(change)

    # The frame's side

    def operation(self, call: Call) -> str:
        endpoint = self._endpoints.get((call.method, call.path))
        return endpoint.operation if endpoint else "unknown"

    def answer(self, call: Call) -> Answer:
        endpoint = self._endpoints.get((call.method, call.path))
        if endpoint is None:
            return Answer({"msg": "Invalid request path", "code": "50404", "data": []}, 404)
        try:
            key = authorised(call, self.keys, self._passphrase, self.now()) if endpoint.private else NOBODY
            if endpoint.trades and not key.can_trade:
                raise NO_PERMISSION
            if call.method == "POST":
                return self._each(entries(call.body), endpoint, key)
            return _said(endpoint.work(call.params, key))
        except OkxError as error:
            return _refused(error.code, error.message, error.status)

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        """OKX has no word for a banned address: it goes on answering that there are too many requests."""
        match trouble:
            case Trouble.RATE_LIMIT | Trouble.BAN:
                return _refused("50011", "Too Many Requests", 429)
            case Trouble.MAINTENANCE:
                return _refused("50001", "Service temporarily unavailable. Try again later.", 503)
            case Trouble.NO_PERMISSION:
                return _refused(NO_PERMISSION.code, NO_PERMISSION.message, NO_PERMISSION.status)
            case Trouble.BAD_KEY:
                return _refused("50111", "Invalid OK-ACCESS-KEY", 401)
            case Trouble.SERVER_ERROR if fault.executes:
                text = "API endpoint request timeout (does not mean that the request was successful or failed, please check)"
                return _refused("50004", text, fault.status)
            case Trouble.SERVER_ERROR:
                return _refused("50026", "System error. Try again later.", fault.status)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        match answer.body:
            case {"code": "0", "data": list(rows)}:
                turned = rows[::-1] if listing is Listing.REORDERED else [row for row in rows for _ in range(2)]
                return replace(answer, body={"code": "0", "msg": "", "data": turned})
        return answer

    def connected(self, stream: Stream) -> None:
        self._streams.connected(stream)

    def heard(self, stream: Stream, message: object) -> None:
        self._streams.heard(stream, message)

    def gone(self, stream: Stream) -> None:
        self._streams.gone(stream)

    def _table(self) -> dict[tuple[str, str], Endpoint]:
        place, place_algo = (Endpoint("place", work, trades=True) for work in (self._place, self._place_algo))
        cancel, cancel_algo = (Endpoint("cancel", work, trades=True) for work in (self._cancel, self._cancel_algo))
        v5: dict[str, Endpoint] = {
            "POST trade/order": place,
            "POST trade/batch-orders": place,
            "POST trade/order-algo": place_algo,
            "POST trade/cancel-order": cancel,
            "POST trade/cancel-batch-orders": cancel,
            "POST trade/cancel-algos": cancel_algo,
            "GET trade/order": Endpoint("order", self._order),
            "GET trade/order-algo": Endpoint("order", self._algo),
            "GET trade/orders-pending": Endpoint("open_orders", self._pending),
            "GET trade/orders-algo-pending": Endpoint("open_orders", self._algos_pending),
            "GET trade/orders-history": Endpoint("orders", self._history),
            "GET trade/orders-history-archive": Endpoint("orders", self._history),
            "GET trade/orders-algo-history": Endpoint("orders", self._algo_history),
            "GET trade/fills": Endpoint("trades", self._fills),
            "GET trade/fills-history": Endpoint("trades", self._fills),
            "GET account/balance": Endpoint("balance", self._balance),
            "GET account/config": Endpoint("permissions", self._config),
            "GET account/trade-fee": Endpoint("fees", self._fees),
            "GET public/time": Endpoint("time", lambda *_: [{"ts": str(self.now())}], private=False),
            "GET system/status": Endpoint("status", lambda *_: [], private=False),
            "GET public/instruments": Endpoint("markets", self._instruments, private=False),
            "GET market/ticker": Endpoint("ticker", self._ticker, private=False),
            "GET market/tickers": Endpoint("ticker", self._tickers, private=False),
            "GET market/books": Endpoint("book", self._book, private=False),
            "GET market/trades": Endpoint("tape", self._tape, private=False),
            "GET market/candles": Endpoint("candles", self._candles, private=False),
            "GET market/history-candles": Endpoint("candles", self._candles, private=False),
        }
        return {(name.split()[0], f"/api/v5/{name.split()[1]}"): endpoint for name, endpoint in v5.items()}

    def _each(self, asked: Sequence[Params], endpoint: Endpoint, key: Key) -> Answer:
        """One row for each entry, refused ones with their own code: 1 when all are, 2 when some are."""
        rows: list[Row] = []
        for entry in asked:
            try:
                made = endpoint.work(entry, key)
                assert isinstance(made, dict)
                rows.append(made | {"sCode": "0", "sMsg": "", "tag": entry.get("tag", ""), "ts": str(self.now())})
            except OkxError as error:
                ids: Row = {name: entry.get(name, "") for name in ("clOrdId", "algoClOrdId")}
                none: Row = {"ordId": "", "algoId": "", "sCode": error.code, "sMsg": error.message, "tag": entry.get("tag", "")}
                rows.append(ids | none | {"ts": str(self.now())})
        failed = sum(row["sCode"] != "0" for row in rows)
        code = "0" if not failed else "1" if failed == len(rows) else "2"
        msg = {"0": "", "1": "All operations failed", "2": "Bulk operation partially succeeded"}[code]
        return Answer({"code": code, "msg": msg, "data": rows})

    # Orders

    def _place(self, params: Params, key: Key) -> Row:
        market = self._market(params)
        order = self._taken(orders.ticket(params, key.account, market), market)
        return {"ordId": orders.order_id(order.number), "clOrdId": order.ticket.client_id}

    def _place_algo(self, params: Params, key: Key) -> Row:
        market = self._market(params)
        ticket = orders.algo_ticket(params, key.account, market, self.exchange.last(market.symbol))
        order = self._taken(ticket, market)
        return {"algoId": orders.algo_id(order.number), "algoClOrdId": orders.algo_client_id(order), "clOrdId": ""}

    def _taken(self, ticket: Ticket, market: Market) -> VenueOrder:
        try:
            return self.exchange.place(ticket)
        except Rejected as error:
            if error.why is Why.WOULD_TAKE:
                order = self._records.turn_away(ticket)
                self._streams.changed(order)
                return order
            raise orders.rejected(error.why, ticket, market) from None

    def _cancel(self, params: Params, key: Key) -> Row:
        order = self._plain(params, key)
        if order is None or order.status is not Status.OPEN:
            raise NOT_OPEN
        self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"ordId": orders.order_id(order.number), "clOrdId": orders.plain_client_id(order)}

    def _cancel_algo(self, params: Params, key: Key) -> Row:
        order = self._algo_of(params, key)
        if order is None or not order.waiting:
            raise NOT_OPEN
        self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"algoId": orders.algo_id(order.number), "algoClOrdId": orders.algo_client_id(order)}

    def _plain(self, params: Params, key: Key) -> VenueOrder | None:
        order_id, client_id = params.get("ordId", ""), params.get("clOrdId", "")
        if not order_id and not client_id:
            raise OkxError("51003", "Either client order ID or order ID is required.")
        market, parsed = self._market(params), orders.number_of(order_id, ORDERS)
        return None if order_id and parsed is None else self._records.plain(key.account, market, parsed, client_id)

    def _order(self, params: Params, key: Key) -> object:
        order = self._plain(params, key)
        if order is None:
            raise NO_ORDER
        return [self._records.order_row(order)]

    def _algo(self, params: Params, key: Key) -> object:
        order = self._algo_of(params, key)
        if order is None:
            raise NO_ORDER
        return [self._records.algo_row(order)]

    def _algo_of(self, params: Params, key: Key) -> VenueOrder | None:
        algo_id = params.get("algoId", "")
        parsed = orders.number_of(algo_id, ALGOS)
        return None if algo_id and parsed is None else self._records.algo(key.account, parsed, params.get("algoClOrdId", ""))

    def _listed(self, params: Params, key: Key, *, live: bool) -> list[VenueOrder]:
        market = self._market_or_none(params)
        found = self.exchange.orders_of(key.account, market.symbol if market else None, only_open=live)
        return found if live else [order for order in found if order.status is not Status.OPEN]

    def _pending(self, params: Params, key: Key) -> object:
        found = [order for order in self._listed(params, key, live=True) if self._records.is_plain(order)]
        return page(params, self._order_rows(found), ORDERS)

    def _history(self, params: Params, key: Key) -> object:
        if params.get("instType") != "SPOT":
            raise bad("instType")
        ended = self._listed(params, key, live=False)
        found = [order for order in ended if self._records.is_plain(order) and self._records.is_kept(order)]
        rows = [row for row in self._order_rows(found) if params.get("state") in (None, row[2]["state"])]
        return page(params, rows, ORDERS)

    def _order_rows(self, found: Sequence[VenueOrder]) -> Rows:
        return [(order.number, order.updated_ms, self._records.order_row(order)) for order in found]

    def _algos_pending(self, params: Params, key: Key) -> object:
        waiting = [order for order in self._listed(params, key, live=True) if order.waiting]
        return page(params, self._algo_rows(params, waiting), ALGOS)

    def _algo_history(self, params: Params, key: Key) -> object:
        if not params.get("state") and not params.get("algoId"):
            raise OkxError("50015", "Either parameter state or algoId is required.")
        market = self._market_or_none(params)
        found = self.exchange.orders_of(key.account, market.symbol if market else None)
        rows = self._algo_rows(params, [order for order in found if order.ticket.kind.has_stop and not order.waiting])
        wanted = [row for row in rows if row[2]["state"] == params.get("state") or row[2]["algoId"] == params.get("algoId")]
        return page(params, wanted, ALGOS)

    def _algo_rows(self, params: Params, found: Sequence[VenueOrder]) -> Rows:
        kinds = params.get("ordType", "")
        if not kinds:
            raise OkxError("50014", "Parameter ordType cannot be empty.")
        if kinds not in orders.ALGO_LISTS:
            raise bad("ordType")
        rows = [(order.number, order.created_ms, self._records.algo_row(order)) for order in found]
        return [row for row in rows if row[2]["ordType"] in kinds.split(",")]

    def _fills(self, params: Params, key: Key) -> object:
        market, order_id = self._market_or_none(params), params.get("ordId", "")
        found = [
            done
            for done in self.exchange.executions[key.account]
            if (market is None or done.order.ticket.symbol == market.symbol)
            and (not order_id or orders.order_id(done.order.number) == order_id)
        ]
        rows = [(done.trade, done.at_ms, self._records.fill_row(done)) for done in found]
        return page(params, rows, BILLS)

    # The account

    def _balance(self, params: Params, key: Key) -> object:
        wanted = params["ccy"].split(",") if "ccy" in params else None
        return [account.balance(self.exchange.wallets[key.account], wanted, self.now())]

    def _config(self, _: Params, key: Key) -> object:
        return [account.config(key, self._streams.uid(key))]

    def _fees(self, params: Params, _: Key) -> object:
        if params.get("instType") != "SPOT":
            raise bad("instType")
        return [account.fees(self.exchange.fees, self.now())]

    # Public

    def _instruments(self, params: Params, _: Key) -> object:
        if params.get("instType") != "SPOT":
            raise bad("instType")
        chosen = self._market_or_none(params)
        return [public.instrument_row(market) for market in ([chosen] if chosen else self._markets.values())]

    def _ticker(self, params: Params, _: Key) -> object:
        return [public.ticker_row(self.exchange, self._market(params), self.now())]

    def _tickers(self, _: Params, __: Key) -> object:
        return [public.ticker_row(self.exchange, market, self.now()) for market in self._markets.values()]

    def _book(self, params: Params, _: Key) -> object:
        return [public.book(self.exchange, self._market(params), self.now(), number(params, "sz", 1, 400))]

    def _tape(self, params: Params, _: Key) -> object:
        market, limit = self._market(params), number(params, "limit", 100, 500)
        done = [row for row in self.exchange.tape[market.symbol] if row.quantity][-limit:]
        return [public.trade_row(row, market) for row in reversed(done)]

    def _candles(self, params: Params, _: Key) -> object:
        after, before = (int(params[name]) if name in params else None for name in ("after", "before"))
        limit = number(params, "limit", 100, 300)
        bar = params.get("bar", "1m")
        return public.candles(self.exchange, self._market(params), bar, self.now(), after, before, limit)

    # Small parts

    def _market(self, params: Params) -> Market:
        name = params.get("instId", "")
        if name not in self._markets:
            raise OkxError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", 200)
        return self._markets[name]

    def _market_or_none(self, params: Params) -> Market | None:
        return self._market(params) if "instId" in params else None


def _said(data: object) -> Answer:
    return Answer({"code": "0", "msg": "", "data": data})


def _refused(code: str, message: str, status: int) -> Answer:
    return Answer({"msg": message, "code": code, "data": []}, status)


LOCAL = LocalVenue(
    profile=OKX,
    markets=(
        Market(
            "BTC",
            "USDT",
            tick=Decimal("0.1"),
            lot=Decimal("0.00000001"),
            min_quantity=Decimal("0.00001"),
            max_quantity=Decimal(9_999_999_999),
            min_notional=ZERO,
            max_notional=Decimal(1_000_000),
        ),
    ),
    fees=FEES,
    keys=(
        Key("key", "secret", ACCOUNT),
        Key("reader", "secret", ACCOUNT, can_trade=False),
        Key("treasurer", "secret", ACCOUNT, can_withdraw=True),
    ),
    make=OkxVenue,
    passphrase=PASSPHRASE,
)
