"""`limits`: every limit in force, and where its value comes from."""

from __future__ import annotations

import json
from decimal import Decimal

import typer

from api.commands.run import AsJson, Limit
from api.commands.run import Limits as LimitsFile
from api.commands.settings import effective_limits


def limits(limits: LimitsFile = None, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show the risk limits in force. Simulated markets run without approvals unless that limit is set."""
    from api.console.screen import output, table
    from api.console.text import exact

    found = effective_limits(limits, limit or [], simulated=False)
    rows = []
    for name, field in type(found.limits).model_fields.items():
        value: Decimal | int | None = getattr(found.limits, name)
        rows.append((name, "never" if value is None else exact(Decimal(value)), found.sources[name], field.description or ""))
    if as_json:
        keys = ("name", "value", "source", "description")
        typer.echo(
            json.dumps([dict(zip(keys, (row[0], row[1].replace(",", ""), *row[2:]), strict=True)) for row in rows], indent=2)
        )
        return
    made = table("Risk limits", "limit", "value", "source", "what it bounds", right=("value",))
    for row in rows:
        made.add_row(*row)
    output().print(made)
