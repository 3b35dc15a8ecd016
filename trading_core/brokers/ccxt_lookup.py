"""Finding one order at a venue, and telling honestly that it is not there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from trading_core.brokers.ccxt_client import Exchange, Row
from trading_core.brokers.ccxt_errors import is_absent
from trading_core.brokers.ccxt_history import read_all
from trading_core.brokers.ccxt_words import client_id_of
from trading_core.brokers.venues import Lookup, PastOrders, VenueProfile
from trading_core.domain.errors import BrokerUnavailable

_T = TypeVar("_T")
_KEPT = 100_000  # newest orders whose two ids are remembered
_TRIGGER: Mapping[str, object] = {"trigger": True}


class Asking(Protocol):
    """A read with its retries."""

    async def __call__(self, ask: Callable[[], Awaitable[_T]], /) -> _T: ...


class Finder:
    """Orders of one account, by client id. Both ids of an order that was met are remembered, and asked by the venue's then."""

    def __init__(self, profile: VenueProfile, exchange: Exchange, ask: Asking) -> None:
        self._profile = profile
        self._exchange = exchange
        self._ask = ask
        self._venue_ids: OrderedDict[str, str] = OrderedDict()
        self._client_ids: dict[str, str] = {}
        self._stops: set[str] = set()

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
            row = await self._filtered(client_id, symbol)
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
            stops = await self._open_page(symbol, _TRIGGER)
            for row in stops:
                self._stops.add(client_id_of(row))
            rows += stops
        return rows

    async def cancel(self, client_id: str, symbol: str) -> None:
        """Send a cancel for an order that was met. A write: never retried."""
        params = self._profile.cancel_stop_params if client_id in self._stops else {}
        await self._exchange.cancel_order(self._venue_ids[client_id], symbol, dict(params))

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

    def rethink(self, client_id: str) -> None:
        """A cancel did not find the order where it looked: a stop that has triggered is a plain order, and vice versa."""
        self._stops ^= {client_id}

    def _learn(self, client_id: str, row: Mapping[str, object]) -> None:
        self.met(client_id, str(row.get("id") or ""))
        if row.get("triggerPrice") or row.get("stopLossPrice"):
            self._stops.add(client_id)

    async def _by_id(self, client_id: str, symbol: str) -> Mapping[str, object] | None:
        params = {self._profile.find_param: client_id}
        row = await self._unless_absent(lambda: self._exchange.fetch_order(None, symbol, params))
        if row is not None or not self._profile.stops_apart:
            return row
        stop = await self._unless_absent(lambda: self._exchange.fetch_order(None, symbol, {**params, **_TRIGGER}))
        if stop is None:
            return None
        self._stops.add(client_id)
        info = stop.get("info")
        sent = info.get("ordId") if isinstance(info, Mapping) else None
        if not sent:
            return stop
        # The stop has triggered: the order it sent tells what became of it.
        self._client_ids[str(sent)] = client_id
        self._stops.discard(client_id)
        return await self._ask(lambda: self._exchange.fetch_order(str(sent), symbol, {}))

    async def _filtered(self, client_id: str, symbol: str) -> Mapping[str, object] | None:
        params = {self._profile.find_param: client_id}
        rows = await self._ask(lambda: self._exchange.fetch_open_orders(symbol, None, None, params))
        row = _match(rows, client_id)
        if row is not None:
            return row
        with_cancelled = self._profile.past is PastOrders.CANCELLED_AND_CLOSED
        past = self._exchange.fetch_canceled_and_closed_orders if with_cancelled else self._exchange.fetch_closed_orders
        return _match(await self._ask(lambda: past(symbol, None, None, params)), client_id)

    async def _listed(self, client_id: str, symbol: str, since: datetime, until: datetime) -> Mapping[str, object] | None:
        known = self._venue_ids.get(client_id)
        if known is not None:
            return await self._unless_absent(lambda: self._exchange.fetch_order(known, symbol, {}))
        row = _match(await self.open_rows(symbol), client_id)
        if row is not None:
            return row

        async def ask(first: int, last: int, limit: int) -> Sequence[Row]:
            return await self._ask(lambda: self._exchange.fetch_orders(symbol, first, limit, {"until": last}))

        return _match(await read_all(ask, self._profile.history, since=since, until=until), client_id)

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
