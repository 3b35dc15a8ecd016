"""What the account holds."""

from __future__ import annotations

from tools.base import NoArguments, SymbolArguments, Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action
from trading_core.domain.orders import Order, Purpose
from trading_core.domain.positions import Position
from trading_core.domain.snapshot import Snapshot


async def _portfolio(context: ToolContext, _: NoArguments) -> Facts:
    snapshot = context.snapshot
    portfolio = snapshot.portfolio
    # Without the price of a holding equity is unknown, and so is every share of it; what is held is told all the same.
    equity = portfolio.equity(snapshot.prices) if portfolio.held().keys() <= snapshot.prices.keys() else None
    holdings = [
        {"symbol": symbol, "quantity": number(position.quantity), **_worth(snapshot, position)}
        for symbol, position in portfolio.held().items()
        if not _is_dust(snapshot, position)
    ]
    return {
        "currency": portfolio.currency,
        "equity": number(equity),
        "cash": number(portfolio.cash),
        "cash_weight": number(portfolio.cash / equity) if equity is not None and equity > 0 else None,
        "realised": number(portfolio.realised),
        "drawdown": number(snapshot.drawdown) if equity is not None else None,
        "trading_state": snapshot.state,
        "holdings": holdings,
        "open_entry_orders": sum(order.purpose is Purpose.ENTRY for order in snapshot.open_orders),
    }


async def _position(context: ToolContext, arguments: SymbolArguments) -> Facts:
    snapshot = context.snapshot
    symbol = snapshot.known(arguments.symbol)
    position = snapshot.portfolio.position(symbol)
    if position.quantity == 0 or _is_dust(snapshot, position):
        return {"symbol": symbol, "held": False, "open_orders": _orders(context, symbol)}
    return {
        "symbol": symbol,
        "held": True,
        "quantity": number(position.quantity),
        **_worth(snapshot, position),
        "open_orders": _orders(context, symbol),
    }


def _is_dust(snapshot: Snapshot, position: Position) -> bool:
    """What has no price, or is not listed, is never taken for dust: nobody knows what it is worth."""
    price, instrument = snapshot.prices.get(position.symbol), snapshot.instruments.get(position.symbol)
    return price is not None and instrument is not None and instrument.is_dust(position.quantity, price)


def _worth(snapshot: Snapshot, position: Position) -> Facts:
    """What a holding is worth and cost; without a price it is still held, and why its worth is not known is told."""
    price = snapshot.prices.get(position.symbol)
    known = snapshot.portfolio.held().keys() <= snapshot.prices.keys()
    worth = {
        "value": None if price is None else number(position.value(price)),
        "weight": number(snapshot.weight(position.symbol)) if known else None,
        "average_cost": number(position.average_cost),
        "unrealised": None if price is None else number(position.unrealised(price)),
    }
    if position.symbol not in snapshot.instruments:
        return {**worth, "why": "the venue does not list it" + (" and it has no price: not valued" if price is None else "")}
    return worth if price is not None else {**worth, "why": "it has no price now: not valued"}


async def _open_orders(context: ToolContext, _: NoArguments) -> Facts:
    return {"orders": [_order(order) for order in context.snapshot.open_orders]}


def _orders(context: ToolContext, symbol: str) -> list[Facts]:
    return [_order(order) for order in context.snapshot.open_orders if order.symbol == symbol]


def _order(order: Order) -> Facts:
    request = order.request
    return {
        "symbol": order.symbol,
        "purpose": order.purpose.value,
        "side": order.side.value,
        "type": request.type.value,
        "state": order.state.value,
        "remaining": number(order.remaining),
        "limit_price": number(request.limit_price),
        "stop_price": number(request.stop_price),
    }


GET_PORTFOLIO = Tool(
    "get_portfolio",
    "Equity, cash, holdings with weight (fraction of equity) and profit, drawdown from the peak (fraction), trading state.",
    NoArguments,
    Action.READ_PORTFOLIO,
    _portfolio,
)
GET_POSITION = Tool(
    "get_position",
    "What is held of one symbol and which orders work for it.",
    SymbolArguments,
    Action.READ_PORTFOLIO,
    _position,
)
GET_OPEN_ORDERS = Tool("get_open_orders", "Every live order of the account.", NoArguments, Action.READ_ORDERS, _open_orders)
