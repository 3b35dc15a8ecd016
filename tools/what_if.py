"""What the account would be worth at other prices: arithmetic over what is held, and no forecast."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, Field

from tools.base import Tool
from tools.context import Facts, ToolContext, number
from trading_core.auth.permissions import Action
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Purpose


class WhatIfArguments(BaseModel):
    symbol: str = Field(default="", max_length=30, description="whose price moves; empty for the prices of all that is held")
    change_percent: float = Field(gt=-100, le=1000, allow_inf_nan=False, description="-20 for a fall by a fifth")


async def _what_if(context: ToolContext, arguments: WhatIfArguments) -> Facts:
    snapshot = context.snapshot
    moved = snapshot.known(arguments.symbol) if arguments.symbol else ""
    equity = snapshot.portfolio.equity(snapshot.prices)  # refused without the price of every holding
    factor = 1 + Decimal(str(arguments.change_percent)) / 100
    before = after = ZERO
    rows: list[Facts] = []
    for symbol, position in snapshot.portfolio.held().items():
        price = snapshot.prices[symbol]
        worth = position.value(price)
        changed = worth * factor if moved in ("", symbol) else worth
        before, after = before + worth, after + changed
        if moved in ("", symbol):
            stops = [o.request.stop_price for o in snapshot.open_orders if o.symbol == symbol and o.purpose is Purpose.STOP]
            stop = max((found for found in stops if found is not None), default=None)
            rows.append(
                {
                    "symbol": symbol,
                    "price": number(price),
                    "price_then": number(price * factor),
                    "value": number(worth),
                    "value_then": number(changed),
                    "stop_price": number(stop),
                    "stop_comes_first": stop is not None and price * factor <= stop,
                    "value_at_stop": None if stop is None else number(position.value(stop)),
                }
            )
    return {
        "moved": moved or "all that is held",
        "change_percent": arguments.change_percent,
        "currency": snapshot.portfolio.currency,
        "equity": number(equity),
        "equity_then": number(equity + after - before),
        "difference": number(after - before),
        "difference_of_equity": number((after - before) / equity) if equity > 0 else None,
        "holdings": rows,
    }


WHAT_IF = Tool(
    "what_if",
    "What the account would be worth if a price, or all prices of what is held, changed by so many percent: without the stops, "
    "and for each holding whether its stop would be reached first and what it would be worth there. Arithmetic, no forecast.",
    WhatIfArguments,
    Action.READ_PORTFOLIO,
    _what_if,
)
