"""Take the market when it is tight and deep enough, post when the spread is wide, refuse to be the whole volume."""

from __future__ import annotations

from agents.answers import ExecutionPlan, WorkingChoice
from agents.models.rules.facts import Facts, finite

WIDE_SPREAD = 20.0  # basis points
TOO_LARGE = 0.10  # of a recent bar's volume


def decide(facts: Facts) -> ExecutionPlan:
    approved = facts.get("get_approved_orders")
    if not approved.available:
        return ExecutionPlan(abstain=True, orders=[], reason="The approved orders cannot be read.")
    choices = []
    for row in {row["symbol"]: row for row in approved.values.get("orders", [])}.values():
        spread, share = finite(row.get("spread_bps")), finite(row.get("share_of_bar_volume"))
        if row.get("side") == "sell":
            style, why = "now", "A sale takes risk off and does not wait."
        elif spread is None or share is None:
            style, why = "skip", "Spread or volume is unknown."
        elif share > TOO_LARGE:
            style, why = "skip", "The order would be too large a part of a recent bar's volume."
        elif spread > WIDE_SPREAD:
            style, why = "passive", "The spread is wide: post and wait."
        else:
            style, why = "now", "The spread is small and the order is small against recent volume."
        choices.append(WorkingChoice.model_validate({"symbol": row["symbol"], "style": style, "reason": why}))
    return ExecutionPlan(
        abstain=False, orders=choices, reason="Each order by its spread, its size against volume, and its urgency."
    )
