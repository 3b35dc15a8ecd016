"""Kraken's sockets, WebSocket API v2: public channels, and the executions of the account of a token.

    client.urls["api"]["ws"] = ws_urls(server.ws_url)

The channels of accounts and of markets have hosts of their own at Kraken; here one address serves both. Heartbeats, which Kraken
sends each second, are left out: a client that wants a sign of life asks for a pong.
Source: https://docs.kraken.com/api/docs/websocket-v2 (ping, status, executions, subscribe and unsubscribe) and
https://docs.kraken.com/api/docs/guides/spot-ws-auth (tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.venues import kraken_orders as orders
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Execution, Print, Status, VenueOrder
from tests.venues.kraken_feed import DEPTHS, INTERVALS, SNAPSHOT_ROWS, Feed, Wish, rounded, stamp
from tests.venues.kraken_orders import Row
from tests.venues.server import Key, Stream

WISHES, READER = "wishes", "reader"
"""What is remembered of a socket: its public channels, and whose executions it is told."""
TOKEN_SECONDS = 900
PUBLIC = ("ticker", "trade", "book", "ohlc")
NOT_RESTING = {Status.CANCELLED: "canceled", Status.EXPIRED: "expired", Status.FILLED: "filled"}


def ws_urls(ws_url: str) -> dict[str, str]:
    """ccxt's `urls["api"]["ws"]`."""
    return dict.fromkeys(("public", "private", "publicV2", "privateV2"), f"{ws_url}/v2")


class KrakenStreamError(Exception):
    """A subscription that is refused, in Kraken's words."""


@dataclass(slots=True)
class Reader:
    """A socket that is told of an account. Each message has the next number."""

    account: str
    sequence: int = 0


class KrakenStreams:
    """Every open socket of the venue, and the tokens that open them. All of it under the exchange's lock."""

    def __init__(self, exchange: Exchange, now: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now = now
        self._feed = Feed(exchange, now)
        self._sockets: list[Stream] = []
        self._tokens: dict[str, tuple[str, int]] = {}
        exchange.listen(self._changed)
        exchange.watch(self._acted)

    def token(self, key: Key) -> str:
        """A new token for an account; it has to be used within `TOKEN_SECONDS`."""
        token = f"token-{len(self._tokens) + 1:05d}"
        self._tokens[token] = key.account, self._now() + 1000 * TOKEN_SECONDS
        return token

    def expire_tokens(self) -> None:
        """No token that was given opens anything any more; what is open stays so."""
        self._tokens.clear()

    # The frame's side

    def connected(self, stream: Stream) -> None:
        self._sockets.append(stream)
        stream.facts |= {WISHES: []}
        about = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": len(self._sockets)}
        stream.answer({"channel": "status", "type": "update", "data": [about]})

    def gone(self, stream: Stream) -> None:
        self._sockets.remove(stream)

    def heard(self, stream: Stream, message: object) -> None:
        if not isinstance(message, dict):
            stream.answer({"error": "Malformed request", "success": False})
            return
        came = stamp(self._now())
        method, params = message.get("method"), message.get("params", {})
        request = {"req_id": message["req_id"]} if "req_id" in message else {}
        if method == "ping":
            stream.answer({"method": "pong", "time_in": came, "time_out": stamp(self._now())} | request)
            return
        head = {"method": method, "time_in": came, "time_out": stamp(self._now())} | request
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            stream.answer({"error": "Unsupported method", "success": False} | head)
            return
        work = self._read if params.get("channel") == "executions" else self._wish
        try:
            work(stream, params, head, begins=method == "subscribe")
        except KrakenStreamError as error:
            stream.answer({"error": str(error), "success": False} | head)

    # Public channels

    def _wish(self, stream: Stream, params: Row, head: Row, *, begins: bool) -> None:
        """Each market is confirmed by itself."""
        asked = params.get("symbol")
        for wish in [self._wished(str(symbol), params) for symbol in (asked if isinstance(asked, list) else [])]:
            result: Row = {"channel": wish.channel, "symbol": wish.symbol} | ({"snapshot": True} if begins else {})
            wishes = _wishes(stream)
            if begins and wish in wishes:
                raise KrakenStreamError("Already subscribed")
            if not begins and wish not in wishes:
                raise KrakenStreamError("Subscription Not Found")
            stream.facts[WISHES] = [*wishes, wish] if begins else [other for other in wishes if other != wish]
            stream.answer({"result": result, "success": True} | head)
            rows = self._feed.snapshot(wish) if begins else []
            if rows:
                stream.send(self._message(wish, "snapshot", rows))

    def _wished(self, symbol: str, params: Row) -> Wish:
        channel, depth, interval = params.get("channel"), params.get("depth", DEPTHS[0]), params.get("interval", INTERVALS[0])
        if channel not in PUBLIC:
            raise KrakenStreamError("Unsupported channel")
        if symbol not in self._exchange.markets:
            raise KrakenStreamError(f"Currency pair not supported {symbol}")
        if depth not in DEPTHS:
            raise KrakenStreamError("Subscription depth not supported")
        if interval not in INTERVALS:
            raise KrakenStreamError("Subscription ohlc interval not supported")
        on_quotes = params.get("event_trigger", "trades") == "bbo"
        return Wish(str(channel), symbol, int(str(depth)), int(str(interval)), on_quotes)

    def _message(self, wish: Wish, kind: str, rows: list[Row]) -> Row:
        told: Row = {"channel": wish.channel, "type": kind, "data": rows}
        return told | {"timestamp": stamp(self._now())} if wish.channel == "ohlc" else told

    def _acted(self, symbol: str, prints: list[Print]) -> None:
        for stream in self._sockets:
            for wish in _wishes(stream):
                if wish.symbol == symbol and (rows := self._feed.rows(wish, prints)):
                    stream.send(self._message(wish, "update", rows))
        self._feed.done(symbol)

    # Executions

    def _read(self, stream: Stream, params: Row, head: Row, *, begins: bool) -> None:
        account, until = self._tokens.get(str(params.get("token")), ("", 0))
        if until <= self._now():
            raise KrakenStreamError("ESession:Invalid session")
        shows = {name: params.get(name, name == "snap_orders") is True for name in ("snap_orders", "snap_trades")}
        if not begins:
            stream.facts.pop(READER, None)
            stream.answer({"result": {"channel": "executions"}, "success": True} | head)
            return
        if READER in stream.facts:
            raise KrakenStreamError("Already subscribed")
        stream.facts[READER] = reader = Reader(account)
        stream.answer({"result": {"channel": "executions", "maxratecount": 125} | shows, "success": True} | head)
        rows: list[Row] = []
        if shows["snap_orders"]:
            rows += [self._order(o, "new") for o in self._exchange.orders_of(account, only_open=True)]
        if shows["snap_trades"]:
            rows += [self._trade(done) for done in self._exchange.executions[account][-SNAPSHOT_ROWS:]]
        self._tell(stream, reader, "snapshot", rows)

    def _tell(self, stream: Stream, reader: Reader, kind: str, rows: list[Row]) -> None:
        reader.sequence += 1
        stream.send({"channel": "executions", "type": kind, "data": rows, "sequence": reader.sequence})

    def _changed(self, change: VenueOrder | Execution) -> None:
        order = change if isinstance(change, VenueOrder) else change.order
        readers = [(stream, reader) for stream in self._sockets if (reader := _reader(stream, order.ticket.account))]
        if not readers:
            return
        for row in [self._trade(change)] if isinstance(change, Execution) else self._steps(order):
            for stream, reader in readers:
                self._tell(stream, reader, "update", [row])

    def _steps(self, order: VenueOrder) -> list[Row]:
        """Of a new order, that it was judged and that it is live; of others, what changed."""
        if order.status in NOT_RESTING:
            name = NOT_RESTING[order.status]
            sums: Row = {
                "cum_qty": order.filled,
                "cum_cost": order.spent,
                "avg_price": self._average(order),
                "fee_usd_equiv": self._fees(order),
            }
            why: Row = {"reason": "User requested"} if order.status is Status.CANCELLED else {}
            return [self._step(order, name, name) | sums | why]
        if order.filled:
            return []
        if order.ticket.stop is not None and not order.waiting:
            return [self._step(order, "status", "new") | {"triggers": self._trigger(order)}]
        return [self._order(order, "pending_new"), self._step(order, "new", "new")]

    def _step(self, order: VenueOrder, what: str, status: str) -> Row:
        """A change: neither the market nor what was asked for is said again."""
        row: Row = {
            "exec_type": what,
            "order_status": status,
            "order_id": orders.order_id(order.number),
            "order_userref": 0,
            "timestamp": stamp(order.updated_ms),
        }
        return row | ({"cl_ord_id": order.ticket.client_id} if order.ticket.client_id else {})

    def _order(self, order: VenueOrder, what: str) -> Row:
        """The whole order."""
        asked = order.ticket
        row: Row = self._step(order, what, "partially_filled" if order.filled else what) | {
            "symbol": asked.symbol,
            "side": asked.side.value,
            "order_type": orders.NAMES[asked.kind],
            "time_in_force": asked.lifetime.value.upper(),
            "limit_price_type": "static",
            "cum_qty": order.filled,
            "cum_cost": order.spent,
            "avg_price": self._average(order),
            "fee_usd_equiv": self._fees(order),
            "fee_ccy_pref": "fciq",
            "post_only": asked.post_only,
        }
        amount = {"order_qty": asked.quantity} if asked.quantity is not None else {"cash_order_qty": asked.cost}
        limit: Row = {"limit_price": asked.limit} if asked.limit is not None else {}
        triggers: Row = {"triggers": self._trigger(order)} if asked.stop is not None else {}
        return row | amount | limit | triggers

    def _trigger(self, order: VenueOrder) -> Row:
        status = "untriggered" if order.waiting else "triggered"
        return {"reference": "last", "price": order.ticket.stop, "price_type": "static", "status": status}

    def _trade(self, done: Execution) -> Row:
        """An execution; its order counts as partly filled until an event of its own says that it is filled."""
        order = done.order
        return self._step(order, "trade", "partially_filled") | {
            "exec_id": orders.trade_id(done),
            "trade_id": done.trade,
            "symbol": order.ticket.symbol,
            "side": order.ticket.side.value,
            "order_type": orders.NAMES[order.ticket.kind],
            "last_qty": done.quantity,
            "last_price": done.price,
            "liquidity_ind": "m" if done.is_maker else "t",
            "cost": done.price * done.quantity,
            "fees": [{"asset": done.fee_asset, "qty": done.fee}],
            "fee_usd_equiv": done.fee,
            "timestamp": stamp(done.at_ms),
        }

    def _average(self, order: VenueOrder) -> object:
        return rounded(order.spent / order.filled, self._exchange.markets[order.ticket.symbol].tick) if order.filled else ZERO

    def _fees(self, order: VenueOrder) -> object:
        """In the quote currency, which here is the dollar."""
        done = self._exchange.executions[order.ticket.account]
        return sum((execution.fee for execution in done if execution.order is order), ZERO)


def _wishes(stream: Stream) -> list[Wish]:
    wishes = stream.facts[WISHES]
    assert isinstance(wishes, list)
    return wishes


def _reader(stream: Stream, account: str) -> Reader | None:
    reader = stream.facts.get(READER)
    return reader if isinstance(reader, Reader) and reader.account == account else None
