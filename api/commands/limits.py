"""`limits`: every limit in force, and where its value comes from."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import AsJson, Limit
from api.commands.options import Limits as LimitsFile
from api.commands.settings import effective_limits

if TYPE_CHECKING:
    from trading_core.risk.limits import LimitValue


Account = Annotated[str, typer.Option(metavar="NAME", help="With what the file says of this account.")]
Strategy = Annotated[str, typer.Option(metavar="NAME", help="With what the file says of this strategy.")]


def limits(
    limits: LimitsFile = None, limit: Limit = None, account: Account = "", strategy: Strategy = "", as_json: AsJson = False
) -> None:
    """Show the risk limits in force. Simulated markets run without approvals unless that limit is set."""
    from api.console.screen import output, table
    from api.console.text import clean, exact
    from trading_core.risk.limits import written

    found = effective_limits(limits, limit or [], simulated=False)
    bound, sources = found.book.of(account, strategy), found.sources_of(account, strategy)
    rows = []
    for name, field in type(bound).model_fields.items():
        value: LimitValue = getattr(bound, name)
        shown = written(value) if value is None or isinstance(value, bool) else exact(Decimal(value))
        rows.append((name, shown, sources[name], field.description or ""))
    if as_json:
        keys = ("name", "value", "source", "description")
        typer.echo(
            json.dumps([dict(zip(keys, (row[0], row[1].replace(",", ""), *row[2:]), strict=True)) for row in rows], indent=2)
        )
        return
    named = [f"{kind} {clean(name)}" for kind, name in (("account", account), ("strategy", strategy)) if name]
    title = "Risk limits of " + ", ".join(named) if named else "Risk limits"
    made = table(title, "limit", "value", "source", "what it bounds", right=("value",))
    for row in rows:
        made.add_row(*row)
    output().print(made)
    for kind, name, tables in (("account", account, found.book.account), ("strategy", strategy, found.book.strategy)):
        if name and name not in tables:
            output().print(f"No table for {kind} {clean(name)}: what binds everybody binds it.")
