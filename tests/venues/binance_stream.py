"""Binance's sockets: market streams by name, and an account's events over the WebSocket API.

    client.urls["api"]["ws"] = ws_urls(server.ws_url)

An account is subscribed to with a signature (`userDataStream.subscribe.signature`); ccxt and Binance have left the older listen
keys of spot behind. Source: https://developers.binance.com/docs/binance-spot-api-docs (WebSocket Streams; WebSocket API: request
security and user data stream requests; User Data Streams).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from tests.venues.binance_account import authorised
from tests.venues.binance_feed import Feed
from tests.venues.binance_orders import BinanceError, Row, money, order_row
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Market, Print, Status, VenueOrder
from tests.venues.server import Key, Stream

API = "/ws-api/"
NAMES, USERS = "names", "users"
"""What is remembered of a socket: the names of its market streams, and its accounts by the number of the subscription."""
ENDINGS = {Status.CANCELLED: "CANCELED", Status.EXPIRED: "EXPIRED"}


def ws_urls(ws_url: str) -> dict[str, object]:
    """ccxt's `urls["api"]["ws"]` for spot; it knows a spot stream by `/stream` in the address."""
    return {"spot": f"{ws_url}/stream/ws", "ws-api": {"spot": f"{ws_url}{API}v3"}}


class BinanceStreams:
    """Every open socket of the venue. All of it under the exchange's lock."""

    def __init__(self, exchange: Exchange, keys: Mapping[str, Key], now: Callable[[], int]) -> None:
        self.feed = Feed(exchange, now)
        self.cancel_id = ""
        """The client order id of the cancel that is being done: each has one of its own."""
        self._exchange = exchange
        self._keys = keys
        self._now = now
        self._sockets: list[Stream] = []
        self._subscriptions = 0
        self._touched: dict[tuple[str, str], None] = {}
        exchange.listen(self._changed)
        exchange.watch(self._acted)

    # The frame's side

    def connected(self, stream: Stream) -> None:
        self._sockets.append(stream)
        stream.facts |= {NAMES: [], USERS: {}}
        if stream.path.startswith(API):
            return
        path = urlsplit(stream.path)
        asked = parse_qs(path.query).get("streams", [""])[0] or path.path.rpartition("/ws/")[2]
        self._subscribe(stream, [name for name in asked.split("/") if self.feed.named(name)])

    def heard(self, stream: Stream, message: object) -> None:
        if not isinstance(message, dict):
            stream.answer({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})
            return
        if stream.path.startswith(API):
            stream.answer({"id": message.get("id")} | self._request(stream, message))
        else:
            self._listen(stream, message)

    def gone(self, stream: Stream) -> None:
        self._sockets.remove(stream)

    # Market streams

    def _listen(self, stream: Stream, message: Row) -> None:
        asked = message.get("params", [])
        names = [str(name) for name in asked] if isinstance(asked, list) else []
        if unknown := [name for name in names if self.feed.named(name) is None]:
            error = {"code": 2, "msg": f"Invalid request: invalid stream {unknown[0]}"}
            stream.answer({"error": error, "id": message.get("id")})
            return
        result: object = None
        match message.get("method"):
            case "SUBSCRIBE":
                stream.answer({"result": None, "id": message.get("id")})
                self._subscribe(stream, names)
                return
            case "UNSUBSCRIBE":
                stream.facts[NAMES] = [name for name in _names(stream) if name not in names]
            case "LIST_SUBSCRIPTIONS":
                result = _names(stream)
            case other:
                error = {"code": 2, "msg": f"Invalid request: unknown variant `{other}`"}
                stream.answer({"error": error, "id": message.get("id")})
                return
        stream.answer({"result": result, "id": message.get("id")})

    def _subscribe(self, stream: Stream, names: list[str]) -> None:
        stream.facts[NAMES] = list(dict.fromkeys([*_names(stream), *names]))
        for name in names:
            self._push(stream, name, self.feed.begin(*self._known(name)))

    def _known(self, name: str) -> tuple[Market, str]:
        named = self.feed.named(name)
        assert named is not None
        return named

    def _push(self, stream: Stream, name: str, rows: list[Row]) -> None:
        """Bare, or with the stream's name around it where the client connected to `/stream?streams=`."""
        for row in rows:
            stream.send({"stream": name, "data": row} if stream.path.startswith("/stream?") else row)

    def _acted(self, symbol: str, prints: list[Print]) -> None:
        self._balances()
        self.feed.acted(symbol)
        heard = False
        for stream in self._sockets:
            for name in _names(stream):
                market, kind = self._known(name)
                if market.symbol == symbol:
                    heard = True
                    self._push(stream, name, self.feed.rows(market, kind, prints))
        if heard:
            self.feed.told(symbol)

    # Accounts

    def _request(self, stream: Stream, message: Row) -> Row:
        given = message.get("params") or {}
        assert isinstance(given, dict)
        params = {str(name): str(value) for name, value in given.items()}
        try:
            return {"status": 200, "result": self._asked(stream, str(message.get("method")), params), "rateLimits": []}
        except BinanceError as error:
            return {"status": error.status, "error": {"code": error.code, "msg": error.message}, "rateLimits": []}

    def _asked(self, stream: Stream, method: str, params: dict[str, str]) -> object:
        users = _users(stream)
        match method:
            case "userDataStream.subscribe.signature":
                # Signed are the parameters in the order of their names, as a query without any escape.
                sent = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
                key = authorised(self._keys, params.get("apiKey", ""), sent, params, self._now())
                number = self._subscriptions
                self._subscriptions += 1
                users[number] = key.account
                return {"subscriptionId": number}
            case "userDataStream.unsubscribe":
                users.clear()
                return {}
            case "ping":
                return {}
            case "time":
                return {"serverTime": self._now()}
        raise BinanceError(-1000, f"The method {method} is not served here.")

    def end_users(self) -> None:
        for stream in self._sockets:
            for number in _users(stream):
                stream.send({"subscriptionId": number, "event": {"e": "eventStreamTerminated", "E": self._now()}})
            _users(stream).clear()

    def _tell(self, account: str, event: Row) -> None:
        for stream in self._sockets:
            for number, user in _users(stream).items():
                if user == account:
                    stream.send({"subscriptionId": number, "event": event})

    def _changed(self, change: VenueOrder | Execution) -> None:
        order = change if isinstance(change, VenueOrder) else change.order
        account = order.ticket.account
        if not any(account in _users(stream).values() for stream in self._sockets):
            return
        market = self._exchange.markets[order.ticket.symbol]
        report = self._report(order, market)
        for asset in (market.base, market.quote):
            self._touched[account, asset] = None
        if isinstance(change, Execution):
            self._touched[account, change.fee_asset] = None
            self._tell(account, report | _traded(change))
        elif order.status in ENDINGS:
            self._tell(account, report | {"x": ENDINGS[order.status]} | self._cancelled(order))
        elif order.status is Status.OPEN and not order.filled:
            self._tell(account, report)

    def _cancelled(self, order: VenueOrder) -> Row:
        """A cancel has an id of its own, and names the order's as the original."""
        return {"c": self.cancel_id, "C": order.ticket.client_id} if order.status is Status.CANCELLED else {}

    def _report(self, order: VenueOrder, market: Market) -> Row:
        """An `executionReport` of an order that has just been taken, or whose stop has triggered."""
        row = order_row(order, market.base + market.quote)
        return {
            "e": "executionReport",
            "E": self._now(),
            "s": row["symbol"],
            "c": row["clientOrderId"],
            "S": row["side"],
            "o": row["type"],
            "f": row["timeInForce"],
            "q": row["origQty"],
            "p": row["price"],
            "P": row["stopPrice"],
            "F": row["icebergQty"],
            "g": row["orderListId"],
            "C": "",
            "x": "NEW",
            "X": row["status"],
            "r": "NONE",
            "i": row["orderId"],
            "l": money(None),
            "z": row["executedQty"],
            "L": money(None),
            "n": "0",
            "N": None,
            "T": order.updated_ms,
            "t": -1,
            "I": order.number,
            "w": row["isWorking"] and order.status is Status.OPEN,
            "m": False,
            "M": False,
            "O": row["time"],
            "Z": row["cummulativeQuoteQty"],
            "Y": money(None),
            "Q": row["origQuoteOrderQty"],
            "V": row["selfTradePreventionMode"],
        }

    def _balances(self) -> None:
        """One event for each account that an act has changed."""
        touched, self._touched = self._touched, {}
        for account in dict.fromkeys(account for account, _ in touched):
            wallets = self._exchange.wallets[account]
            rows = [
                {"a": asset, "f": money(wallets[asset].free), "l": money(wallets[asset].locked)}
                for owner, asset in touched
                if owner == account
            ]
            self._tell(account, {"e": "outboundAccountPosition", "E": self._now(), "u": self._now(), "B": rows})


def _traded(done: Execution) -> Row:
    """What makes a report one of a trade."""
    return {
        "x": "TRADE",
        "l": money(done.quantity),
        "L": money(done.price),
        "n": money(done.fee),
        "N": done.fee_asset,
        "T": done.at_ms,
        "t": done.trade,
        "m": done.is_maker,
        "M": True,
        "Y": money(done.price * done.quantity),
    }


def _names(stream: Stream) -> list[str]:
    names = stream.facts[NAMES]
    assert isinstance(names, list)
    return names


def _users(stream: Stream) -> dict[int, str]:
    users = stream.facts[USERS]
    assert isinstance(users, dict)
    return users
