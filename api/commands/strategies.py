"""`strategies`: what was followed, version by version."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.database import Location
from api.commands.options import AsJson, Session
from api.home import HomeContext

if TYPE_CHECKING:
    from pathlib import Path

    from trading_core.persistence.records import StrategyVersion

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Every version of this one, not only the newest of each.")]


def strategies(
    ctx: HomeContext,
    name: Name = None,
    session: Session = None,
    database: Location = None,
    as_json: AsJson = False,
) -> None:
    """List the strategies that were followed (`run --strategy NAME`), and what each was made of."""
    from api.console.screen import output, table
    from api.console.text import clean

    found = asyncio.run(_read(ctx.obj, name, session, database))
    if as_json:
        keys = ("name", "version", "config", "created_by")
        rows = [{**{key: getattr(one, key) for key in keys}, "created_at": one.created_at.isoformat()} for one in found]
        typer.echo(json.dumps(rows, indent=2))
        return
    made = table("Strategies", "name", "version", "since UTC", "by", "made of", right=("version",))
    for one in found:
        since = f"{one.created_at:%Y-%m-%dT%H:%M:%S}"
        made.add_row(clean(one.name), str(one.version), since, clean(one.created_by), clean(json.dumps(one.config)))
    output().print(made if found else "No strategy is on record. `algotrendy run --strategy NAME` follows one.")


async def _read(home: Path, name: str | None, prefix: str | None, url: str | None) -> tuple[StrategyVersion, ...]:
    from api.ledgers import find_session
    from trading_core.persistence.session import Database

    location = url if url and prefix is None else (await find_session(home, prefix, url)).folders.ledger
    async with await Database.open(location) as opened, opened.reading() as uow:
        return await (uow.strategies.versions(name) if name else uow.strategies.newest())
