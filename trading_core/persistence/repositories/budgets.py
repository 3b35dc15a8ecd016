"""How a budget is kept in a row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from trading_core.persistence.desk_records import Budget

_PREFIX = "budget_"


def with_budget_columns(record: dict[str, Any]) -> dict[str, Any]:
    """A record's columns with one for each bound of its budget."""
    budget: Budget = record["budget"]
    bounds = {"budget_tokens": budget.tokens, "budget_cost": budget.cost, "budget_orders": budget.orders}
    return {name: value for name, value in record.items() if name != "budget"} | bounds


def with_budget(row: RowMapping) -> dict[str, Any]:
    """The other way round."""
    budget = Budget(row["budget_tokens"], row["budget_cost"], row["budget_orders"])
    return {name: value for name, value in row.items() if not name.startswith(_PREFIX)} | {"budget": budget}
