"""Kraken spot, as its REST API and its streams speak, over the matching engine: enough of it for unmodified ccxt to trade.

    exchange = Exchange([Market("BTC", "USD", tick=Decimal("0.1"), lot=Decimal("0.00000001"))], wall_clock_ms, fees=FEES)
    with VenueServer(KrakenVenue(exchange, [Key("key", SECRET, "desk")])) as server:
        client = ccxt.async_support.kraken({"apiKey": "key", "secret": SECRET})
        client.urls["api"] = {"public": server.base_url, "private": server.base_url}

Signatures (HMAC-SHA512 over path, nonce and body with the base64 secret) and growing nonces are checked as Kraken does. Nearly
every refusal comes with status 200 and a text in `error`; an accepted order or cancel says almost nothing, so that the client
has to ask what became of it. Kraken looks at no clock: a skewed one is only seen in `Time`.
Source: https://docs.kraken.com/api/docs/guides/spot-rest-auth and the pages named in `kraken_orders`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from tests.venues import kraken_orders as orders
from tests.venues.bars import bars
from tests.venues.engine import Exchange
from tests.venues.engine_types import QUOTE, ZERO, Execution, Fees, Market, Rejected, Side, Status, VenueOrder
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.kraken_feed import INTERVALS, MINUTE_MS
from tests.venues.kraken_orders import KrakenError, Params, bad
from tests.venues.kraken_stream import TOKEN_SECONDS, KrakenStreams
from tests.venues.local import ACCOUNT, LocalVenue
from tests.venues.server import Answer, Call, Key, Stream
from trading_core.brokers.venues.profiles import KRAKEN

Row = TypeVar("Row", VenueOrder, Execution)
FEES = Fees(Decimal("0.0025"), Decimal("0.004"), QUOTE)
PAGE_ROWS = 50
LONGEST_PAST = 720


class KrakenVenue:
    """See the module."""

    def __init__(self, exchange: Exchange, keys: Iterable[Key]) -> None:
        self.exchange = exchange
        self.keys = {key.key: key for key in keys}
        self.skew_ms = 0
        self.streams = KrakenStreams(exchange, self._now)
        self._nonces: dict[str, int] = {}
        self._private: dict[str, tuple[str, Callable[[Params, Key], object]]] = {
            "/0/private/AddOrder": ("place", self._place),
            "/0/private/CancelOrder": ("cancel", self._cancel),
            "/0/private/CancelAll": ("cancel_all", self._cancel_all),
            "/0/private/QueryOrders": ("order", self._query),
            "/0/private/OpenOrders": ("open_orders", self._open),
            "/0/private/ClosedOrders": ("orders", self._closed),
            "/0/private/TradesHistory": ("trades", self._trades),
            "/0/private/BalanceEx": ("balance", self._balance),
            "/0/private/GetWebSocketsToken": ("stream_token", self._token),
            "/0/private/GetApiKeyInfo": ("permissions", self._permissions),
        }
        self._public: dict[str, tuple[str, Callable[[Params], object]]] = {
            "/0/public/Time": ("time", lambda _: {"unixtime": self._now() // 1000, "rfc1123": ""}),
            "/0/public/SystemStatus": ("status", lambda _: {"status": "online", "timestamp": ""}),
            "/0/public/Assets": ("markets", self._assets),
            "/0/public/AssetPairs": ("markets", self._pairs),
            "/0/public/Ticker": ("ticker", self._ticker),
            "/0/public/Depth": ("book", self._depth),
            "/0/public/OHLC": ("candles", self._candles),
        }

    # The frame's side

    def operation(self, call: Call) -> str:
        found = self._private.get(call.path) or self._public.get(call.path)
        return found[0] if found else "unknown"

    def answer(self, call: Call) -> Answer:
        try:
            if call.path in self._public:
                return _said(self._public[call.path][1](call.params))
            if call.path not in self._private:
                return _refused("EGeneral:Unknown method")
            operation, work = self._private[call.path]
            key = self._authorised(call)
            if operation in ("place", "cancel", "cancel_all") and not key.can_trade:
                return _refused("EGeneral:Permission denied")
            return _said(work(call.params, key))
        except KrakenError as error:
            return _refused(error.message)
        except Rejected as error:
            return _refused(orders.REJECTIONS[error.why])

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        match trouble:
            case Trouble.RATE_LIMIT if fault.retry_after is not None:
                return replace(_refused("EGeneral:Too many requests"), status=429)
            case Trouble.RATE_LIMIT:
                return _refused("EAPI:Rate limit exceeded")
            case Trouble.BAN:
                return _refused("EGeneral:Temporary lockout")
            case Trouble.MAINTENANCE:
                return _refused("EService:Unavailable")
            case Trouble.NO_PERMISSION:
                return _refused("EGeneral:Permission denied")
            case Trouble.BAD_KEY:
                return _refused("EAPI:Invalid key")
            case Trouble.SERVER_ERROR:
                return replace(_refused("EGeneral:Internal error"), status=fault.status)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        """Kraken's listings are objects under an order's or trade's id: they can be reordered, and never hold a row twice."""
        match answer.body, listing:
            case {"error": [], "result": dict(result)}, Listing.REORDERED:
                turned = {name: dict(reversed(rows.items())) if isinstance(rows, dict) else rows for name, rows in result.items()}
                return _said(turned)
        return answer

    def connected(self, stream: Stream) -> None:
        self.streams.connected(stream)

    def heard(self, stream: Stream, message: object) -> None:
        self.streams.heard(stream, message)

    def gone(self, stream: Stream) -> None:
        self.streams.gone(stream)

    def _now(self) -> int:
        return self.exchange.clock() + self.skew_ms

    def _authorised(self, call: Call) -> Key:
        """The key of a request whose signature is right and whose nonce has grown."""
        key = self.keys.get(call.headers.get("api-key", ""))
        if key is None:
            raise KrakenError("EAPI:Invalid key")
        nonce = call.params.get("nonce", "")
        digest = hashlib.sha256(f"{nonce}{call.body}".encode()).digest()
        expected = hmac.new(base64.b64decode(key.secret), call.path.encode() + digest, hashlib.sha512).digest()
        if not hmac.compare_digest(base64.b64encode(expected).decode(), call.headers.get("api-sign", "")):
            raise KrakenError("EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self._nonces.get(key.key, 0):
            raise KrakenError("EAPI:Invalid nonce")
        self._nonces[key.key] = int(nonce)
        return key

    # Orders

    def _place(self, params: Params, key: Key) -> object:
        market = self._market(params.get("pair", ""))
        order = self.exchange.place(orders.ticket(params, key.account, market))
        return {"descr": {"order": orders.described(order.ticket, market)}, "txid": [orders.order_id(order.number)]}

    def _cancel(self, params: Params, key: Key) -> object:
        order = self._found(params, key)
        if order is None:
            raise KrakenError("EOrder:Unknown order")
        self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"count": 1}

    def _cancel_all(self, _: Params, key: Key) -> object:
        found = self.exchange.orders_of(key.account, only_open=True)
        for order in found:
            self.exchange.cancel(key.account, order.ticket.symbol, order.number)
        return {"count": len(found)}

    def _found(self, params: Params, key: Key) -> VenueOrder | None:
        """The account's order of the request's `txid`, or else its open one of `cl_ord_id`."""
        number, client_id = orders.order_number(params.get("txid", "")), params.get("cl_ord_id")
        if number is None and client_id is None:
            raise bad("txid")
        for order in self.exchange.orders_of(key.account, only_open=number is None):
            if order.number == number or (number is None and order.ticket.client_id == client_id):
                return order
        return None

    def _query(self, params: Params, key: Key) -> object:
        wanted = {orders.order_number(text) for text in params.get("txid", "").split(",")}
        found = [order for order in self.exchange.orders_of(key.account) if order.number in wanted]
        if not found or None in wanted:
            raise KrakenError("EOrder:Unknown order")
        return self._rows(found, key)

    def _open(self, params: Params, key: Key) -> object:
        return {"open": self._rows(_of(params, self.exchange.orders_of(key.account, only_open=True)), key)}

    def _closed(self, params: Params, key: Key) -> object:
        """Youngest first, fifty to a page."""
        ended = [order for order in self.exchange.orders_of(key.account) if order.status is not Status.OPEN]
        found = [order for order in _of(params, ended)[::-1] if _within(params, order.updated_ms)]
        return {"closed": self._rows(_paged(params, found), key), "count": len(found)}

    def _trades(self, params: Params, key: Key) -> object:
        """Youngest first, fifty to a page."""
        found = [done for done in self.exchange.executions[key.account][::-1] if _within(params, done.at_ms)]
        rows = {orders.trade_id(done): orders.trade_row(done, self._of(done.order)) for done in _paged(params, found)}
        return {"trades": rows, "count": len(found)}

    def _rows(self, found: list[VenueOrder], key: Key) -> dict[str, object]:
        done: dict[int, list[Execution]] = {order.number: [] for order in found}
        for execution in self.exchange.executions[key.account]:
            if execution.order.number in done:
                done[execution.order.number].append(execution)
        return {orders.order_id(o.number): orders.order_row(o, self._of(o), done[o.number]) for o in found}

    def _balance(self, _: Params, key: Key) -> object:
        wallets = self.exchange.wallets[key.account]
        return {
            orders.asset_id(asset): {"balance": f"{wallet.free + wallet.locked:.10f}", "hold_trade": f"{wallet.locked:.10f}"}
            for asset, wallet in wallets.items()
        }

    def _token(self, _: Params, key: Key) -> object:
        return {"token": self.streams.token(key), "expires": TOKEN_SECONDS}

    def _permissions(self, _: Params, key: Key) -> object:
        """What the key may do, under Kraken's names."""
        granted = ["query-funds", "query-open-trades", "query-closed-trades", "query-ledger"]
        granted += ["modify-trades", "close-trades"] if key.can_trade else []
        granted += ["withdraw-funds"] if key.can_withdraw else []
        return {"apiKeyName": key.key, "apiKey": key.key, "permissions": granted, "ipAllowlist": []}

    # Public

    def _assets(self, _: Params) -> object:
        known = {asset for market in self.exchange.markets.values() for asset in (market.base, market.quote)}
        row = {"aclass": "currency", "decimals": 10, "display_decimals": 5, "status": "enabled"}
        return {orders.asset_id(asset): row | {"altname": asset.replace("BTC", "XBT")} for asset in sorted(known)}

    def _pairs(self, _: Params) -> object:
        fees = self.exchange.fees
        return {orders.pair_id(m): orders.pair_row(m, fees.maker, fees.taker) for m in self.exchange.markets.values()}

    def _ticker(self, params: Params) -> object:
        names = params["pair"].split(",") if "pair" in params else [orders.pair_id(m) for m in self.exchange.markets.values()]
        return {orders.pair_id(market): self._ticker_row(market) for market in map(self._market, names)}

    def _ticker_row(self, market: Market) -> object:
        """Today's and the last day's figures are the same here: the tape is no older than the test."""
        tape = self.exchange.tape[market.symbol]
        prices = [done.price for done in tape] or [ZERO]
        volume = sum((done.quantity for done in tape), ZERO)
        cost = sum((done.quantity * done.price for done in tape), ZERO)
        bid, ask = (next(iter(self.exchange.book(market.symbol, side)), (ZERO, ZERO)) for side in (Side.BUY, Side.SELL))
        average = cost / volume if volume else prices[-1]
        return {
            "a": [str(ask[0]), str(int(ask[1])), str(ask[1])],
            "b": [str(bid[0]), str(int(bid[1])), str(bid[1])],
            "c": [str(prices[-1]), str(tape[-1].quantity if tape else ZERO)],
            "v": [str(volume)] * 2,
            "p": [f"{average:.5f}"] * 2,
            "t": [len(tape)] * 2,
            "l": [str(min(prices))] * 2,
            "h": [str(max(prices))] * 2,
            "o": str(prices[0]),
        }

    def _depth(self, params: Params) -> object:
        market = self._market(params.get("pair", ""))
        now = self._now() // 1000
        sides = {
            name: [[str(price), str(quantity), now] for price, quantity in self.exchange.book(market.symbol, side)]
            for name, side in (("bids", Side.BUY), ("asks", Side.SELL))
        }
        return {orders.pair_id(market): sides}

    def _candles(self, params: Params) -> object:
        """The last 720 of an interval in minutes, the last one still open; `since` is exclusive, in seconds."""
        market, interval = self._market(params.get("pair", "")), params.get("interval", "1")
        if not interval.isdecimal() or int(interval) not in INTERVALS:
            raise bad("interval")
        since = int(params.get("since", "0"))
        found = bars(self.exchange.tape[market.symbol], int(interval) * MINUTE_MS, self._now(), None, None, LONGEST_PAST)
        rows = [orders.candle_row(bar) for bar in found if bar.opened_ms > since * 1000]
        return {orders.pair_id(market): rows, "last": found[-2].opened_ms // 1000 if len(found) > 1 else 0}

    # Small parts

    def _market(self, name: str) -> Market:
        for market in self.exchange.markets.values():
            if name in (orders.pair_id(market), orders.altname(market)):
                return market
        raise KrakenError("EQuery:Unknown asset pair")

    def _of(self, order: VenueOrder) -> Market:
        return self.exchange.markets[order.ticket.symbol]


def _said(result: object) -> Answer:
    return Answer({"error": [], "result": result})


def _refused(message: str) -> Answer:
    return Answer({"error": [message]})


def _of(params: Params, found: list[VenueOrder]) -> list[VenueOrder]:
    client_id = params.get("cl_ord_id")
    return [order for order in found if client_id in (None, order.ticket.client_id)]


def _within(params: Params, at_ms: int) -> bool:
    """`start` is exclusive and `end` inclusive, in seconds."""
    at, start, end = Decimal(at_ms) / 1000, params.get("start"), params.get("end")
    return (start is None or at > Decimal(start)) and (end is None or at <= Decimal(end))


def _paged(params: Params, rows: list[Row]) -> list[Row]:
    first = int(params.get("ofs", 0))
    return rows[first : first + PAGE_ROWS]


_SECRET = base64.b64encode(b"a secret of the test").decode()
LOCAL = LocalVenue(
    profile=KRAKEN,
    markets=(
        Market(
            "BTC",
            "USD",
            tick=Decimal("0.1"),
            lot=Decimal("0.00000001"),
            min_quantity=Decimal("0.0001"),
            min_notional=Decimal("0.5"),
        ),
    ),
    fees=FEES,
    keys=(
        Key("key", _SECRET, ACCOUNT),
        Key("reader", _SECRET, ACCOUNT, can_trade=False),
        Key("treasurer", _SECRET, ACCOUNT, can_withdraw=True),
    ),
    make=KrakenVenue,
)
