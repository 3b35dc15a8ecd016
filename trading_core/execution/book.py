"""One account as the ledger has it, held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from trading_core.domain.intents import TradeIntent, make_client_order_id
from trading_core.domain.orders import Order
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.risk_record import stored_risk
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.checks import RecentOrder
from trading_core.risk.state import AccountRisk


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the ledger says of an account; `known_at` is when the venue last confirmed it."""

    portfolio: Portfolio
    live_orders: tuple[Order, ...]
    risk: AccountRisk
    known_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bought:
    """The newest filled buy of a symbol: its stop and its profit target are the holding's.

    Attributes:
        at: when its order was written down.
    """

    intent: TradeIntent
    at: datetime

    def comes_before(self, other: Bought) -> bool:
        """Whether this one counts: the newer, and of two of one instant the one with the lower order id."""
        own, others = make_client_order_id(self.intent.intent_id), make_client_order_id(other.intent.intent_id)
        return (other.at, own) < (self.at, others)


@dataclass(frozen=True, slots=True)
class Book:
    """Everything of an account that a decision can depend on.

    Attributes:
        version: of the account in the ledger. Whoever finds the same number there need not read the rest.
        live: orders that may still trade, by client order id.
        waiting: intents by id that passed the gate, or may still be approved, and are not sent. They count like orders.
        recent: orders that were written down lately, oldest first.
        bought: by symbol, of every one that was ever bought.
        risk: None for an account of which nothing was ever noted.
    """

    version: int
    portfolio: Portfolio
    live: Mapping[str, Order]
    waiting: Mapping[str, TradeIntent]
    recent: tuple[RecentOrder, ...]
    bought: Mapping[str, Bought]
    risk: AccountRisk | None

    def view(self, now: datetime, known_at: datetime | None) -> AccountView:
        """For readers: live orders oldest first, those of one instant by id."""
        live = tuple(sorted(self.live.values(), key=_age))
        return AccountView(self.portfolio, live, self.risk_at(now), known_at)

    def risk_at(self, now: datetime) -> AccountRisk:
        """What the loss limits remember; of an account that has nothing yet, that of one opened at `now` with its deposit."""
        return self.risk or AccountRisk.opened(self.portfolio.paid_in, now)

    def reserving(self, intent: TradeIntent) -> Book:
        return replace(self, waiting={**self.waiting, intent.intent_id: intent})

    def releasing(self, intent_id: str) -> Book:
        return replace(self, waiting={key: intent for key, intent in self.waiting.items() if key != intent_id})

    def sending(self, order: Order, proposer: str, since: datetime) -> Book:
        """With an order that is written down now. Orders before `since` are no longer recent."""
        request, kept = order.request, self.recent
        if kept and kept[0].at < since:
            kept = tuple(one for one in kept if one.at >= since)
        sent = RecentOrder(order.created_at, proposer, request.symbol, request.side, request.quantity, order.intent_id)
        return replace(self.releasing(order.intent_id).moving(order), recent=(*kept, sent))

    def moving(self, order: Order) -> Book:
        """With an order that has changed."""
        live = {key: known for key, known in self.live.items() if key != order.client_order_id}
        if order.is_live:
            live[order.client_order_id] = order
        return replace(self, live=live)

    def holding(self, portfolio: Portfolio, symbol: str, bought: Bought | None) -> Book:
        """After a fill in `symbol`; `bought` is the intent behind it when it was a buy."""
        known = self.bought.get(symbol)
        if bought is None or (known is not None and known.comes_before(bought)):
            return replace(self, portfolio=portfolio)
        return replace(self, portfolio=portfolio, bought={**self.bought, symbol: bought})


def _age(order: Order) -> tuple[datetime, str]:
    return order.created_at, order.client_order_id


async def read_book(uow: UnitOfWork, account_id: str, version: int, since: datetime) -> Book:
    """The account from the ledger, with orders from `since` on as recent ones.

    Raises:
        LedgerError: the account is not on record.
    """
    portfolio, live = await uow.portfolios.load(account_id), await uow.orders.live(account_id)
    waiting = await uow.intents.waiting(account_id)
    recent = [
        RecentOrder(order.created_at, proposer, order.symbol, order.side, order.request.quantity, order.intent_id)
        for order, proposer in await uow.orders.recent_with_proposer(account_id, since)
    ]
    entries = {symbol: await uow.intents.last_entry(account_id, symbol) for symbol in portfolio.positions}
    return Book(
        version,
        portfolio,
        {order.client_order_id: order for order in live},
        {intent.intent_id: intent for intent in waiting},
        tuple(recent),
        {symbol: Bought(*entry) for symbol, entry in entries.items() if entry is not None},
        await stored_risk(uow, account_id),
    )
