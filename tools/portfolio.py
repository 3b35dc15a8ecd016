"""What the account holds."""

from __future__ import annotations

from tools.base import NoArguments, SymbolArguments, Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action
from trading_core.domain.orders import Order, Purpose


async def _portfolio(context: ToolContext, _: NoArguments) -> Facts:
    snapshot = context.snapshot
    portfolio = snapshot.portfolio
    equity = portfolio.equity(snapshot.prices)
    holdings = [
        {
            "symbol": symbol,
            "quantity": number(position.quantity),
            "value": number(position.value(snapshot.prices[symbol])),
            "weight": number(snapshot.weight(symbol)),
            "average_cost": number(position.average_cost),
            "unrealised": number(position.unrealised(snapshot.prices[symbol])),
        }
        for symbol, position in portfolio.held().items()
        if not snapshot.instruments[symbol].is_dust(position.quantity, snapshot.prices[symbol])
    ]
    return {
        "currency": portfolio.currency,
        "equity": number(equity),
        "cash": number(portfolio.cash),
        "cash_weight": number(portfolio.cash / equity) if equity > 0 else None,
        "realised": number(portfolio.realised),
        "drawdown": number(snapshot.drawdown),
        "trading_state": snapshot.state,
        "holdings": holdings,
        "open_entry_orders": sum(order.purpose is Purpose.ENTRY for order in snapshot.open_orders),
    }


async def _position(context: ToolContext, arguments: SymbolArguments) -> Facts:
    snapshot = context.snapshot
    symbol = snapshot.known(arguments.symbol)
    position, price = snapshot.portfolio.position(symbol), snapshot.prices.get(symbol)
    if position.quantity == 0 or (price is not None and snapshot.instruments[symbol].is_dust(position.quantity, price)):
        return {"symbol": symbol, "held": False, "open_orders": _orders(context, symbol)}
    return {
        "symbol": symbol,
        "held": True,
        "quantity": number(position.quantity),
        # Without a price a holding is still held; what it is worth is not known.
        "value": None if price is None else number(position.value(price)),
        "weight": None if price is None else number(snapshot.weight(symbol)),
        "average_cost": number(position.average_cost),
        "unrealised": None if price is None else number(position.unrealised(price)),
        "open_orders": _orders(context, symbol),
    }


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
