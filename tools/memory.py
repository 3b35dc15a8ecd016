"""What the record says of earlier runs."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tools.base import NoArguments, Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action


class PastDecisionsArguments(BaseModel):
    symbol: str = Field(max_length=30)
    limit: int = Field(default=5, ge=1, le=20)


async def _past_decisions(context: ToolContext, arguments: PastDecisionsArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol)
    return {"symbol": symbol, "decisions": await context.record.past_decisions(symbol, arguments.limit)}


async def _execution_quality(context: ToolContext, _: NoArguments) -> Facts:
    return {"orders": await context.record.execution_quality(5)}


GET_PAST_DECISIONS = Tool(
    "get_past_decisions",
    "Earlier signals for a symbol and what came of them, newest first.",
    PastDecisionsArguments,
    Action.READ_RECORD,
    _past_decisions,
)
GET_EXECUTION_QUALITY = Tool(
    "get_execution_quality",
    "The last orders: slippage against the arrival price (fraction, positive is a loss), fill ratio, fees.",
    NoArguments,
    Action.READ_ORDERS,
    _execution_quality,
)
