"""Every tool by name: those that agents of a cycle may be given, and those for talking with an operator."""

from __future__ import annotations

from typing import Any

from tools.base import Tool
from tools.channels import GET_ONCHAIN, GET_SENTIMENT
from tools.decisions import EXPLAIN_DECISION
from tools.market import GET_BARS, GET_INDICATORS, GET_TICKER
from tools.memory import GET_EXECUTION_QUALITY, GET_PAST_DECISIONS
from tools.orders import GET_ORDERS
from tools.performance import GET_PERFORMANCE
from tools.portfolio import GET_OPEN_ORDERS, GET_PORTFOLIO, GET_POSITION
from tools.proposals import PROPOSE_ORDER
from tools.risk import GET_CORRELATIONS, GET_LIMITS, GET_RISK_STATE, GET_VOLATILITIES
from tools.run import GET_APPROVED_ORDERS, GET_MARKET_VIEW, GET_PROPOSALS
from tools.what_if import WHAT_IF

TOOLS: dict[str, Tool[Any]] = {
    tool.name: tool
    for tool in (
        GET_TICKER,
        GET_INDICATORS,
        GET_BARS,
        GET_PORTFOLIO,
        GET_POSITION,
        GET_OPEN_ORDERS,
        GET_SENTIMENT,
        GET_ONCHAIN,
        GET_LIMITS,
        GET_CORRELATIONS,
        GET_VOLATILITIES,
        GET_PAST_DECISIONS,
        GET_EXECUTION_QUALITY,
        GET_MARKET_VIEW,
        GET_PROPOSALS,
        GET_APPROVED_ORDERS,
    )
}

# They read the record as it is now, so no cycle has them: what a cycle may know is fixed in its snapshot.
OPERATOR_TOOLS: dict[str, Tool[Any]] = {
    tool.name: tool for tool in (GET_ORDERS, GET_PERFORMANCE, EXPLAIN_DECISION, GET_RISK_STATE, PROPOSE_ORDER)
}

CHAT_TOOLS: dict[str, Tool[Any]] = {**TOOLS, **OPERATOR_TOOLS, WHAT_IF.name: WHAT_IF}
