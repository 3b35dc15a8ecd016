"""What the other agents of the same run have answered, and what the gate approved."""

from __future__ import annotations

from tools.base import NoArguments, SymbolArguments, Tool
from tools.context import Facts, ToolContext
from trading_core.auth.permissions import Action


async def _market_view(context: ToolContext, arguments: SymbolArguments) -> Facts:
    symbol = context.snapshot.known(arguments.symbol)
    return context.upstream.get(f"market_analysis:{symbol}", {"symbol": symbol, "abstained": True})


async def _proposals(context: ToolContext, _: NoArguments) -> Facts:
    return context.upstream.get("proposals", {"signals": [], "rebalancing": []})


async def _approved(context: ToolContext, _: NoArguments) -> Facts:
    return context.upstream.get("approved", {"orders": []})


GET_MARKET_VIEW = Tool(
    "get_market_view",
    "The market analysis agent's view of a symbol in this run.",
    SymbolArguments,
    Action.READ_MARKET,
    _market_view,
)
GET_PROPOSALS = Tool(
    "get_proposals",
    "What the signal and rebalancing agents want in this run, each with its current price, stop distance and reason.",
    NoArguments,
    Action.READ_RISK,
    _proposals,
)
GET_APPROVED_ORDERS = Tool(
    "get_approved_orders",
    "Orders the gate has approved and that wait to be worked: side, quantity, spread, worst price, share of recent volume.",
    NoArguments,
    Action.READ_ORDERS,
    _approved,
)
