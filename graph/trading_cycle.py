"""The trading cycle: snapshot, two agents per symbol side by side, rebalancing, risk, gate, approval, execution, record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph import nodes
from graph.context import CycleContext
from graph.state import CycleState

_NODES: dict[str, Callable[..., Any]] = {
    "snapshot": nodes.snapshot,
    "market_analysis": nodes.market_analysis,
    "signal": nodes.signal,
    "rebalancing": nodes.rebalancing,
    "risk": nodes.risk,
    "gate": nodes.gate,
    "approval": nodes.approval,
    "execution": nodes.execution,
    "record": nodes.record,
}


def build(checkpointer: Any = None) -> CompiledStateGraph[CycleState, CycleContext, CycleState, CycleState]:
    """The compiled cycle."""
    graph = StateGraph(CycleState, context_schema=CycleContext)
    for name, node in _NODES.items():
        graph.add_node(name, cast(Any, node))
    graph.add_edge(START, "snapshot")
    graph.add_conditional_edges("snapshot", nodes.fan_out, ["market_analysis", "rebalancing", "record"])
    graph.add_node("views", _join)
    graph.add_edge("market_analysis", "views")
    graph.add_conditional_edges("views", nodes.to_signals, ["signal"])
    # A list edge waits for both; a plain one would let risk start as soon as rebalancing is done.
    graph.add_edge(["signal", "rebalancing"], "risk")
    graph.add_edge("risk", "gate")
    graph.add_edge("gate", "approval")
    graph.add_edge("approval", "execution")
    graph.add_edge("execution", "record")
    graph.add_edge("record", END)
    return graph.compile(checkpointer=checkpointer, name="trading_cycle")


async def _join(state: CycleState) -> CycleState:
    """Where the views of all symbols meet before the signals start."""
    del state
    return {}
