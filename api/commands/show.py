"""`show`: the whole trail of one run."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from api.commands.options import AsJson
from api.home import HomeContext, Ledger


def show(
    ctx: HomeContext,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, the beginning of one, or `last`.")] = "last",
    database: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run knew, what each agent decided on which evidence, what the gate said, and what was traded."""
    from pydantic import TypeAdapter

    from api.console.screen import output
    from api.console.trail import show_trail
    from api.ledgers import FoundRun, find_run
    from trading_core.persistence.records import RunTrail
    from trading_core.persistence.session import Database

    async def read() -> tuple[FoundRun, RunTrail]:
        found = await find_run(ctx.obj, run_id, database)
        async with await Database.open(found.folders.ledger) as opened, opened.reading() as uow:
            return found, await uow.runs.whole(found.run.id)

    found, trail = asyncio.run(read())
    if as_json:
        content = TypeAdapter(RunTrail).dump_python(trail, mode="json")
        typer.echo(json.dumps({**content, "session": dict(found.session.config)}, indent=2))
        return
    show_trail(output(), trail, found.session)
