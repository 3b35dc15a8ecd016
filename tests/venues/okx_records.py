"""What a local OKX knows of its orders beyond the engine: what a stop has sent, what filled, what was turned away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import chain

from tests.venues import okx_orders as orders
from tests.venues.engine import Exchange
from tests.venues.engine_types import Execution, Market, Status, Ticket, VenueOrder
from tests.venues.okx_orders import Row

KEPT_MS = 2 * 3_600_000


class Records:
    """Of all accounts. `note` has to hear of each change."""

    def __init__(self, exchange: Exchange, now: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now = now
        self._done: defaultdict[int, list[Execution]] = defaultdict(list)
        self._waiting: set[int] = set()
        self._triggered: dict[int, int] = {}
        self._turned_away: set[int] = set()
        self._turned_away_by_id: dict[tuple[str, str], VenueOrder] = {}
        for execution in chain.from_iterable(exchange.executions.values()):
            self._done[execution.order.number].append(execution)

    def note(self, change: VenueOrder | Execution) -> None:
        if isinstance(change, Execution):
            self._done[change.order.number].append(change)
        elif change.waiting:
            self._waiting.add(change.number)
        elif change.number in self._waiting:
            self._waiting.remove(change.number)
            if change.status is Status.OPEN:
                self._triggered[change.number] = change.updated_ms = self._exchange.clock()

    def turn_away(self, ticket: Ticket) -> VenueOrder:
        """A post-only order that would have taken: OKX gives it an id, and ends it before it reaches the book."""
        now = self._exchange.clock()
        order = VenueOrder(len(self._exchange.orders) + 1, ticket, now, now, status=Status.EXPIRED)
        self._exchange.orders[order.number] = order
        self._turned_away.add(order.number)
        self._turned_away_by_id[ticket.account, ticket.client_id] = order
        return order

    def is_plain(self, order: VenueOrder) -> bool:
        """Whether it has a number among the plain orders: a stop only once it has triggered."""
        return not order.ticket.kind.has_stop or order.number in self._triggered

    def plain(self, account: str, market: Market, number: int | None, client_id: str) -> VenueOrder | None:
        """A plain order by its number or, the youngest, by its `clOrdId`."""
        if number is not None:
            found = [self._exchange.find(account, market.symbol, number)]
        else:
            own = self._exchange.find(account, market.symbol, client_id=client_id)
            found = [own, self._turned_away_by_id.get((account, client_id))]
        known = [order for order in found if order is not None and order.ticket.symbol == market.symbol and self.is_plain(order)]
        return max((order for order in known if self.is_kept(order)), key=lambda order: order.number, default=None)

    def is_kept(self, order: VenueOrder) -> bool:
        """OKX forgets an order that was cancelled with nothing filled after two hours."""
        has_traded = order.status is Status.OPEN or order.filled > 0
        return has_traded or self._now() - order.updated_ms <= KEPT_MS

    def algo(self, account: str, number: int | None, client_id: str) -> VenueOrder | None:
        """An algo order by its number or `algoClOrdId`; OKX does not ask for its market."""
        for symbol in self._exchange.markets:
            key = None if number is not None else orders.ALGO_IDS + client_id
            order = self._exchange.find(account, symbol, number, key)
            if order is not None and order.ticket.kind.has_stop:
                return order
        return None

    def order_row(self, order: VenueOrder) -> Row:
        created = self._triggered.get(order.number, order.created_ms)
        ended = orders.WOULD_TAKE if order.number in self._turned_away else orders.cancelled_by(order)
        return orders.order_row(order, self._market(order), self._done[order.number], created, ended)

    def algo_row(self, order: VenueOrder) -> Row:
        return orders.algo_row(order, self._market(order), self._triggered.get(order.number))

    def fill_row(self, done: Execution) -> Row:
        return orders.fill_row(done, self._market(done.order))

    def _market(self, order: VenueOrder) -> Market:
        return self._exchange.markets[order.ticket.symbol]
