"""The five agents of the desk."""

from __future__ import annotations

from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, Signal
from agents.spec import AgentName, AgentSpec
from trading_core.auth.permissions import Action

MARKET_ANALYSIS = AgentSpec(
    name="market_analysis",
    answer=MarketView,
    opening=("get_ticker", "get_indicators", "get_sentiment", "get_onchain"),
    tools=("get_indicators", "get_bars"),
    actions=frozenset({Action.READ_MARKET, Action.READ_CHANNELS}),
)

SIGNAL = AgentSpec(
    name="signal",
    answer=Signal,
    opening=("get_market_view", "get_ticker", "get_indicators", "get_position"),
    tools=("get_indicators", "get_bars", "get_past_decisions"),
    actions=frozenset({Action.READ_MARKET, Action.READ_PORTFOLIO, Action.READ_RECORD}),
)

# The risk agent gives a signal its size, so it is the one that proposes what signals want.
_PROPOSES = (Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT)

RISK = AgentSpec(
    name="risk",
    answer=RiskPlan,
    opening=("get_proposals", "get_portfolio", "get_limits", "get_correlations"),
    tools=("get_position", "get_open_orders", "get_past_decisions"),
    actions=frozenset({Action.READ_RISK, Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RECORD, *_PROPOSES}),
)

EXECUTION = AgentSpec(
    name="execution",
    answer=ExecutionPlan,
    opening=("get_approved_orders", "get_execution_quality"),
    tools=("get_ticker", "get_open_orders"),
    actions=frozenset({Action.READ_ORDERS, Action.READ_MARKET, Action.SUBMIT}),
)

REBALANCING = AgentSpec(
    name="rebalancing",
    answer=RebalancePlan,
    opening=("get_portfolio", "get_volatilities", "get_correlations", "get_limits"),
    tools=("get_position", "get_indicators"),
    actions=frozenset({Action.READ_PORTFOLIO, Action.READ_RISK, Action.READ_MARKET, Action.PROPOSE_REBALANCE}),
)

ROSTER: dict[AgentName, AgentSpec[Answer]] = {spec.name: spec for spec in (MARKET_ANALYSIS, SIGNAL, RISK, EXECUTION, REBALANCING)}
