"""`runs`: what is on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import AsJson
from api.home import HomeContext, Ledger, shown_location

if TYPE_CHECKING:
    from api.ledgers import RunRow

_STATE_STYLE = {"waiting": "yellow", "failed": "red", "running": "cyan"}


def runs(
    ctx: HomeContext,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Most runs to list.")] = 20,
    database: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """List the newest runs of every session, and what waits for an operator. Conversations are left out."""
    from rich.text import Text

    from api.console.screen import output, table
    from api.ledgers import recent_runs
    from trading_core.domain.clock import iso

    rows = asyncio.run(recent_runs(ctx.obj, limit, database))
    if as_json:
        listed = [
            {
                "run": row.run.id,
                "as_of": iso(row.run.as_of),
                "state": row.run.state.value,
                "waits_for": list(row.pending),
                "error": row.run.error,
                "session": row.run.session_id,
                **_about(row),
            }
            for row in rows
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    console = output()
    if not rows:
        console.print(
            f"Nothing was run in {shown_location(database) if database else ctx.obj} yet. `algotrendy run` starts a session."
        )
        return
    made = table(
        "Runs, newest first",
        "run",
        "time UTC",
        "state",
        "waits for",
        "market",
        "model",
        right=("run", "time UTC"),
    )
    for row in rows:
        state = row.run.state.value
        about = _about(row)
        waits = ", ".join(intent[:12] for intent in row.pending) or row.run.error[:60]
        made.add_row(row.run.id, f"{row.run.as_of:%m-%d %H:%M}", Text(state, _STATE_STYLE.get(state, "")), waits, *about.values())
    console.print(made)


def _about(row: RunRow) -> dict[str, str]:
    config = row.session.config if row.session else {}
    model = config.get("model")
    venue = f" {config['venue']}" if config.get("venue") else ""
    return {
        "market": f"{config.get('market', 'unknown')}{venue}",
        "model": str(model.get("model")) if isinstance(model, Mapping) else "unknown",
    }
