"""Naive risk parity (Maillard, Roncalli, Teïletche 2010): weights inverse to volatility, the invested share unchanged."""

from __future__ import annotations

from agents.answers import RebalancePlan, TargetWeight
from agents.models.rules.facts import Facts, finite

LEAST_CHANGE = 0.05  # of equity; below it fees outweigh the mending
_NAMED = 10  # holdings that the reason names; all of them would outgrow it


def decide(facts: Facts) -> RebalancePlan:
    held, limits = facts.get("get_volatilities"), facts.get("get_limits")
    rows = held.values.get("held", []) if held.available else []
    known = all((finite(row.get("volatility")) or 0) > 0 and finite(row.get("weight")) is not None for row in rows)
    if not (rows and known and limits.available):
        return RebalancePlan(abstain=True, targets=[], turnover=0.0, reason="A weight, a volatility or the limits are missing.")
    invested = sum(row["weight"] for row in rows)
    total = sum(1 / row["volatility"] for row in rows)
    cap = float(limits.values.get("limits", {}).get("max_position", 1))
    # Until the sales have filled, the gate counts what is held: what has outgrown its limit comes down first.
    only_down = any(row["weight"] > cap for row in rows)
    changes = []
    for row in rows:
        target = min(invested / row["volatility"] / total, cap)
        if abs(target - row["weight"]) >= LEAST_CHANGE and not (only_down and target > row["weight"]):
            changes.append((row["symbol"], row["weight"], round(target, 4)))
    if not changes:
        return RebalancePlan(
            abstain=False,
            targets=[],
            turnover=0.0,
            reason="Every holding is near its equal-risk weight; changes would only cost fees.",
        )
    return RebalancePlan(
        abstain=False,
        targets=[TargetWeight(symbol=symbol, weight=target) for symbol, _, target in changes],
        turnover=round(sum(abs(target - weight) for _, weight, target in changes) / 2, 4),
        reason="Weights have drifted from equal risk: "
        + ", ".join(f"{symbol} from {weight:.4g} [{held.id}]" for symbol, weight, _ in changes[:_NAMED])
        + (" and others." if len(changes) > _NAMED else "."),
    )
