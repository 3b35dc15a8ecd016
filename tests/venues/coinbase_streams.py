"""Coinbase's WebSocket: the account's orders, and tickers, trades and books of the engine.

One socket carries all channels; every message has a number that grows by one. The frame has no timers, so `heartbeats` beats
once, when it is subscribed, and sockets that stay quiet are not closed (Coinbase does so after 60 to 90 seconds).
Source: https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.venues import coinbase_market as public
from tests.venues import coinbase_orders as orders
from tests.venues.coinbase_keys import Keys
from tests.venues.engine import Exchange
from tests.venues.engine_types import ZERO, Execution, Market, Print, Side, VenueOrder
from tests.venues.streams import Stream

Row = dict[str, object]
SNAPSHOT_ORDERS = 50
"""Open orders come in batches of so many."""
USER, BOOK, TRADES, HEARTBEATS = "user", "level2", "market_trades", "heartbeats"
TICKERS = ("ticker", "ticker_batch")
CHANNELS = (USER, BOOK, TRADES, HEARTBEATS, *TICKERS)
MESSAGE_OF = {BOOK: "l2_data"}
"""Channels whose messages go by another name."""
SIDES = {Side.BUY: "bid", Side.SELL: "offer"}
Levels = dict[tuple[Side, str], str]


@dataclass
class Client:
    """What is remembered of a socket: its channels with the products asked for (none means all), and what it was told."""

    account: str = ""
    channels: dict[str, set[str]] = field(default_factory=dict)
    sequence: int = 0
    books: dict[str, Levels] = field(default_factory=dict)

    def wants(self, channel: str, product: str) -> bool:
        asked = self.channels.get(channel)
        return asked is not None and (not asked or product in asked)


class CoinbaseStreams:
    """The sockets of one venue. Called under the exchange's lock."""

    def __init__(self, exchange: Exchange, keys: Keys, now: Callable[[], int]) -> None:
        self._exchange, self._keys, self._now = exchange, keys, now
        self._clients: dict[Stream, Client] = {}
        exchange.listen(self._changed)
        exchange.watch(self._traded)

    def connected(self, stream: Stream) -> None:
        self._clients[stream] = Client()

    def gone(self, stream: Stream) -> None:
        self._clients.pop(stream, None)

    def heard(self, stream: Stream, message: object) -> None:
        client = self._clients[stream]
        said: Mapping[str, object] = message if isinstance(message, dict) else {}
        channel, kind, asked = said.get("channel"), said.get("type"), said.get("product_ids", [])
        products = {str(product) for product in asked} if isinstance(asked, list) else set()
        if kind not in ("subscribe", "unsubscribe") or channel not in CHANNELS:
            stream.answer({"type": "error", "message": "channel and type are required"})
        elif products - {orders.product_id(market) for market in self._exchange.markets.values()}:
            stream.answer({"type": "error", "message": f"{min(products)} is not a valid product"})
        elif not self._authorised(client, str(channel), said.get("jwt")):
            stream.answer({"type": "error", "message": "authentication failure"})
        elif kind == "subscribe":
            client.channels.setdefault(str(channel), set()).update(products)
            self._subscribed(stream, client)
            self._snapshot(stream, client, str(channel))
        else:
            left = client.channels.pop(str(channel), set()) - products
            if left and products:
                client.channels[str(channel)] = left
            self._subscribed(stream, client)

    def _authorised(self, client: Client, channel: str, token: object) -> bool:
        """A token is needed for the user's channel, and must be right wherever one is given."""
        if token is None:
            return channel != USER
        key = self._keys.of_token(token, None)
        if key is not None:
            client.account = key.account
        return key is not None

    # Answers

    def _subscribed(self, stream: Stream, client: Client) -> None:
        rows: Row = {name: [client.account] if name == USER else sorted(products) for name, products in client.channels.items()}
        stream.answer(self._message(client, "subscriptions", [{"subscriptions": rows}]))

    def _snapshot(self, stream: Stream, client: Client, channel: str) -> None:
        for message in self.snapshots(client, channel):
            stream.answer(message)

    def snapshots(self, client: Client, channel: str) -> list[Row]:
        """What is told first of a channel, message by message."""
        markets = [market for market in self._exchange.markets.values() if client.wants(channel, orders.product_id(market))]
        if channel == USER:
            live = self._exchange.orders_of(client.account, only_open=True)
            rows = [self._order(order) for order in live if client.wants(USER, orders.product_id(self._of(order)))]
            batches = [rows[at : at + SNAPSHOT_ORDERS] for at in range(0, len(rows), SNAPSHOT_ORDERS)] or [[]]
            return [self._message(client, USER, [{"type": "snapshot", "orders": batch}]) for batch in batches]
        if channel == HEARTBEATS:
            beat: Row = {"current_time": orders.instant(self._now()), "heartbeat_counter": 1}
            return [self._message(client, HEARTBEATS, [beat])]
        if channel == BOOK:
            return [self._book(client, market, "snapshot") for market in markets]
        if channel == TRADES:
            events = [self._trades(market, self._exchange.tape[market.symbol][-100:], "snapshot") for market in markets]
        else:
            events = [{"type": "snapshot", "tickers": [public.ticker_event(self._exchange, market)]} for market in markets]
        return [self._message(client, channel, [event]) for event in events]

    # Events

    def _changed(self, change: VenueOrder | Execution) -> None:
        """An order as it is now. Executions are not told apart from what they make of it."""
        if isinstance(change, Execution):
            return
        product = orders.product_id(self._of(change))
        for stream, client in self._clients.items():
            if client.account == change.ticket.account and client.wants(USER, product):
                stream.send(self._message(client, USER, [{"type": "update", "orders": [self._order(change)]}]))

    def _traded(self, symbol: str, prints: list[Print]) -> None:
        market = self._exchange.markets[symbol]
        product = orders.product_id(market)
        trades = [done for done in prints if done.quantity]
        for stream, client in self._clients.items():
            if client.wants(BOOK, product):
                stream.send(self._book(client, market, "update"))
            if trades and client.wants(TRADES, product):
                stream.send(self._message(client, TRADES, [self._trades(market, trades, "update")]))
            for channel in TICKERS:
                if prints and client.wants(channel, product):
                    event: Row = {"type": "update", "tickers": [public.ticker_event(self._exchange, market)]}
                    stream.send(self._message(client, channel, [event]))

    # Rows

    def _message(self, client: Client, channel: str, events: list[Row]) -> Row:
        client.sequence += 1
        name = MESSAGE_OF.get(channel, channel)
        at = orders.instant(self._now())
        return {"channel": name, "client_id": "", "timestamp": at, "sequence_num": client.sequence - 1, "events": events}

    def _trades(self, market: Market, prints: list[Print], kind: str) -> Row:
        """Youngest first."""
        return {"type": kind, "trades": [public.trade_row(done, market) for done in prints[::-1] if done.quantity]}

    def _book(self, client: Client, market: Market, kind: str) -> Row:
        """The whole book, or what has changed of it since this client was told; a level that is gone has the quantity zero."""
        product, at = orders.product_id(market), orders.instant(self._now())
        now: Levels = {
            (side, orders.money(price)): orders.money(quantity)
            for side in Side
            for price, quantity in self._exchange.book(market.symbol, side)
        }
        before = client.books.get(product, {}) if kind == "update" else {}
        client.books[product] = now
        changed = {level: now.get(level, "0") for level in before | now if before.get(level) != now.get(level)}
        rows = [
            {"side": SIDES[side], "event_time": at, "price_level": price, "new_quantity": quantity}
            for (side, price), quantity in changed.items()
        ]
        return self._message(client, BOOK, [{"type": kind, "product_id": product, "updates": rows}])

    def _order(self, order: VenueOrder) -> Row:
        asked = order.ticket
        done = [row for row in self._exchange.executions[asked.account] if row.order is order]
        fees = sum((row.fee for row in done), ZERO)
        quantity = asked.quantity if asked.quantity is not None else order.filled
        return {
            "avg_price": orders.average_price(order),
            "cancel_reason": "",
            "client_order_id": asked.client_id,
            "completion_percentage": orders.money(round(order.filled / quantity * 100, 2)) if quantity else "0",
            "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
            "creation_time": orders.instant(order.created_ms),
            "cumulative_quantity": orders.money(order.filled),
            "end_time": "0001-01-01T00:00:00Z",
            "filled_value": orders.money(order.spent),
            "leaves_quantity": orders.money(order.left),
            "limit_price": orders.money(asked.limit),
            "number_of_fills": str(len(done)),
            "order_id": orders.order_id(order.number),
            "order_side": asked.side.value.upper(),
            "order_type": orders.order_type(asked).replace("_", " ").title(),
            "outstanding_hold_amount": orders.money(order.held),
            "post_only": str(asked.post_only).lower(),
            "product_id": orders.product_id(self._of(order)),
            "product_type": "SPOT",
            "reject_reason": "",
            "retail_portfolio_id": "",
            "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
            "start_time": "0001-01-01T00:00:00Z",
            "status": orders.status(order),
            "stop_price": orders.money(asked.stop) if asked.stop is not None else "",
            "time_in_force": orders.time_in_force(asked),
            "total_fees": orders.money(fees),
            "total_value_after_fees": orders.money(order.spent + (fees if asked.side is Side.BUY else -fees)),
            "trigger_status": orders.trigger_status(order),
        }

    def _of(self, order: VenueOrder) -> Market:
        return self._exchange.markets[order.ticket.symbol]
