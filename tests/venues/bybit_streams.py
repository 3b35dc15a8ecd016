"""Bybit's WebSockets: orders and executions of an account on `/v5/private`, market data on `/v5/public/spot`.

Logins are checked (HMAC-SHA256 over `GET/realtime` and the instant until which they count), subscriptions acknowledged and pings
answered as Bybit does. A book is sent whole once and then by its changes; one level of it comes whole every time.
Source: https://bybit-exchange.github.io/docs/v5/ws/connect and the pages on topics beside it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

from tests.venues import bybit_market as public
from tests.venues import bybit_orders as orders
from tests.venues.bybit_market import Levels
from tests.venues.bybit_orders import Row
from tests.venues.engine import HOUSE, Exchange
from tests.venues.engine_types import Execution, Market, Print, Side, VenueOrder
from tests.venues.server import Key, Stream

PRIVATE, PUBLIC = "/v5/private", "/v5/public/spot"
PRIVATE_TOPICS = {"order": "order", "order.spot": "order", "execution": "execution", "execution.spot": "execution"}
DEPTHS = ("1", "50", "200", "1000")
MOST_TOPICS = 10
"""That one subscription on the public socket of spot may name."""


class BybitStreams:
    """The sockets of one venue. Everything is called under the exchange's lock.

    Args:
        exchange: whose news is told.
        keys: that may log in, by name.
        now: the venue's clock, in ms.
        order_row: an order as Bybit shows it.
    """

    def __init__(
        self, exchange: Exchange, keys: Mapping[str, Key], now: Callable[[], int], order_row: Callable[[VenueOrder], Row]
    ) -> None:
        self._exchange = exchange
        self._keys = keys
        self._now = now
        self._order_row = order_row
        self._topics: dict[Stream, set[str]] = {}
        self._connections = 0
        self._told = 0
        exchange.watch(self._market_moved)

    # What clients do

    def connected(self, stream: Stream) -> None:
        self._connections += 1
        self._topics[stream] = set()
        stream.facts["id"] = f"local-{self._connections}"

    def gone(self, stream: Stream) -> None:
        self._topics.pop(stream, None)

    def heard(self, stream: Stream, message: object) -> None:
        said: Mapping[str, object] = message if isinstance(message, dict) else {}
        args = said.get("args")
        listed = [str(value) for value in args] if isinstance(args, list) else []
        match said.get("op"):
            case "auth":
                self._log_in(stream, listed)
            case "ping":
                self._pong(stream, said)
            case "subscribe":
                self._subscribe(stream, said, listed)
            case "unsubscribe":
                self._topics[stream] -= set(listed)
                self._acknowledge(stream, said, "")
            case op:
                stream.answer({"success": False, "ret_msg": "error:invalid op", "request": {"op": op, "args": args}})

    def _log_in(self, stream: Stream, args: list[str]) -> None:
        name, expires, sign = args if len(args) == 3 else ("", "0", "")
        key = self._keys.get(name)
        code, words = 0, ""
        if key is None:
            code, words = 10003, "Invalid apikey"
        elif not expires.isdecimal() or int(expires) <= self._now():
            code, words = 10002, "Request expired"
        else:
            expected = hmac.new(key.secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
            if hmac.compare_digest(expected, sign):
                stream.facts["account"] = key.account
            else:
                code, words = 10004, "Error sign"
        said = {"op": "auth", "success": not code, "retCode": code, "retMsg": words, "connId": stream.facts["id"]}
        stream.answer(said)

    def _pong(self, stream: Stream, said: Mapping[str, object]) -> None:
        if stream.path.startswith(PRIVATE):
            pong = {"req_id": str(said.get("req_id", "")), "op": "pong", "args": [str(self._now())]}
            stream.answer(pong | {"conn_id": stream.facts["id"]})
        else:
            self._acknowledge(stream, said, "pong")

    def _acknowledge(self, stream: Stream, said: Mapping[str, object], words: str, *, success: bool = True) -> None:
        ids = {"conn_id": stream.facts["id"], "req_id": str(said.get("req_id", ""))}
        stream.answer({"success": success, "ret_msg": words} | ids | {"op": said.get("op")})

    def _subscribe(self, stream: Stream, said: Mapping[str, object], topics: list[str]) -> None:
        private = stream.path.startswith(PRIVATE)
        known = all(topic in PRIVATE_TOPICS if private else self._subject(topic) for topic in topics)
        if private and "account" not in stream.facts:
            self._acknowledge(stream, said, "Request not authorized", success=False)
        elif not private and len(topics) > MOST_TOPICS:
            self._acknowledge(stream, said, f"args size >{MOST_TOPICS}", success=False)
        elif not topics or not known:
            self._acknowledge(stream, said, f"Invalid topic: {','.join(topics)}", success=False)
        else:
            self._acknowledge(stream, said, "")
            self._topics[stream] |= set(topics)
            if not private:
                for topic in topics:
                    self._snapshot(stream, topic)

    # What is told to accounts

    def tell(self, change: VenueOrder | Execution) -> None:
        """An order that changed, or an execution, to the sockets of its account."""
        order = change.order if isinstance(change, Execution) else change
        if order.ticket.account == HOUSE:
            return
        kind = "execution" if isinstance(change, Execution) else "order"
        for stream, topics in self._topics.items():
            if stream.facts.get("account") != order.ticket.account:
                continue
            for topic in sorted(topic for topic in topics if PRIVATE_TOPICS.get(topic) == kind):
                self._told += 1
                row = self._execution(change) if isinstance(change, Execution) else self._order(change)
                head = {"id": f"{order.ticket.account}-{self._told}", "topic": topic, "creationTime": self._now()}
                stream.send(head | {"data": [row | {"category": "spot"}]})

    def _order(self, order: VenueOrder) -> Row:
        """As the stream shows it: with the coin that was received, whatever the fee was paid in."""
        market = self._exchange.markets[order.ticket.symbol]
        return self._order_row(order) | {"feeCurrency": market.base if order.ticket.side is Side.BUY else market.quote}

    def _execution(self, done: Execution) -> Row:
        """As the stream shows it: the fee's currency has another name there than in the list."""
        row = orders.execution_row(done, self._exchange.markets[done.order.ticket.symbol])
        coin = row.pop("feeCurrency")
        return row | {"feeCoin": coin, "isLeverage": "0", "marketUnit": "", "execPnl": "0", "extraFees": []}

    # What is told to everybody

    def _subject(self, topic: str) -> tuple[str, int, Market] | None:
        """Kind, depth and market of a public topic; None for what is none."""
        kind, *rest = topic.split(".")
        depth = rest.pop(0) if kind == "orderbook" and len(rest) == 2 else "1"
        if kind not in ("tickers", "publicTrade", "orderbook") or depth not in DEPTHS or len(rest) != 1:
            return None
        found = (market for market in self._exchange.markets.values() if public.market_id(market) == rest[0])
        return next(((kind, int(depth), market) for market in found), None)

    def _market_moved(self, symbol: str, prints: list[Print]) -> None:
        for stream, topics in self._topics.items():
            for topic in sorted(topics):
                subject = self._subject(topic)
                if subject is None or subject[2].symbol != symbol:
                    continue
                kind, depth, market = subject
                if kind == "publicTrade":
                    self._trades(stream, topic, market, [done for done in prints if done.quantity])
                elif kind == "orderbook" and depth > 1:
                    self._book_changes(stream, topic, market, depth)
                else:
                    self._snapshot(stream, topic)

    def _snapshot(self, stream: Stream, topic: str) -> None:
        """The state a subscription begins with; trades have none."""
        subject = self._subject(topic)
        assert subject is not None
        kind, depth, market = subject
        if kind == "tickers":
            self._send(stream, topic, "snapshot", public.day_row(self._exchange, market, self._now()))
        elif kind == "orderbook":
            whole = public.book(self._exchange, market, depth, self._now())
            stream.facts[topic] = {side: _by_price(whole[side]) for side in ("b", "a")}
            self._send(stream, topic, "snapshot", {name: whole[name] for name in ("s", "b", "a", "u", "seq")})

    def _book_changes(self, stream: Stream, topic: str, market: Market, depth: int) -> None:
        """Levels that are new or have another quantity, and those that are gone with a quantity of zero."""
        before = stream.facts[topic]
        assert isinstance(before, dict)
        now, changes = {}, {}
        for name, side in (("b", Side.BUY), ("a", Side.SELL)):
            now[name] = _by_price(public.levels(self._exchange, market, side, depth))
            gone = {price: "0" for price in before[name] if price not in now[name]}
            fresh = {price: size for price, size in now[name].items() if before[name].get(price) != size}
            changes[name] = [list(level) for level in (fresh | gone).items()]
        stream.facts[topic] = now
        if any(changes.values()):
            count = len(self._exchange.orders)
            self._send(stream, topic, "delta", {"s": public.market_id(market), **changes, "u": count, "seq": count})

    def _trades(self, stream: Stream, topic: str, market: Market, prints: list[Print]) -> None:
        rows: list[Row] = [
            {
                "T": done.at_ms,
                "s": public.market_id(market),
                "S": done.taker.value.capitalize(),
                "v": orders.text(done.quantity),
                "p": orders.text(done.price),
                "i": public.print_id(done),
                "BT": False,
                "seq": done.number,
            }
            for done in prints
        ]
        if rows:
            self._send(stream, topic, "snapshot", rows)

    def _send(self, stream: Stream, topic: str, kind: str, data: object) -> None:
        stream.send({"topic": topic, "ts": self._now(), "type": kind, "data": data})


def _by_price(levels: object) -> dict[str, str]:
    assert isinstance(levels, list)
    rows: Levels = levels
    return {level[0]: level[1] for level in rows}
