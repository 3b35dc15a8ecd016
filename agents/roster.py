"""The five agents of the desk."""

from __future__ import annotations

from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from agents.spec import AgentName, AgentSpec

MARKET_ANALYSIS = AgentSpec(
    name="market_analysis",
    answer=MarketView,
    opening=("get_ticker", "get_indicators", "get_sentiment", "get_onchain"),
    tools=("get_indicators", "get_bars"),
)

SIGNAL = AgentSpec(
    name="signal",
    answer=Signal,
    opening=("get_market_view", "get_ticker", "get_indicators", "get_position"),
    tools=("get_indicators", "get_bars", "get_past_decisions"),
)

RISK = AgentSpec(
    name="risk",
    answer=RiskPlan,
    opening=("get_proposals", "get_portfolio", "get_limits", "get_correlations"),
    tools=("get_position", "get_open_orders", "get_past_decisions"),
)

EXECUTION = AgentSpec(
    name="execution",
    answer=ExecutionPlan,
    opening=("get_approved_orders", "get_execution_quality"),
    tools=("get_ticker", "get_open_orders"),
)

REBALANCING = AgentSpec(
    name="rebalancing",
    answer=RebalancePlan,
    opening=("get_portfolio", "get_volatilities", "get_correlations", "get_limits"),
    tools=("get_position", "get_indicators"),
)

ROSTER: dict[AgentName, AgentSpec[Answer]] = {spec.name: spec for spec in (MARKET_ANALYSIS, SIGNAL, RISK, EXECUTION, REBALANCING)}
