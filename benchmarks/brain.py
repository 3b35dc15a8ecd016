"""What the benchmark's model server answers: sensible, ungrounded in nothing, and such that every agent is asked.

It reads the conversation as a model would and enters every symbol that is not held, so that the whole path is walked.
Its reasons state no numbers: there is nothing in them that evidence could fail to hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.model_server import Body, Reply, answer

Facts = dict[str, dict[str, Any]]
"""Tool results of a conversation, by tool."""

STOP_DISTANCE = 0.05  # fraction of the price; well outside the noise of an hourly bar
RISK_FRACTION = 0.01
REDUCED = 0.5  # of each weight: far enough from the present one that the core trades it


def brain(body: Body) -> Reply:
    """The answer to one chat request, by the schema it asks for."""
    return answer(_ANSWERS[asked_schema(body)](_facts(body)))


def waiting(body: Body) -> Reply:
    """The same, save that nothing is entered."""
    content = _ANSWERS[asked_schema(body)](_facts(body))
    return answer({**content, "action": "hold", "stop_price": None} if asked_schema(body) == "Signal" else content)


def asked_schema(body: Body) -> str:
    """Name of the answer schema, such as `MarketView`."""
    return str(body["response_format"]["json_schema"]["name"])


def _facts(body: Body) -> Facts:
    names = {call["id"]: call["function"]["name"] for message in body["messages"] for call in message.get("tool_calls") or ()}
    results = [message for message in body["messages"] if message["role"] == "tool"]
    return {names[message["tool_call_id"]]: json.loads(message["content"]) for message in results}


def _market_view(facts: Facts) -> dict[str, object]:
    available = facts["get_indicators"]["available"]
    return {
        "abstain": not available,
        "trend": "up",
        "regime": "trending",
        "sentiment": "unavailable",
        "onchain": "unavailable",
        "support": None,
        "resistance": None,
        "confidence": 0.6,
        "reason": "The averages stand in rising order and momentum agrees with them.",
    }


def _signal(facts: Facts) -> dict[str, object]:
    enters = not facts["get_position"]["held"]
    price = facts["get_ticker"]["last"]
    return {
        "action": "enter" if enters else "hold",
        "order_type": "market",
        "limit_price": None,
        "stop_price": round(price * (1 - STOP_DISTANCE), 8) if enters else None,
        "conviction": 0.6,
        "reason": "The trend is up and the stop lies outside the ordinary noise." if enters else "The trend goes on.",
    }


def _risk(facts: Facts) -> dict[str, object]:
    proposals = facts["get_proposals"]
    entries = [row["symbol"] for row in proposals["signals"]]
    moves = [row["symbol"] for row in proposals["rebalancing"] if row["symbol"] not in entries]
    verdicts = [
        {"symbol": symbol, "verdict": "take", "risk_fraction": fraction, "reason": "Within every limit."}
        for symbols, fraction in ((entries, RISK_FRACTION), (moves, 0))
        for symbol in symbols
    ]
    return {"abstain": False, "verdicts": verdicts, "reason": "The account is active and far from its limits."}


def _execution(facts: Facts) -> dict[str, object]:
    orders = [
        {"symbol": order["symbol"], "style": "now", "reason": "The spread is small."}
        for order in facts["get_approved_orders"]["orders"]
    ]
    return {"abstain": False, "orders": orders, "reason": "Small orders in liquid markets."}


def _rebalancing(facts: Facts) -> dict[str, object]:
    weights = {row["symbol"]: row["weight"] for row in facts["get_portfolio"]["holdings"]}
    targets = [{"symbol": symbol, "weight": round(weight * REDUCED, 6)} for symbol, weight in weights.items()]
    turnover = round(sum(weights.values()) * (1 - REDUCED) / 2, 6)
    return {"abstain": False, "targets": targets, "turnover": turnover, "reason": "Less of everything at equal risk."}


_ANSWERS: dict[str, Callable[[Facts], dict[str, object]]] = {
    "MarketView": _market_view,
    "Signal": _signal,
    "RiskPlan": _risk,
    "ExecutionPlan": _execution,
    "RebalancePlan": _rebalancing,
}
