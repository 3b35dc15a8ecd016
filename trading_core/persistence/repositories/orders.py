"""Orders, and every step they took."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, bindparam, func, select, update

from trading_core.domain.errors import LedgerError
from trading_core.domain.orders import FINAL_STATES, Order, OrderEvent, OrderRequest, OrderState, next_state
from trading_core.persistence.records import OrderEventRecord
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.tables import intents, order_events, orders

# A query by list of live states uses the index on (account_id, state); "not in the final states" would not.
_LIVE = tuple(state for state in OrderState if state not in FINAL_STATES)
_REQUEST = ("client_order_id", "symbol", "side", "type", "quantity", "limit_price", "stop_price", "time_in_force", "reduce_only")

_MINE = orders.c.account_id == bindparam("account_id")
_OLDEST_FIRST = (orders.c.created_at, orders.c.client_order_id)
_ORDER = select(orders).where(orders.c.client_order_id == bindparam("client_order_id"))
# Sorted in Python: asked for an order, SQLite would walk all of the account's orders by the index that has it.
_LIVE_ORDERS = select(orders).where(_MINE, orders.c.state.in_(_LIVE))
_MOVES = ("state", "filled", "filled_notional", "venue_order_id", "reason", "updated_at")
_MOVED = (
    update(orders)
    .where(
        orders.c.client_order_id == bindparam("key"),
        orders.c.state == bindparam("state_before", type_=orders.c.state.type),
        orders.c.filled == bindparam("filled_before", type_=orders.c.filled.type),
    )
    .values({name: bindparam(name) for name in _MOVES})
)
_LAST_STEP = select(func.coalesce(func.max(order_events.c.sequence), 0) + 1)
_STEP = order_events.insert().values(
    sequence=_LAST_STEP.where(order_events.c.client_order_id == bindparam("of_order")).scalar_subquery(),
    **{name: bindparam(name) for name in ("client_order_id", "event", "state", "at", "detail")},
)
_RECENT = (
    select(orders, intents.c.proposer)
    .join(intents, intents.c.intent_id == orders.c.intent_id)
    .where(_MINE, orders.c.created_at >= bindparam("since", type_=orders.c.created_at.type))
    .order_by(*_OLDEST_FIRST)
)


class OrdersRepository(Repository):
    async def add(self, order: Order) -> None:
        """Write an order, before it is sent.

        Raises:
            LedgerError: the client order id is on record. It may have been sent: it must not be sent again.
        """
        await self._claims.take(order.account_id)
        if not await self._add(orders, _row(order), orders.c.client_order_id):
            raise LedgerError(
                f"order {order.client_order_id!r} is already on record",
                not_done="It was not written again and must not be sent again",
                next_step="Ask the venue what became of it",
            )

    async def update(self, before: Order, after: Order, event: OrderEvent, detail: str = "") -> None:
        """Write what became of an order, and the event that led there.

        Args:
            before: the order as it is on record.

        Raises:
            LedgerError: the order on record does not stand as `before`, or `event` does not lead from there to `after`.
        """
        key = before.client_order_id
        await self._claims.take(before.account_id)
        leads = next_state(before.state, event) is after.state and after.request == before.request
        changes = {name: getattr(after, name) for name in _MOVES}
        known = {"key": key, "state_before": before.state, "filled_before": before.filled}
        if not leads or after.filled < before.filled or (await self._connection.execute(_MOVED, changes | known)).rowcount != 1:
            raise LedgerError(
                f"order {key!r} is not on record as {before.state.value} with {before.filled} filled, from where {event.value}"
                f" leads to {after.state.value} with {after.filled}",
                not_done="Nothing was written",
                next_step="Read the order again and apply the event to what it now is",
            )
        at = after.updated_at or after.created_at
        step = {"client_order_id": key, "event": event, "state": after.state, "at": at, "detail": detail}
        await self._write(_STEP, step | {"of_order": key})

    async def get(self, client_order_id: str) -> Order | None:
        row = await self._one(_ORDER, client_order_id=client_order_id)
        return None if row is None else order_of(row)

    async def live(self, account_id: str) -> tuple[Order, ...]:
        """Every order that may still trade, unknown ones included."""
        found = [order_of(row) for row in await self._all(_LIVE_ORDERS, account_id=account_id)]
        return tuple(sorted(found, key=lambda order: (order.created_at, order.client_order_id)))

    async def all(self, account_id: str) -> tuple[Order, ...]:
        return await self._where(orders.c.account_id == account_id)

    async def recent(self, account_id: str, since: datetime) -> tuple[Order, ...]:
        """Orders created at or after `since`."""
        return await self._where(orders.c.account_id == account_id, orders.c.created_at >= since)

    async def newest(self, account_id: str, limit: int, symbol: str = "") -> tuple[Order, ...]:
        """The last orders of the account, or of one of its symbols, newest first."""
        mine = orders.c.account_id == account_id
        query = select(orders).where(mine, orders.c.symbol == symbol) if symbol else select(orders).where(mine)
        newest_first = (orders.c.created_at.desc(), orders.c.client_order_id.desc())
        return tuple(order_of(row) for row in await self._all(query.order_by(*newest_first).limit(limit)))

    async def last_priced(self, account_id: str, since: datetime, limit: int) -> tuple[Order, ...]:
        """The last orders that were decided at a known price, created at or after `since`; newest first."""
        mine = (orders.c.account_id == account_id, orders.c.created_at >= since, orders.c.arrival_price.is_not(None))
        newest_first = (orders.c.created_at.desc(), orders.c.client_order_id.desc())
        rows = await self._all(select(orders).where(*mine).order_by(*newest_first).limit(limit))
        return tuple(order_of(row) for row in rows)

    async def recent_with_proposer(self, account_id: str, since: datetime) -> tuple[tuple[Order, str], ...]:
        """Orders created at or after `since`, each with who proposed it."""
        rows = await self._all(_RECENT, account_id=account_id, since=since)
        return tuple((order_of(without(row, "proposer")), row["proposer"]) for row in rows)

    async def of_run(self, run_id: str) -> tuple[Order, ...]:
        return await self._where(orders.c.run_id == run_id)

    async def of_intent(self, intent_id: str) -> tuple[Order, ...]:
        return await self._where(orders.c.intent_id == intent_id)

    async def events(self, client_order_id: str) -> tuple[OrderEventRecord, ...]:
        """Every step of one order, oldest first."""
        query = select(order_events).where(order_events.c.client_order_id == client_order_id)
        return tuple(OrderEventRecord(**row) for row in await self._all(query.order_by(order_events.c.sequence)))

    async def events_of_run(self, run_id: str) -> tuple[OrderEventRecord, ...]:
        """Every step of the run's orders, oldest first within an order."""
        query = select(order_events).join(orders).where(orders.c.run_id == run_id)
        rows = await self._all(query.order_by(order_events.c.client_order_id, order_events.c.sequence))
        return tuple(OrderEventRecord(**row) for row in rows)

    async def _where(self, *conditions: ColumnElement[bool]) -> tuple[Order, ...]:
        """Oldest first; those of one instant by id."""
        query = select(orders).where(*conditions).order_by(orders.c.created_at, orders.c.client_order_id)
        return tuple(order_of(row) for row in await self._all(query))


def _row(order: Order) -> dict[str, object]:
    row = columns(order)
    return columns(row.pop("request")) | row


def order_of(row: RowMapping | dict[str, Any]) -> Order:
    """The order of a row of `orders`."""
    request = OrderRequest(**{name: row[name] for name in _REQUEST})
    return Order(request, **{name: value for name, value in row.items() if name not in _REQUEST})
