"""Proving the ledger: everything derived is derived again from the fills and the events, and compared with what is on record.

Nothing is mended here. A finding says what was compared, how much of it, and what does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.base import Broker
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Approval, ApprovalState, RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState, next_state
from trading_core.domain.portfolio import Portfolio, Transfer
from trading_core.persistence.records import OrderEventRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_BEGINNING = datetime(2009, 1, 3, tzinfo=UTC)  # no venue has a trade from before the first block
_FILLS = (OrderEvent.PARTLY_FILLED, OrderEvent.FULLY_FILLED)
_UNANSWERED = (OrderState.SUBMITTING, OrderState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: how many things it compared, and each that does not hold."""

    name: str
    compared: int
    offences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.offences


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order and everything on record that it stands on."""

    order: Order
    events: tuple[OrderEventRecord, ...]
    intent: TradeIntent | None
    decisions: tuple[RiskDecision, ...]
    approval: Approval | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """One account's record, read in one consistent view.

    Attributes:
        reserving: intents that hold a reservation, with what the gate said of each and the approval it asked for.
    """

    portfolio: Portfolio
    fills: tuple[Fill, ...]
    transfers: tuple[Transfer, ...]
    orders: Mapping[str, OrderRecord]
    reserving: tuple[tuple[TradeIntent, tuple[RiskDecision, ...], Approval | None], ...]


async def read_ledger(uow: UnitOfWork, account_id: str) -> Ledger:
    """Everything that `verify_ledger` looks at."""
    orders = {}
    for order in await uow.orders.all(account_id):
        orders[order.client_order_id] = OrderRecord(
            order,
            await uow.orders.events(order.client_order_id),
            await uow.intents.get(order.intent_id),
            await uow.intents.decisions_of(order.intent_id),
            await uow.approvals.get(order.intent_id),
        )
    waiting = [
        (intent, await uow.intents.decisions_of(intent.intent_id), await uow.approvals.get(intent.intent_id))
        for intent in await uow.intents.waiting(account_id)
    ]
    return Ledger(
        await uow.portfolios.load(account_id),
        await uow.fills.of_account(account_id),
        await uow.transfers.of_account(account_id),
        orders,
        tuple(waiting),
    )


async def verify_ledger(principal: Principal, database: Database, account_id: str) -> tuple[Finding, ...]:
    """Check the ledger against itself. It needs no venue and no market.

    Raises:
        NotPermitted: the principal may not read the record.
    """
    principal.require(Action.READ_RECORD, account_id)
    try:
        async with database.reading() as uow:
            ledger = await read_ledger(uow, account_id)
    except (ValueError, ArithmeticError, AlgoTrendyError) as error:  # a row that no enum, number or time can be read from
        return (Finding("every row can be read", 0, (_line(error),)),)
    return tuple(Finding(name, compared(ledger), _all(check, ledger)) for name, compared, check in _CHECKS)


async def verify_venue(principal: Principal, database: Database, account_id: str, broker: Broker) -> tuple[Finding, ...]:
    """Check the ledger against the venue.

    Raises:
        NotPermitted: the principal may not read the record.
        BrokerUnavailable: the venue could not be read.
    """
    principal.require(Action.READ_RECORD, account_id)
    at_venue = {asset: balance.total for asset, balance in (await broker.balances()).items()}
    traded = {fill.trade_id: fill for fill in await broker.fills(since=_BEGINNING)}
    working = {report.client_order_id: report.filled for report in await broker.open_orders()}
    async with database.reading() as uow:
        ours = (await uow.portfolios.load(account_id)).balances
        booked = {fill.trade_id: fill for fill in await uow.fills.of_account(account_id)}
        live = await uow.orders.live(account_id)
    # What the venue has not answered yet may be there or not: that is for a sync to find out.
    open_here = {order.client_order_id: order.filled for order in live if order.state not in _UNANSWERED}
    open_there = {key: filled for key, filled in working.items() if key in open_here or key not in _keys(live)}
    return (
        Finding("balances at the venue", len(at_venue), tuple(_differences("", ours, at_venue, "the venue"))),
        Finding(
            "fills at the venue",
            len(traded),
            tuple(f"fill {key}" for key in sorted({*traded, *booked}) if traded.get(key) != booked.get(key)),
        ),
        Finding("live orders at the venue", len(open_there), tuple(_differences("order ", open_here, open_there, "the venue"))),
    )


def _keys(orders: tuple[Order, ...]) -> set[str]:
    return {order.client_order_id for order in orders}


def _folded(ledger: Ledger) -> Portfolio:
    kept = ledger.portfolio
    # Folding asks an instrument only for its two currencies, which the symbol tells.
    listed = {fill.symbol: Instrument(fill.symbol, Decimal(1), Decimal(1), ZERO, ZERO) for fill in ledger.fills}
    portfolio, done = Portfolio.opened(kept.account_id, kept.currency, kept.deposited), 0
    for transfer in ledger.transfers:
        portfolio = portfolio.after_all(ledger.fills[done : transfer.fills_before], listed).after_transfer(transfer)
        done = transfer.fills_before
    return portfolio.after_all(ledger.fills[done:], listed)


def _balances(ledger: Ledger) -> Iterator[str]:
    yield from _differences("", ledger.portfolio.balances, _folded(ledger).balances, "its fills")


def _transferred(ledger: Ledger) -> Iterator[str]:
    kept, folded = ({"": each.transferred} for each in (ledger.portfolio, _folded(ledger)))
    yield from _differences("transferred", kept, folded, "its transfers")


def _fees(ledger: Ledger) -> Iterator[str]:
    yield from _differences("", ledger.portfolio.fees, _folded(ledger).fees, "its fills")


def _positions(ledger: Ledger) -> Iterator[str]:
    kept, folded = ledger.portfolio.positions, _folded(ledger).positions
    for what in ("quantity", "cost"):
        ours, theirs = ({key: getattr(position, what) for key, position in each.items()} for each in (kept, folded))
        yield from _differences(f"{what} of ", ours, theirs, "its fills")


def _realised(ledger: Ledger) -> Iterator[str]:
    kept, folded = ({key: p.realised for key, p in each.positions.items()} for each in (ledger.portfolio, _folded(ledger)))
    yield from _differences("", kept, folded, "its fills")


def _histories(ledger: Ledger) -> Iterator[str]:
    for key, record in ledger.orders.items():
        state = OrderState.SUBMITTING
        for number, step in enumerate(record.events, 1):
            if step.sequence != number:
                yield f"order {key}: event {number} is missing"
                break
            led_to = _next(state, step.event)
            if led_to is not step.state:
                told = led_to.value if led_to else "nowhere"
                leads = f"{step.event.value}, leads from {state.value} to {told}, not {step.state.value}"
                yield f"order {key}: event {number}, {leads}"
            state = step.state
        else:
            if state is not record.order.state:
                yield f"order {key}: its events end at {state.value}, the order stands at {record.order.state.value}"


def _next(state: OrderState, event: OrderEvent) -> OrderState | None:
    try:
        return next_state(state, event)
    except AlgoTrendyError:
        return None


def _fill_sums(ledger: Ledger) -> Iterator[str]:
    for key, record in ledger.orders.items():
        order, own = record.order, [fill for fill in ledger.fills if fill.client_order_id == key]
        filled, notional = sum((fill.quantity for fill in own), ZERO), sum((fill.notional for fill in own), ZERO)
        if filled != order.filled:
            yield f"order {key}: filled {plain(order.filled)}, its fills sum to {plain(filled)}"
        elif notional != order.filled_notional:
            yield f"order {key}: filled for {plain(order.filled_notional)}, its fills sum to {plain(notional)}"
        if filled > order.request.quantity or (order.state is OrderState.FILLED and filled != order.request.quantity):
            yield f"order {key}: {plain(filled)} filled of {plain(order.request.quantity)}, and it is {order.state.value}"
        told = sum(step.event in _FILLS for step in record.events)
        if told != len(own):
            yield f"order {key}: {told} fill events, {len(own)} fills"


def _known_fills(ledger: Ledger) -> Iterator[str]:
    for fill in ledger.fills:
        record = ledger.orders.get(fill.client_order_id)
        if record is None:
            yield f"fill {fill.trade_id}: order {fill.client_order_id} is not on record"
        elif (fill.symbol, fill.side) != (record.order.symbol, record.order.side):
            yield f"fill {fill.trade_id}: {fill.side.value} {fill.symbol} is not what order {fill.client_order_id} asked for"


def _one_order_each(ledger: Ledger) -> Iterator[str]:
    for intent_id, count in Counter(record.order.intent_id for record in ledger.orders.values()).items():
        if count > 1:
            yield f"intent {intent_id[:12]}: {count} orders"
    for key, record in ledger.orders.items():
        if key != make_client_order_id(record.order.intent_id):
            yield f"order {key}: its id is not made from intent {record.order.intent_id[:12]}"


def _approved_first(ledger: Ledger) -> Iterator[str]:
    for key, record in ledger.orders.items():
        order, intent = record.order, record.intent
        if intent is None:
            yield f"order {key}: intent {order.intent_id[:12]} is not on record"
            continue
        if (order.symbol, order.side) != (intent.symbol, intent.side) or order.request.quantity > intent.quantity:
            yield f"order {key}: it asks for more, or for something else, than intent {intent.intent_id[:12]}"
        if not _allowed(record, intent):
            yield f"order {key}: intent {intent.intent_id[:12]} was not approved before it was sent"


def _allowed(record: OrderRecord, intent: TradeIntent) -> bool:
    before = [decision.verdict for decision in record.decisions if decision.decided_at <= record.order.created_at]
    if Verdict.DENIED in before:
        return False
    asked = record.approval
    if Verdict.NEEDS_APPROVAL not in before or asked is None:
        return Verdict.APPROVED in before
    in_time = asked.decided_at is not None and asked.decided_at <= record.order.created_at <= asked.expires_at
    return asked.state is ApprovalState.APPROVED and in_time and asked.content_hash == intent.content_hash


def _reservations(ledger: Ledger) -> Iterator[str]:
    for intent, decisions, approval in ledger.reserving:
        if not decisions:
            yield f"intent {intent.intent_id[:12]}: reserves, and the gate was not asked"
        elif decisions[-1].verdict is Verdict.NEEDS_APPROVAL and approval is None:
            yield f"intent {intent.intent_id[:12]}: reserves for an approval that nobody was asked for"


def _differences(what: str, ours: Mapping[str, Decimal], other: Mapping[str, Decimal], whose: str) -> Iterator[str]:
    """What two mappings hold differently; a missing amount is zero, unless it names an order."""
    for key in sorted({*ours, *other}):
        mine, theirs = (each.get(key, None if what == "order " else ZERO) for each in (ours, other))
        if mine != theirs:
            shown = ("none" if amount is None else plain(amount) for amount in (mine, theirs))
            yield "{}{}: {} on record, {} by {}".format(what, key, *shown, whose)


def _all(check: Callable[[Ledger], Iterator[str]], ledger: Ledger) -> tuple[str, ...]:
    try:
        return tuple(check(ledger))
    except (ArithmeticError, AlgoTrendyError) as error:  # fills that cannot be folded: a sale of more than was held
        return (_line(error),)


def _line(error: Exception) -> str:
    return error.what if isinstance(error, AlgoTrendyError) else str(error).partition("\n")[0]


_CHECKS: tuple[tuple[str, Callable[[Ledger], int], Callable[[Ledger], Iterator[str]]], ...] = (
    ("balances are what the fills made", lambda ledger: len(ledger.portfolio.balances), _balances),
    ("what was transferred is the sum of the transfers", lambda ledger: len(ledger.transfers), _transferred),
    ("fees are those of the fills", lambda ledger: len(ledger.portfolio.fees), _fees),
    ("positions are what the fills made", lambda ledger: len(ledger.portfolio.positions), _positions),
    ("realised profit is that of the fills", lambda ledger: len(ledger.portfolio.positions), _realised),
    ("order events follow the transition table", lambda ledger: sum(len(o.events) for o in ledger.orders.values()), _histories),
    ("orders are filled as their fills say", lambda ledger: len(ledger.orders), _fill_sums),
    ("every fill has its order", lambda ledger: len(ledger.fills), _known_fills),
    ("one order for each intent", lambda ledger: len(ledger.orders), _one_order_each),
    ("every order was approved before it was sent", lambda ledger: len(ledger.orders), _approved_first),
    ("the gate granted every reservation", lambda ledger: len(ledger.reserving), _reservations),
)
