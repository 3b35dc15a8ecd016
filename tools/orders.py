"""What was ordered lately, and what came of it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tools.base import Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action


class OrdersArguments(BaseModel):
    symbol: str = Field(default="", max_length=30, description="unified symbol, such as BTC/USDT; empty for all")
    limit: int = Field(default=5, ge=1, le=20, description="how many newest orders")


async def _orders(context: ToolContext, arguments: OrdersArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol) if arguments.symbol else ""
    return await context.desk.orders(symbol, arguments.limit)


GET_ORDERS = Tool(
    "get_orders",
    "The last orders, newest first: purpose, side, quantity, state, filled part, average price, slippage (fraction, positive is "
    "a loss), fees, and why one was refused. Stops are the core's own protective orders.",
    OrdersArguments,
    Action.READ_ORDERS,
    _orders,
)
