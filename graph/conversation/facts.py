"""The desk as it answers a person: orders, performance and risk as they are now, read for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from graph.conversation.cards import Cards
from graph.conversation.trails import Trails, quoted
from graph.report import held_instead
from graph.system import TradingSystem
from tools.computed import Computed
from tools.context import Facts, OperatorDesk, number
from trading_core.auth.agents import runner
from trading_core.domain.clock import iso
from trading_core.domain.errors import MarketDataError
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Purpose
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.book import AccountView
from trading_core.execution.quality import measure
from trading_core.risk.state import fraction_lost


@dataclass(frozen=True, slots=True)
class View:
    """What is known at the moment of a question: the account, the markets, and numbers over them."""

    account: AccountView
    snapshot: Snapshot
    computed: Computed


async def look(system: TradingSystem) -> View:
    """Look at the account and the markets now. Who asks may be shown of it what its tools let through."""
    account = await system.desk.account(runner(system.desk.account_id))
    snapshot = await system.snapshots.look(system.clock.now(), account)
    return View(account, snapshot, Computed(snapshot))


class DeskFacts(OperatorDesk):
    """What one answer may read of the record, and the cards it makes."""

    def __init__(self, system: TradingSystem, view: View, cards: Cards) -> None:
        self._system, self._snapshot, self._view, self._cards = system, view.snapshot, view.account, cards
        self._account_id = system.desk.account_id

    async def orders(self, symbol: str, limit: int) -> Facts:
        async with self._system.database.reading() as uow:
            newest = await uow.orders.newest(self._account_id, limit, symbol)
            measured = [measure(order, await uow.fills.of_order(order.client_order_id)) for order in newest]
        rows = [
            {
                "id": found.order.client_order_id,
                "at": iso(found.order.created_at),
                "symbol": found.order.symbol,
                "purpose": found.order.purpose.value,
                "side": found.order.side.value,
                "type": found.order.request.type.value,
                "quantity": number(found.order.request.quantity),
                "limit_price": number(found.order.request.limit_price),
                "stop_price": number(found.order.request.stop_price),
                "state": found.order.state.value,
                "filled": number(found.order.filled),
                "average_price": number(found.average_price),
                "slippage": None if found.slippage is None else round(float(found.slippage), 6),
                "fees": {asset: number(paid) for asset, paid in found.fees.items()},
                "refused_because": quoted("the venue", found.order.reason) if found.order.reason else "",
                "seconds_to_last_fill": None
                if found.last_fill_after is None
                else round(found.last_fill_after.total_seconds(), 3),
            }
            for found in measured
        ]
        return {"about": symbol or "all symbols", "orders": rows}

    async def performance(self) -> Facts:
        snapshot, portfolio = self._snapshot, self._view.portfolio
        prices, paid_in = snapshot.prices, portfolio.paid_in
        equity = portfolio.equity(prices)
        async with self._system.database.reading() as uow:
            opened_at = await uow.portfolios.opened_at(self._account_id)
            traded_at = await uow.fills.last_at(self._account_id)
        held = portfolio.held()
        profit = equity - paid_in
        return {
            "currency": portfolio.currency,
            "equity": number(equity),
            "paid_in": number(paid_in),
            "profit": number(profit),
            "profit_fraction": number(profit / paid_in) if paid_in > 0 else None,
            "realised": number(portfolio.realised),
            "unrealised": number(sum((position.unrealised(prices[symbol]) for symbol, position in held.items()), ZERO)),
            "fees": {asset: number(paid) for asset, paid in sorted(portfolio.fees.items()) if paid},
            "drawdown": number(snapshot.drawdown),
            "since": None if opened_at is None else iso(opened_at),
            "last_trade_at": None if traded_at is None else iso(traded_at),
            "bought_and_held": number(await self._held_instead(paid_in)),
        }

    async def _held_instead(self, paid_in: Decimal) -> Decimal | None:
        """Only where prices of the past cost no request to a venue."""
        system = self._system
        if system.config.market == "live":
            return None
        async with system.database.reading() as uow:
            first = await uow.portfolios.first_worth(self._account_id)
        try:
            return None if first is None else await held_instead(system, paid_in, first.at, self._snapshot.prices)
        except (MarketDataError, KeyError):  # a symbol without a price now or then
            return None

    async def explained(self, about: str) -> Facts:
        return await Trails(self._system.database, self._account_id).explained(about, self._snapshot)

    async def risk_state(self) -> Facts:
        risk, snapshot, limits = self._view.risk, self._snapshot, self._system.desk.limits
        portfolio, prices = self._view.portfolio, self._snapshot.prices
        equity = portfolio.equity(prices)
        values = {symbol: position.value(prices[symbol]) for symbol, position in portfolio.held().items()}
        disagreement = self._system.desk.inputs.disagreement
        return {
            "currency": portfolio.currency,
            "trading_state": risk.trading_state.value,
            "why": quoted(f"{risk.changed_by} said" if risk.changed_by != "core" else "core", risk.reason) if risk.reason else "",
            "by": risk.changed_by,
            "since": iso(risk.changed_at),
            "held_back": f"the ledger and the venue differ: {disagreement}" if disagreement else "",
            "equity": number(equity),
            "loss_today": _share(fraction_lost(risk.day_start_equity, equity)),
            "loss_today_limit": number(limits.daily_loss),
            "drawdown": _share(snapshot.drawdown),
            "drawdown_limit": number(limits.drawdown),
            "losses_in_a_row": risk.consecutive_losses,
            "losses_in_a_row_limit": limits.consecutive_losses,
            "exposure": _share(sum(values.values(), ZERO) / equity) if equity > 0 else None,
            "exposure_value": number(sum(values.values(), ZERO)),
            "exposure_limit": number(limits.max_exposure),
            "largest_position": _share(max(values.values(), default=ZERO) / equity) if equity > 0 else None,
            "largest_position_limit": number(limits.max_position),
            "positions": sum(not self._is_dust(symbol) for symbol in values),
            "positions_limit": limits.max_positions,
            "open_risk": _share(self._open_risk() / equity) if equity > 0 else None,
            "risk_per_trade_limit": number(limits.risk_per_trade),
            "approval_above": number(limits.approval_above_notional),
            "live_orders": len(self._view.live_orders),
        }

    def _open_risk(self) -> Decimal:
        """What would be lost from here if every stop were hit at its price; a holding without a stop counts in full."""
        total, prices = ZERO, self._snapshot.prices
        for symbol, position in self._view.portfolio.held().items():
            if self._is_dust(symbol):
                continue
            stops = [o for o in self._view.live_orders if o.symbol == symbol and o.purpose is Purpose.STOP]
            covered = min(sum((order.remaining for order in stops), ZERO), position.quantity)
            total += (position.quantity - covered) * prices[symbol]
            for order in stops:
                total += max(prices[symbol] - (order.request.stop_price or ZERO), ZERO) * min(order.remaining, covered)
        return total

    def _is_dust(self, symbol: str) -> bool:
        instrument = self._snapshot.instruments.get(symbol)
        quantity = self._view.portfolio.position(symbol).quantity
        return instrument is not None and instrument.is_dust(quantity, self._snapshot.prices[symbol])

    async def propose(self, wanted: Facts, reason: str) -> Facts:
        return await self._cards.make(wanted, reason, self._snapshot)


def _share(value: Decimal) -> float | None:
    return number(value.quantize(Decimal("0.000001")))
