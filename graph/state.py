"""What a trading cycle carries from node to node. All of it survives a checkpoint with its types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypedDict, TypeVar

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from agents.answers import ExecutionPlan, MarketView, RebalancePlan, RiskPlan, RiskVerdict, Signal, TargetWeight, WorkingChoice
from trading_core.domain.intents import TradeIntent, Verdict
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.execution.forms import WorkingStyle

T = TypeVar("T")

# The only classes of ours that a checkpoint may bring back to life.
_CHECKPOINTED: tuple[type[Any], ...] = (
    MarketView,
    Signal,
    RiskPlan,
    RiskVerdict,
    ExecutionPlan,
    WorkingChoice,
    RebalancePlan,
    TargetWeight,
    TradeIntent,
    Verdict,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
    WorkingStyle,
)


def serializer() -> JsonPlusSerializer:
    """Strict: anything else in a checkpoint file is refused, so a tampered file runs no code."""
    return JsonPlusSerializer(allowed_msgpack_modules=[(cls.__module__, cls.__name__) for cls in _CHECKPOINTED])


def merge(left: dict[str, T], right: dict[str, T]) -> dict[str, T]:
    """Branches that ran side by side each add their own symbols."""
    return {**left, **right}


class CycleState(TypedDict, total=False):
    """One run of the trading cycle.

    Attributes:
        only: the symbols that were asked for; empty or missing for all of the session's.
        symbols: those of them with enough data to look at.
        rebalance: whether drift or the schedule asks for it.
        views, signals: by symbol; a symbol whose agent abstained is missing.
        rebalancing: the plan, when there is one that may trade.
        sizes: the risk agent's verdicts by symbol.
        intents: what the gate was asked, in that order; `verdicts` what it said, by intent id.
        orders: client order ids of what was sent.
    """

    run_id: str
    as_of: datetime
    only: list[str]
    snapshot_hash: str
    symbols: list[str]
    rebalance: bool
    views: Annotated[dict[str, MarketView], merge]
    signals: Annotated[dict[str, Signal], merge]
    rebalancing: RebalancePlan | None
    sizes: dict[str, RiskVerdict]
    intents: list[TradeIntent]
    verdicts: dict[str, Verdict]
    orders: list[str]


class SymbolTask(TypedDict):
    """What one branch is given: LangGraph hands it to the node instead of the whole state."""

    run_id: str
    snapshot_hash: str
    symbol: str
    view: MarketView | None
