"""What a run has told already, so that a step that runs again after the process died does not tell it twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from graph.events import EventKind
from trading_core.domain.orders import Order, OrderState
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.unit_of_work import UnitOfWork

_SHORT = frozenset({OrderState.CANCELLED, OrderState.EXPIRED})
_PAGE = 500  # events read at once


async def told_events(uow: UnitOfWork, run_id: str, *kinds: EventKind) -> list[StoredEvent]:
    """The events of some kinds that are on record of a run, in their order; none of a run whose events are not kept."""
    found: list[StoredEvent] = []
    after = 0
    while page := await uow.events.of_run(run_id, after, _PAGE):
        found += [event for event in page if event.kind in kinds]
        after = page[-1].sequence
        if len(page) < _PAGE:
            break
    return found


async def told_about(uow: UnitOfWork, run_id: str, kind: EventKind) -> frozenset[str]:
    """Which orders, by client id, or else which intents a run has told events of a kind about."""
    found = set[str]()
    for event in await told_events(uow, run_id, kind):
        order, intent = event.data.get("order"), event.data.get("intent")
        if isinstance(order, Mapping):
            found.add(str(order.get("client_order_id")))
        elif isinstance(intent, Mapping):
            found.add(str(intent.get("intent_id")))
    return frozenset(found)


async def ended_short(uow: UnitOfWork, run_id: str, sent: Collection[str]) -> list[Order]:
    """Of the orders that the run sent, by client id, those that ended at the venue with less than they asked for, and of which
    the run has not told so."""
    orders = [order for order in await uow.orders.of_run(run_id) if order.client_order_id in sent and order.state in _SHORT]
    known = await told_about(uow, run_id, "order_ended") if orders else frozenset[str]()
    return [order for order in orders if order.client_order_id not in known]
