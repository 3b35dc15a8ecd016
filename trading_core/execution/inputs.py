"""Everything the gate may know, read for one intent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import MarketDataError, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.orders import Order
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import Booking
from trading_core.execution.forms import reserve
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.checks import Actor, GateInputs, RecentOrder
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk, TradingState


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the ledger says of an account; `known_at` is when the venue last confirmed it."""

    portfolio: Portfolio
    live_orders: tuple[Order, ...]
    risk: AccountRisk
    known_at: datetime | None


class InputsReader:
    """Reads the ledger and the market for the gate.

    Attributes:
        correlations: of returns, by pair; a missing pair counts as fully correlated.
        disagreement: in what the ledger and the venue differ; while there is any, the gate lets only exits pass.
    """

    def __init__(
        self,
        account_id: str,
        database: Database,
        booking: Booking,
        feed: MarketFeed,
        clock: Clock,
        limits: Limits,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._account_id, self._database, self._booking = account_id, database, booking
        self._feed, self._clock, self._limits, self._instruments = feed, clock, limits, instruments
        self.correlations: Mapping[frozenset[str], Decimal] = {}
        self.disagreement = ""

    async def account(self, uow: UnitOfWork) -> AccountView:
        portfolio = await uow.portfolios.load(self._account_id)
        live = await uow.orders.live(self._account_id)
        return AccountView(portfolio, live, await self._booking.risk(uow), self._booking.known_at)

    async def tickers(self, symbol: str) -> dict[str, Ticker]:
        """Prices of the symbol and of all that is held or working. What cannot be read is left out, and the gate denies."""
        async with self._database.reading() as uow:
            view = await self.account(uow)
            waiting = await uow.intents.waiting(self._account_id)
        names = {symbol, *view.portfolio.held(), *(o.symbol for o in view.live_orders), *(i.symbol for i in waiting)}
        now = self._clock.now()
        found: dict[str, Ticker] = {}
        for name in sorted(names):
            try:
                ticker = await self._feed.ticker(name, as_of=now)
            except (MarketDataError, UnknownSymbol):
                continue
            if ticker is not None:
                found[name] = ticker
        return found

    async def read(
        self, uow: UnitOfWork, proposer: Principal, tickers: Mapping[str, Ticker], *, has_approval: bool, but: str
    ) -> GateInputs:
        """The gate's inputs for the intent `but`. Other intents that were approved and wait to be sent count as live orders."""
        now = self._clock.now()
        view = await self.account(uow)
        waiting = [intent for intent in await uow.intents.waiting(self._account_id) if intent.intent_id != but]
        since = now - timedelta(seconds=max(86_400, self._limits.duplicate_window_seconds))
        recent = [
            RecentOrder(order.created_at, proposer_name, order.symbol, order.side, order.request.quantity, order.intent_id)
            for order, proposer_name in await uow.orders.recent_with_proposer(self._account_id, since)
        ]
        recent += [RecentOrder(i.created_at, i.proposer, i.symbol, i.side, i.quantity, i.intent_id) for i in waiting]
        return GateInputs(
            now=now,
            actor=Actor(proposer.name, frozenset(action.value for action in proposer.actions), proposer.accounts),
            portfolio=view.portfolio,
            account_known_at=view.known_at,
            open_orders=(*view.live_orders, *(reserve(intent) for intent in waiting)),
            instruments=self._instruments,
            tickers=tickers,
            risk=self._held_back(view.risk, now),
            correlations=self.correlations,
            recent_orders=tuple(recent),
            venue_healthy=view.known_at is not None,
            has_approval=has_approval,
        )

    def _held_back(self, risk: AccountRisk, now: datetime) -> AccountRisk:
        """The account's state as the gate is to see it. This is not written down: it ends with the disagreement."""
        if not self.disagreement or risk.trading_state is not TradingState.ACTIVE:
            return risk
        return risk.reduced("core", f"the ledger and the venue differ: {self.disagreement}", now)
