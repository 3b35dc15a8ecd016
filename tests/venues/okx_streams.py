"""OKX's streams: orders and algo orders of who has logged in, tickers, trades and books of anybody who asks.

`/ws/v5/public` has the market's channels, `/ws/v5/private` has `orders` and `/ws/v5/business` has `orders-algo`; the latter two
want a login first. An execution comes as its order with what was filled last. OKX pings in plain text.
Source: https://www.okx.com/docs-v5/en/ (overview: WebSocket; the channels' own pages; error code: WebSocket).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from decimal import Decimal

from tests.venues import okx_market as public
from tests.venues import okx_orders as orders
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Market, Print, Side, VenueOrder
from tests.venues.okx_orders import OkxError, Row
from tests.venues.okx_records import Records
from tests.venues.okx_requests import signature
from tests.venues.server import Key
from tests.venues.streams import Stream

CONNECTION = "a4d3ae55"
LOGIN_SECONDS = 30
DEPTHS = {"bbo-tbt": 1, "books5": 5, "books": 400}
PUBLIC, PRIVATE, BUSINESS = "public", "private", "business"
CHANNELS = {**dict.fromkeys(("tickers", "trades", *DEPTHS), PUBLIC), "orders": PRIVATE, "orders-algo": BUSINESS}
KINDS = ("SPOT", "ANY")
Args = Mapping[str, str]
Depth = dict[Side, dict[Decimal, Decimal]]


class Streams:
    """The streams of one venue. Everything here runs under the exchange's lock."""

    def __init__(
        self, exchange: Exchange, records: Records, keys: Mapping[str, Key], passphrase: str, now: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._records = records
        self._keys = keys
        self._passphrase = passphrase
        self._now = now
        self._markets = {orders.instrument_id(market): market for market in exchange.markets.values()}
        self._asked: dict[Stream, list[Args]] = {}
        self._accounts: dict[Stream, Key] = {}
        self._told: dict[tuple[int, str], object] = {}
        self._books: dict[Stream, dict[str, tuple[int, Depth]]] = {}

    def uid(self, key: Key) -> str:
        """OKX's number of the account."""
        return str(int.from_bytes(key.account.encode()) % 10**15)

    # What a client says

    def connected(self, stream: Stream) -> None:
        self._asked[stream], self._books[stream] = [], {}

    def gone(self, stream: Stream) -> None:
        for known in (self._asked, self._accounts, self._books):
            known.pop(stream, None)

    def heard(self, stream: Stream, message: object) -> None:
        if message == "ping":
            stream.answer("pong")
            return
        try:
            match message:
                case {"op": "login", "args": [dict(args)]}:
                    self._accounts[stream] = self._login(stream, args)
                    stream.answer({"event": "login", "code": "0", "msg": "", "connId": CONNECTION})
                case {"op": "subscribe" | "unsubscribe" as op, "args": list(listed)}:
                    for args in listed:
                        self._subscribe(stream, op, args)
                case _:
                    _refuse(stream, "60012", f"Invalid request: {json.dumps(message)}")
        except OkxError as error:
            _refuse(stream, error.code, error.message)

    def _login(self, stream: Stream, args: Args) -> Key:
        if _door(stream) == PUBLIC:
            raise OkxError("60008", "The current WebSocket endpoint does not support login.")
        key, stamp = self._keys.get(args.get("apiKey", "")), args.get("timestamp", "")
        if key is None:
            raise OkxError("60005", "Invalid apiKey")
        if args.get("passphrase") != self._passphrase:
            raise OkxError("60024", "Wrong passphrase")
        if not stamp.isdecimal():
            raise OkxError("60004", "Invalid timestamp")
        if abs(int(stamp) - self._now() / 1000) > LOGIN_SECONDS:
            raise OkxError("60006", "Timestamp request expired")
        if not hmac.compare_digest(signature(key.secret, f"{stamp}GET/users/self/verify"), args.get("sign", "")):
            raise OkxError("60007", "Invalid sign")
        return key

    def _subscribe(self, stream: Stream, op: str, args: Args) -> None:
        channel = args.get("channel", "")
        if CHANNELS.get(channel) != _door(stream) or ("instId" in args and args["instId"] not in self._markets):
            raise OkxError("60018", f"Wrong URL or {json.dumps(dict(args))} doesn't exist.")
        if _door(stream) != PUBLIC and stream not in self._accounts:
            raise OkxError("60011", "Please log in")
        if _door(stream) != PUBLIC and args.get("instType") not in KINDS:
            raise OkxError("60018", f"Wrong URL or {json.dumps(dict(args))} doesn't exist.")
        stream.answer({"event": op, "arg": dict(args), "connId": CONNECTION})
        if op == "unsubscribe":
            self._asked[stream] = [known for known in self._asked[stream] if known != args]
            self._books[stream].pop(args.get("instId", ""), None)
        elif args not in self._asked[stream]:
            self._asked[stream].append(args)
            if channel == "tickers" or channel in DEPTHS:
                self._tell(stream, args, self._markets[args["instId"]], [])

    # What it is told

    def changed(self, change: VenueOrder | Execution) -> None:
        """An order or an execution of an account. What was told with an execution is not told again."""
        order, done = (change.order, change) if isinstance(change, Execution) else (change, None)
        if order.ticket.kind.has_stop:
            row = self._records.algo_row(order)
            if self._is_news(order, "orders-algo", row["state"]):
                self._to_account(order, "orders-algo", row)
        if self._records.is_plain(order):
            is_news = self._is_news(order, "orders", (orders.state(order), order.filled))
            if is_news or done is not None:
                self._to_account(order, "orders", self._streamed(order, done))

    def _is_news(self, order: VenueOrder, channel: str, state: object) -> bool:
        before, self._told[order.number, channel] = self._told.get((order.number, channel)), state
        return before != state

    def _streamed(self, order: VenueOrder, done: Execution | None) -> Row:
        """The row of an order; that of a change without an execution names no trade."""
        row = self._records.order_row(order)
        now = {"amendResult": "", "code": "0", "msg": "", "notionalUsd": "", "reqId": ""}
        if done is None:
            none = {"execType": "", "fillFee": "0", "fillFeeCcy": "", "fillPx": "", "fillSz": "0", "fillTime": "", "tradeId": ""}
            return row | now | none
        filled = {
            "execType": "M" if done.is_maker else "T",
            "fillFee": orders.text(-done.fee),
            "fillFeeCcy": done.fee_asset,
            "fillPx": orders.text(done.price),
            "fillSz": orders.text(done.quantity),
            "fillTime": str(done.at_ms),
            "tradeId": str(done.trade),
        }
        return row | now | filled

    def _to_account(self, order: VenueOrder, channel: str, row: Row) -> None:
        name = orders.instrument_id(self._exchange.markets[order.ticket.symbol])
        for stream, key in self._accounts.items():
            if key.account != order.ticket.account:
                continue
            for args in self._asked[stream]:
                if args["channel"] == channel and args.get("instId", name) == name:
                    stream.send({"arg": {**args, "uid": self.uid(key)}, "data": [row]})

    def printed(self, symbol: str, prints: list[Print]) -> None:
        """A market's book or tape has changed."""
        market = self._exchange.markets[symbol]
        for stream, asked in self._asked.items():
            for args in asked:
                if args.get("instId") == orders.instrument_id(market) and CHANNELS[args["channel"]] == PUBLIC:
                    self._tell(stream, args, market, prints)

    def _tell(self, stream: Stream, args: Args, market: Market, prints: list[Print]) -> None:
        channel, message = args["channel"], {"arg": dict(args)}
        if channel == "tickers":
            stream.send(message | {"data": [public.ticker_row(self._exchange, market, self._now())]})
        elif channel == "trades":
            for done in prints:
                if done.quantity:
                    stream.send(message | {"data": [public.trade_row(done, market) | {"count": "1"}]})
        elif channel == "books":
            stream.send(message | self._book_change(stream, args, market))
        else:
            stream.send(message | {"data": [public.book(self._exchange, market, self._now(), DEPTHS[channel])]})

    def _book_change(self, stream: Stream, args: Args, market: Market) -> Row:
        """The whole book first, then its levels that have changed, a level that is gone with a quantity of zero."""
        before = self._books[stream].get(args["instId"])
        book: Depth = {side: dict(self._exchange.book(market.symbol, side)[: DEPTHS["books"]]) for side in Side}
        seq, old = before or (-1, {side: {} for side in Side})
        self._books[stream][args["instId"]] = seq + 1, book
        sides: Row = {}
        for name, side in (("asks", Side.SELL), ("bids", Side.BUY)):
            changed = {price: book[side].get(price, Decimal(0)) for price in old[side] | book[side]}
            sides[name] = [
                [orders.text(price), orders.text(size), "0", "1"]
                for price, size in changed.items()
                if size != old[side].get(price)
            ]
        marks = {"ts": str(self._now()), "prevSeqId": seq, "seqId": seq + 1}
        return {"action": "snapshot" if before is None else "update", "data": [sides | marks]}


def _refuse(stream: Stream, code: str, message: str) -> None:
    stream.answer({"event": "error", "code": code, "msg": message, "connId": CONNECTION})


def _door(stream: Stream) -> str:
    return stream.path.partition("?")[0].rpartition("/")[2]
