"""What a session came to: the account against buying and holding, and everything it decided, from the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from graph.system import TradingSystem
from trading_core.auth.agents import runner
from trading_core.domain.clock import iso
from trading_core.domain.errors import MarketDataUnavailable
from trading_core.domain.market import Ticker
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Order
from trading_core.persistence.records import DecisionRecord
from trading_core.risk.state import fraction_lost


@dataclass(frozen=True, slots=True)
class Holding:
    """A position at the end; amounts in the account's currency. Dust is too little to be sold by itself."""

    symbol: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    unrealised: Decimal
    is_dust: bool = False


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Where a session stands.

    Attributes:
        held_instead: what was paid in would be worth, split evenly over the symbols at the first cycle's prices, fees paid.
        drawdown: largest fall from a peak between cycles, fraction.
        balances_agree: whether cash, holdings and fees of the ledger add up to what the exchange says, to the last digit.
        actions: how often each signal action was decided, abstentions included.
        denials: how often the gate failed a check, by reason code.
    """

    session_id: str
    currency: str
    start: datetime
    end: datetime
    cycles: int
    deposit: Decimal
    equity: Decimal
    held_instead: Decimal
    cash: Decimal
    realised: Decimal
    fees: Mapping[str, Decimal]
    drawdown: Decimal
    holdings: tuple[Holding, ...]
    orders: int
    fills: int
    trading_state: str
    state_reason: str
    balances_agree: bool
    actions: Mapping[str, int]
    denials: Mapping[str, int]
    curve: tuple[tuple[datetime, Decimal], ...]

    @property
    def profit(self) -> Decimal:
        return self.equity - self.deposit


async def report(system: TradingSystem) -> SessionReport:
    """The session as it stands on record, valued at the clock's present."""
    account = system.desk.account_id
    who = runner(account)
    await system.desk.sync(who)
    view = await system.desk.account(who)
    prices = await _prices(system, system.clock.now())
    async with system.database.reading() as uow:
        curve = await uow.portfolios.curve(account)
        orders = await uow.orders.all(account)
        fills = await uow.fills.of_account(account)
        runs = await uow.runs.of_session(system.config.session_id)
        signals = [decision for run in runs for decision in await uow.decisions.of_run(run.id) if decision.agent == "signal"]
        decisions = [decision for run in runs for decision in await uow.intents.decisions_of_run(run.id)]
    portfolio = view.portfolio
    holdings = tuple(
        Holding(
            symbol,
            position.quantity,
            prices[symbol],
            position.value(prices[symbol]),
            position.unrealised(prices[symbol]),
            _is_dust(system, symbol, position.quantity, prices[symbol]),
        )
        for symbol, position in portfolio.held().items()
    )
    start = runs[0].as_of if runs else system.clock.now()
    return SessionReport(
        session_id=system.config.session_id,
        currency=portfolio.currency,
        start=start,
        end=runs[-1].as_of if runs else start,
        cycles=len(runs),
        deposit=portfolio.paid_in,
        equity=portfolio.equity(prices),
        held_instead=await held_instead(system, portfolio.paid_in, start, prices),
        cash=portfolio.cash,
        realised=portfolio.realised,
        fees=portfolio.fees,
        drawdown=_worst_fall([point.equity for point in curve]),
        holdings=holdings,
        orders=len(orders),
        fills=len(fills),
        trading_state=view.risk.trading_state.value,
        state_reason=view.risk.reason,
        balances_agree=await system.desk.agrees(who),
        actions=Counter(_action(decision) for decision in signals),
        denials=Counter(code for decision in decisions for code in decision.reason_codes),
        curve=tuple((point.at, point.equity) for point in curve),
    )


def _is_dust(system: TradingSystem, symbol: str, quantity: Decimal, price: Decimal) -> bool:
    instrument = system.desk.instruments.get(symbol)
    return instrument is not None and instrument.is_dust(quantity, price)


async def export(system: TradingSystem) -> dict[str, Any]:
    """Every decision, gate answer, order and fill, and the final portfolio. The same session gives the same bytes."""
    async with system.database.reading() as uow:
        runs = await uow.runs.of_session(system.config.session_id)
        trails = [await uow.runs.whole(run.id) for run in runs]
        portfolio = await uow.portfolios.load(system.desk.account_id)
    return {
        "session": system.config.session_id,
        "runs": [
            {
                "run": trail.run.id,
                "as_of": iso(trail.run.as_of),
                "state": trail.run.state.value,
                "snapshot": trail.run.snapshot_hash,
                "decisions": [_decision(decision) for decision in trail.decisions],
                "gate": [
                    {
                        "intent": item.intent.intent_id,
                        "purpose": item.intent.purpose.value,
                        "symbol": item.intent.symbol,
                        "side": item.intent.side.value,
                        "quantity": plain(item.intent.quantity),
                        "verdicts": [{"verdict": d.verdict.value, "failed": list(d.reason_codes)} for d in item.decisions],
                    }
                    for item in trail.intents
                ],
                "orders": [_order(item.order) for item in trail.orders],
                "fills": [
                    {
                        "trade": f.trade_id,
                        "quantity": plain(f.quantity),
                        "price": plain(f.price),
                        "fee": str(f.fee),
                        "at": iso(f.at),
                    }
                    for item in trail.orders
                    for f in item.fills
                ],
                "equity": plain(trail.portfolio.equity) if trail.portfolio else None,
            }
            for trail in trails
        ],
        "portfolio": {
            "balances": {asset: plain(amount) for asset, amount in sorted(portfolio.balances.items())},
            "positions": {
                symbol: {"quantity": plain(p.quantity), "cost": plain(p.cost), "realised": plain(p.realised)}
                for symbol, p in sorted(portfolio.positions.items())
            },
            "fees": {asset: plain(amount) for asset, amount in sorted(portfolio.fees.items())},
        },
    }


def _decision(decision: DecisionRecord) -> dict[str, Any]:
    return {
        "agent": decision.agent,
        "subject": decision.subject,
        "outcome": decision.outcome.value,
        "answer": decision.answer,
        "why": decision.reason,
        "grounded": decision.grounded,
        "problems": list(decision.problems),
        "model": decision.model,
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.client_order_id,
        "purpose": order.purpose.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.request.type.value,
        "quantity": plain(order.request.quantity),
        "limit_price": plain(order.request.limit_price) if order.request.limit_price else None,
        "stop_price": plain(order.request.stop_price) if order.request.stop_price else None,
        "state": order.state.value,
        "filled": plain(order.filled),
        "average_price": plain(order.average_price) if order.average_price else None,
    }


def _action(decision: DecisionRecord) -> str:
    """An answer whose numbers do not hold, or none at all, counts as what it is: not a decision."""
    if decision.answer is None:
        return "failed"
    return str(decision.answer.get("action")) if decision.grounded else "ungrounded"


async def _prices(system: TradingSystem, at: datetime) -> dict[str, Decimal]:
    tickers: Sequence[Ticker | None] = [await system.feed.ticker(symbol, as_of=at) for symbol in system.config.symbols]
    return {symbol: t.last for symbol, t in zip(system.config.symbols, tickers, strict=True) if t is not None}


async def held_instead(system: TradingSystem, paid_in: Decimal, start: datetime, prices: Mapping[str, Decimal]) -> Decimal:
    """What was paid in, split evenly over the symbols that had a price at the start, bought there with the taker fee."""
    known = {symbol: price for symbol in system.config.symbols if (price := await _price_at(system, symbol, start)) is not None}
    total = ZERO
    for symbol, paid in known.items():
        fee = system.desk.instruments[symbol].taker_fee
        total += paid_in / len(known) / (paid * (1 + fee)) * prices[symbol]
    return total if known else paid_in


async def _price_at(system: TradingSystem, symbol: str, start: datetime) -> Decimal | None:
    """The ask then; of a live market, which tells only its present, the close of the last bar before."""
    try:
        ticker = await system.feed.ticker(symbol, as_of=start)
        return None if ticker is None else ticker.ask
    except MarketDataUnavailable:
        bars = await system.feed.bars(symbol, system.config.bars, as_of=start, limit=1)
        return bars[-1].close


def _worst_fall(values: Sequence[Decimal]) -> Decimal:
    worst, peak = ZERO, ZERO
    for value in values:
        peak = max(peak, value)
        worst = max(worst, fraction_lost(peak, value))
    return worst
