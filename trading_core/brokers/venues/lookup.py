"""Finding one order at a venue, and telling honestly that it is not there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from trading_core.brokers.venues.asking import Asking
from trading_core.brokers.venues.client import Exchange, Row
from trading_core.brokers.venues.errors import is_absent
from trading_core.brokers.venues.history import read_all
from trading_core.brokers.venues.profile import Lookup, PastOrders, VenueProfile
from trading_core.brokers.venues.streams import matches
from trading_core.brokers.venues.words import client_id_of
from trading_core.domain.clock import to_ms
from trading_core.domain.errors import BrokerUnavailable

_KEPT = 100_000  # newest orders whose two ids are remembered
_TRIGGER: Mapping[str, object] = {"trigger": True}
_SLACK = timedelta(minutes=1)  # the venue's clock may be ahead of ours


class Finder:
    """Orders of one account, by client id. Both ids of an order that was met are remembered, and asked by the venue's then."""

    def __init__(self, profile: VenueProfile, exchange: Exchange, ask: Asking) -> None:
        self._profile = profile
        self._exchange = exchange
        self._ask = ask
        self._venue_ids: OrderedDict[str, str] = OrderedDict()
        self._client_ids: dict[str, str] = {}
        self._stops: set[str] = set()
        self._sent: dict[str, str] = {}  # what a stop has sent, by the stop's client id, where that has a venue's id of its own

    def expect(self, client_id: str, *, is_stop: bool) -> None:
        """An order is about to be sent under this id."""
        if is_stop:
            self._stops.add(client_id)

    def met(self, client_id: str, venue_id: str) -> None:
        """The venue told both ids of an order."""
        if not client_id or not venue_id:
            return
        # What a stop of OKX's sends has an id of its own: trades name that one, and the way back is kept for both.
        self._client_ids[venue_id] = client_id
        self._venue_ids[client_id] = venue_id
        self._venue_ids.move_to_end(client_id)
        if len(self._venue_ids) > _KEPT:
            old, old_venue_id = self._venue_ids.popitem(last=False)
            self._client_ids.pop(old_venue_id, None)
            self._stops.discard(old)
            self._sent.pop(old, None)

    def venue_id(self, client_id: str) -> str | None:
        return self._venue_ids.get(client_id)

    def client_id(self, venue_id: str) -> str:
        """The client id of a venue's; empty when it was never met."""
        return self._client_ids.get(venue_id, "")

    async def find(self, client_id: str, symbol: str, *, since: datetime, until: datetime) -> Mapping[str, object] | None:
        """The order as ccxt tells it; None when every place where it could be was read and it is in none."""
        if self._profile.lookup is Lookup.BY_ID:
            row = await self._by_id(client_id, symbol)
        elif self._profile.lookup is Lookup.FILTERED:
            row = await self._filtered(client_id, symbol, since, until)
        else:
            row = await self._listed(client_id, symbol, since, until)
        if row is not None:
            self._learn(client_id, row)
        return row

    async def fetch(self, venue_id: str, symbol: str) -> Mapping[str, object]:
        """The order under the venue's own id."""
        return await self._ask(lambda: self._exchange.fetch_order(venue_id, symbol, dict(self._profile.fetch_params)))

    async def open_rows(self, symbol: str | None) -> list[Mapping[str, object]]:
        """Every live order, stops among them."""
        rows = await self._open_page(symbol, {})
        if self._profile.stops_apart:
            stops = [row for book in self._profile.stop_books for row in await self._open_page(symbol, book)]
            for row in stops:
                self._stops.add(client_id_of(row))
            for row in rows:
                self._learn_sent(row)
            rows += stops
        for row in rows if self._profile.waiting_stop else ():
            self._learn(client_id_of(row), row)
        return rows

    async def cancel(self, client_id: str, symbol: str) -> None:
        """Send a cancel for an order that was met. A write: never retried."""
        sent = self._sent.get(client_id)
        params = self._profile.cancel_stop_params if sent is None and client_id in self._stops else {}
        await self._exchange.cancel_order(sent or self._venue_ids[client_id], symbol, dict(params))

    async def _open_page(self, symbol: str | None, params: Mapping[str, object]) -> list[Mapping[str, object]]:
        limit = self._profile.open_limit
        rows = await self._ask(lambda: self._exchange.fetch_open_orders(symbol, None, limit, params))
        if limit is not None and len(rows) >= limit:
            raise BrokerUnavailable(
                f"{self._profile.title} has {limit} or more live orders{f' in {symbol}' if symbol else ''} and tells no more",
                not_done="The list was not used: a part of it is no answer",
                next_step="Cancel some at the venue",
            )
        return list(rows)

    def is_stop(self, client_id: str) -> bool:
        """Whether the order would be cancelled as a stop."""
        return client_id in self._stops

    def rethink(self, client_id: str, *, was_stop: bool) -> None:
        """A cancel did not find the order where it looked: a stop that has triggered is a plain order, and vice versa."""
        if was_stop:
            self._stops.discard(client_id)
        else:
            self._stops.add(client_id)

    def _learn(self, client_id: str, row: Mapping[str, object]) -> None:
        self.met(client_id, str(row.get("id") or ""))
        if row.get("triggerPrice") or row.get("stopLossPrice"):
            waits = self._profile.waiting_stop
            self.rethink(client_id, was_stop=bool(waits) and not matches(row.get("info"), waits))

    def _learn_sent(self, row: Mapping[str, object]) -> None:
        """Of what a stop of OKX's has sent, ccxt tells the stop's id instead of the order's own, which a cancel needs."""
        info = row.get("info")
        if isinstance(info, Mapping) and info.get("algoId") and info.get("ordId"):
            self._sent[client_id_of(row)] = str(info["ordId"])
            self._client_ids[str(info["ordId"])] = client_id_of(row)

    async def _by_id(self, client_id: str, symbol: str) -> Mapping[str, object] | None:
        params = {self._profile.find_param: client_id}
        row = await self._unless_absent(lambda: self._exchange.fetch_order(None, symbol, params))
        if row is not None or not self._profile.stops_apart:
            self._stops.discard(client_id)  # found among plain orders, also when it once was a stop
            return row
        stop = await self._unless_absent(lambda: self._exchange.fetch_order(None, symbol, {**params, **_TRIGGER}))
        if stop is None:
            return None
        self._stops.add(client_id)
        info = stop.get("info")
        sent = info.get("ordId") or info.get("exchange_order_id") if isinstance(info, Mapping) else None
        if not sent:
            return stop
        # The stop has triggered: the order it sent tells what became of it.
        self._client_ids[str(sent)] = client_id
        self._sent[client_id] = str(sent)
        self._stops.discard(client_id)
        return await self._ask(lambda: self._exchange.fetch_order(str(sent), symbol, {}))

    async def _filtered(self, client_id: str, symbol: str, since: datetime, until: datetime) -> Mapping[str, object] | None:
        params = {self._profile.find_param: client_id}
        rows = await self._ask(lambda: self._exchange.fetch_open_orders(symbol, None, None, params))
        row = _match(rows, client_id)
        if row is not None:
            return row
        with_cancelled = self._profile.past is PastOrders.CANCELLED_AND_CLOSED
        past = self._exchange.fetch_canceled_and_closed_orders if with_cancelled else self._exchange.fetch_closed_orders
        row = _match(await self._ask(lambda: past(symbol, None, None, params)), client_id)
        window = self._profile.history.window
        if window is None:
            return row

        async def within(begin: datetime, end: datetime) -> Sequence[Row]:
            return await self._ask(lambda: past(symbol, to_ms(begin), None, {**params, "until": to_ms(end)}))

        # Asked for no span, the venue tells of the last window only: an older order would be taken for none.
        end = until - window + _SLACK
        while row is None and end > since:
            row = _match(await within(max(since, end - window), end), client_id)
            end -= window
        return row

    async def _listed(self, client_id: str, symbol: str, since: datetime, until: datetime) -> Mapping[str, object] | None:
        known = self._venue_ids.get(client_id)
        if known is not None:
            return await self._unless_absent(lambda: self._exchange.fetch_order(known, symbol, {}))
        # Of the whole account: ccxt names a market as `product_id`, and Coinbase knows `product_ids` only.
        row = _match(await self.open_rows(None), client_id)
        if row is None:

            async def ask(first: int, last: int, limit: int, more: Mapping[str, object]) -> Sequence[Row]:
                return await self._ask(lambda: self._exchange.fetch_orders(None, first, limit, {"until": last, **more}))

            row = _match(await read_all(ask, self._profile.history, since=since, until=until), client_id)
        return row if row is None or row.get("symbol") == symbol else None

    async def _unless_absent(self, ask: Callable[[], Awaitable[Row]]) -> Row | None:
        try:
            return await self._ask(ask)
        except Exception as error:
            if is_absent(error):
                return None
            raise


def _match(rows: Sequence[Mapping[str, object]], client_id: str) -> Mapping[str, object] | None:
    """The newest of the rows under an id: Kraken lets an id be used again once its order has ended."""
    own = [row for row in rows if client_id_of(row) == client_id]
    return max(own, key=_placed_at, default=None)


def _placed_at(row: Mapping[str, object]) -> int:
    stamp = row.get("timestamp")
    return stamp if isinstance(stamp, int) else 0
