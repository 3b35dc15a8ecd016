"""What must hold of the ledger and the venue once a dead desk's successor has finished its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import httpx

from tests.crash.plan import Post
from tests.unit.desk_cases import ACCOUNT, RUN, RUNNER
from tests.unit.feeds import START
from trading_core.brokers.base import OrderReport
from trading_core.domain.orders import Order, OrderState, Side, next_state


@dataclass(frozen=True)
class Audit:
    """What the venue remembers: requests to place by client order id, orders it took, and its time."""

    received: Mapping[str, int]
    executed: tuple[str, ...]
    now: datetime

    @classmethod
    def of(cls, venue: httpx.Client, account: str) -> Audit:
        told = venue.get(f"{account}/audit").raise_for_status().json()
        return cls(told["received"], tuple(told["executed"]), datetime.fromisoformat(told["now"]))


async def violations(post: Post, audit: Audit) -> list[str]:
    """Everything that is wrong, in words; nothing when all is well."""
    async with post.ledger.reading() as uow:
        orders = {order.client_order_id: order for order in await uow.orders.all(ACCOUNT)}
        booked = {fill.trade_id: fill for fill in await uow.fills.of_account(ACCOUNT)}
        events = {key: await uow.orders.events(key) for key in orders}
        waiting = await uow.intents.waiting(ACCOUNT)
    found: list[str] = []
    # Lost and duplicate orders
    found += [f"lost: the venue took {key}, and the ledger does not know it" for key in audit.executed if key not in orders]
    found += [f"duplicate: {key} was sent {times} times" for key, times in audit.received.items() if times > 1]
    of_intent = [orders[key].intent_id for key in audit.executed if key in orders]
    found += [f"duplicate: two orders for intent {intent}" for intent in set(of_intent) if of_intent.count(intent) > 1]
    # Fills, balances, states
    at_venue = {fill.trade_id: fill for fill in await post.venue.broker.fills(since=START)}
    if at_venue != booked:
        found.append(f"lost: fills at the venue and in the ledger differ: {at_venue.keys() ^ booked.keys()}")
    if not await post.desk.agrees(RUNNER):
        found.append("the balances differ")
    for key, order in orders.items():
        found += _differs(order, await post.venue.broker.order(key, order.symbol))
        state = OrderState.SUBMITTING
        for event in events[key]:
            state = next_state(state, event.event)  # raises for a step that the table does not have
            if state is not event.state:
                found.append(f"{key}: {event.event} led to {event.state} and not to {state}")
        if state is not order.state:
            found.append(f"{key}: its history ends at {state}, its row says {order.state}")
    # Protection and reservations
    view = await post.desk.account(RUNNER)
    for symbol, position in view.portfolio.held().items():
        sales = [order for order in view.live_orders if order.symbol == symbol and order.side is Side.SELL]
        bare = position.quantity - sum(order.remaining for order in sales)
        if not 0 <= bare < post.desk.instruments[symbol].lot_size:
            found.append(f"{bare} {symbol} of {position.quantity} are under no stop")
    found += [f"reserved: intent {intent.intent_id} was approved and never sent" for intent in waiting]
    found += [f"reserved: {o.client_order_id} is still {o.state}" for o in view.live_orders if o.side is Side.BUY]
    open_there = {report.client_order_id for report in await post.venue.broker.open_orders()}
    if open_there != {order.client_order_id for order in view.live_orders}:
        found.append(f"open at the venue {open_there}, in the ledger {[o.client_order_id for o in view.live_orders]}")
    return found


def _differs(order: Order, report: OrderReport | None) -> list[str]:
    """An order that the venue never had ends as refused; any other ends as the venue says."""
    here = order.client_order_id
    if report is None:
        return [] if order.state is OrderState.REFUSED and not order.filled else [f"{here}: {order.state} and not at the venue"]
    same = (order.state, order.filled) == (report.state, report.filled)
    return [] if same else [f"{here}: {order.state} {order.filled}, and at the venue {report.state} {report.filled}"]


async def outcome(post: Post) -> str:
    """How the plan went, in one line: what became of its own orders, and what is held."""
    async with post.ledger.reading() as uow:
        orders = await uow.orders.of_run(RUN)
    states = sorted(f"{order.purpose}:{order.symbol[:3]}:{order.state}" for order in orders)
    held = (await post.desk.account(RUNNER)).portfolio.held()
    return f"{' '.join(states)} | {' '.join(f'{symbol[:3]}={position.quantity}' for symbol, position in held.items())}"
