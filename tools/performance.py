"""What the account has come to."""

from __future__ import annotations

from tools.base import NoArguments, Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action


async def _performance(context: ToolContext, _: NoArguments) -> Facts:
    return await context.desk.performance()


GET_PERFORMANCE = Tool(
    "get_performance",
    "Equity now against what was paid in, profit realised and open, fees, drawdown (fraction), and what buying and holding the "
    "same symbols since the first run would have come to, where that is known.",
    NoArguments,
    Action.READ_PORTFOLIO,
    _performance,
)
