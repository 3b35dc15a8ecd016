"""Every tool by name."""

from __future__ import annotations

from typing import Any

from tools.base import Tool
from tools.channels import GET_ONCHAIN, GET_SENTIMENT
from tools.market import GET_BARS, GET_INDICATORS, GET_TICKER
from tools.memory import GET_EXECUTION_QUALITY, GET_PAST_DECISIONS
from tools.portfolio import GET_OPEN_ORDERS, GET_PORTFOLIO, GET_POSITION
from tools.risk import GET_CORRELATIONS, GET_LIMITS, GET_VOLATILITIES
from tools.run import GET_APPROVED_ORDERS, GET_MARKET_VIEW, GET_PROPOSALS

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
