"""Crypto.com's streams: `user` for an account's orders, trades and balance, `market` for public data.

A client signs in once with `public/auth`, subscribes to channels, and has to answer heartbeats. Every event comes as if it were
another answer to `subscribe`. Subscribing to orders is answered with those that are live. Order books come as whole snapshots.
Source: https://exchange-developer.crypto.com/exchange/v1/docs/api/websocket (public/auth, public/respond-heartbeat, user.order,
user.trade, user.balance, ticker, trade, book).
"""

from __future__ import annotations

from typing import Protocol, cast

from tests.venues import cryptocom_market as public
from tests.venues import cryptocom_orders as orders
from tests.venues.cryptocom_auth import Asked, CryptocomError, Row, authorised, refused, said
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Market, Print, Status, VenueOrder
from tests.venues.server import Key, Stream

USER, MARKET = "/exchange/v1/user", "/exchange/v1/market"
HEARTBEAT, NORMAL = "public/heartbeat", 1000


class Account(Protocol):
    """What the streams ask of their venue."""

    exchange: Exchange
    keys: dict[str, Key]

    def now(self) -> int: ...
    def plain_row(self, order: VenueOrder) -> Row | None: ...
    def trade_row(self, done: Execution) -> Row: ...
    def balance(self, account: str) -> Row: ...
    def market_of(self, order: VenueOrder) -> Market: ...


class CryptocomStreams:
    """The open sockets of a venue. All is called under the exchange's lock."""

    def __init__(self, venue: Account) -> None:
        self._venue = venue
        self._open: list[Stream] = []
        self._beats = 0

    # The frame's side

    def connected(self, stream: Stream) -> None:
        stream.facts["channels"] = []
        self._open.append(stream)

    def gone(self, stream: Stream) -> None:
        if stream in self._open:
            self._open.remove(stream)

    def heard(self, stream: Stream, message: object) -> None:
        asked = Asked.of(message) if isinstance(message, dict) else Asked("", "", {}, "", "", "")
        try:
            self._do(stream, asked)
        except CryptocomError as error:
            stream.answer(refused(asked.id, asked.method, error))

    def heartbeat(self) -> None:
        for stream in tuple(self._open):
            if stream.facts.get("owes"):
                stream.close(NORMAL)
                continue
            self._beats += 1
            stream.facts["owes"] = str(self._beats)
            stream.answer({"id": self._beats, "method": HEARTBEAT, "code": 0})

    def _do(self, stream: Stream, asked: Asked) -> None:
        match asked.method:
            case "public/auth":
                stream.facts["account"] = authorised(asked, self._venue.keys, self._venue.now()).account
                stream.answer(said(asked.id, asked.method))
            case "public/respond-heartbeat":
                if stream.facts.get("owes") == asked.id:
                    stream.facts["owes"] = None
            case "subscribe" | "unsubscribe":
                named = asked.params.get("channels")
                channels = [str(name) for name in named] if isinstance(named, list) else []
                for channel in channels:
                    self._check(stream, channel)
                stream.answer(said(asked.id, asked.method))
                have = _channels(stream)
                have[:] = [name for name in have if name not in channels]
                if asked.method == "subscribe":
                    have.extend(channels)
                    for channel in channels:
                        self._begin(stream, channel)
            case _:
                raise CryptocomError(40002)

    def _check(self, stream: Stream, channel: str) -> None:
        wanted = USER if channel.startswith("user.") else MARKET
        if stream.path != wanted:
            raise CryptocomError(40004)
        if wanted == USER:
            if "account" not in stream.facts:
                raise CryptocomError(40101)
        elif self._market(channel) is None:
            raise CryptocomError(40004)

    def _begin(self, stream: Stream, channel: str) -> None:
        """What a channel tells at once: what there is."""
        account = str(stream.facts.get("account", ""))
        if channel.startswith("user.order"):
            live = [order for order in self._venue.exchange.orders_of(account) if order.status is Status.OPEN]
            for order in live:
                self._send_order(stream, channel, order)
        elif channel == "user.balance":
            stream.send(said("", "subscribe", {"subscription": channel, "channel": channel} | self._venue.balance(account)))
        elif market := self._market(channel):
            self._send_market(stream, channel, market, [])

    # The exchange's side

    def tell(self, change: VenueOrder | Execution) -> None:
        """To the streams of the account: a trade, or what an order now is."""
        order = change.order if isinstance(change, Execution) else change
        name = orders.instrument(self._venue.market_of(order))
        for stream in tuple(self._open):
            if stream.facts.get("account") != order.ticket.account:
                continue
            for channel in tuple(_channels(stream)):
                if isinstance(change, Execution) and channel in ("user.trade", f"user.trade.{name}"):
                    stream.send(_event("user.trade", channel, name, [self._venue.trade_row(change)]))
                elif isinstance(change, VenueOrder) and channel in ("user.order", f"user.order.{name}"):
                    self._send_order(stream, channel, change)
                elif isinstance(change, VenueOrder) and channel == "user.balance":
                    self._begin(stream, channel)

    def tell_market(self, symbol: str, prints: list[Print]) -> None:
        for stream in tuple(self._open):
            for channel in tuple(_channels(stream)):
                market = None if channel.startswith("user.") else self._market(channel)
                if market is not None and market.symbol == symbol:
                    self._send_market(stream, channel, market, prints)

    def _send_order(self, stream: Stream, channel: str, order: VenueOrder) -> None:
        row, name = self._venue.plain_row(order), orders.instrument(self._venue.market_of(order))
        if row is not None and channel in ("user.order", f"user.order.{name}"):
            stream.send(_event("user.order", channel, name, [row]))

    def _send_market(self, stream: Stream, channel: str, market: Market, prints: list[Print]) -> None:
        exchange, now, name = self._venue.exchange, self._venue.now(), orders.instrument(market)
        kind, _, rest = channel.partition(".")
        match kind:
            case "ticker":
                stream.send(_event(kind, channel, name, [public.ticker_row(exchange, market, now)]))
            case "trade":
                rows = [public.print_row(done, market) for done in prints if done.quantity]
                if rows:
                    stream.send(_event(kind, channel, name, rows))
            case _:
                depth = int(rest.rpartition(".")[2])
                row = public.book_row(exchange, market, depth, now) | {"u": now}
                event = _event(kind, channel, name, [row])
                cast(Row, event["result"])["depth"] = depth
                stream.send(event)

    def _market(self, channel: str) -> Market | None:
        """Of `ticker.X`, `trade.X` or `book.X.DEPTH`; None for another channel, or a market that is not there."""
        kind, _, rest = channel.partition(".")
        if kind == "book":
            rest, _, depth = rest.rpartition(".")
            if depth not in ("10", "50"):
                return None
        elif kind not in ("ticker", "trade"):
            return None
        return next((m for m in self._venue.exchange.markets.values() if orders.instrument(m) == rest), None)


def _channels(stream: Stream) -> list[str]:
    return cast(list[str], stream.facts["channels"])


def _event(kind: str, channel: str, name: str, rows: list[Row]) -> Row:
    return said("", "subscribe", {"instrument_name": name, "subscription": channel, "channel": kind, "data": rows})
