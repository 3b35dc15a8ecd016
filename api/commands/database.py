"""`db upgrade`, `downgrade`, `current`, `check`, `seed` and `prune`: the tables of a database, and whether it is sound."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import FAILED, AsJson
from api.home import DATABASE_VARIABLE, HomeContext

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from trading_core.persistence.checkup import Checkup

Location = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar=DATABASE_VARIABLE,
        help="A path, or postgresql://… (the variable keeps a password from other users' eyes). Default: the live desk's ledger, "
        "else the one written last.",
    ),
]

db = typer.Typer(name="db", no_args_is_help=True, help="The tables of a database, and whether it is sound.")


@db.command()
def upgrade(
    ctx: HomeContext,
    revision: Annotated[str, typer.Argument(metavar="REVISION")] = "head",
    database: Location = None,
) -> None:
    """Bring the tables up to a revision, the newest by default. A SQLite file is made when it is not there."""
    asyncio.run(_upgrade(_url(ctx.obj, database), revision))


@db.command()
def downgrade(
    ctx: HomeContext,
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="`base` removes every table.")],
    database: Location = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Bring the tables down to a revision. What newer revisions brought is removed, and the data in it."""
    from trading_core.persistence.engines import shown

    url = _url(ctx.obj, database)
    before = asyncio.run(_current(url))
    if before is None:
        typer.echo(f"{shown(url)} has no tables.")
        return
    question = f"Going from {before} to {revision} removes tables and columns of {shown(url)}, and all that is in them. Go on?"
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(FAILED)
    asyncio.run(_downgrade(url, revision))


@db.command()
def current(ctx: HomeContext, database: Location = None) -> None:
    """Show the revision of the tables, and the newest there is."""
    from trading_core.persistence.migrate import newest

    found = asyncio.run(_current(_url(ctx.obj, database)))
    typer.echo(f"{found or 'no tables'}, newest {newest()}")


@db.command()
def check(ctx: HomeContext, database: Location = None, as_json: AsJson = False) -> None:
    """Compare the tables with the code, and look for damage. Exit status 1 when anything does not hold."""
    found = asyncio.run(_check(_url(ctx.obj, database)))
    if as_json:
        document = {"holds": found.holds, "revision": found.revision, "newest": found.newest}
        typer.echo(json.dumps(document | {"drift": list(found.drift), "damage": list(found.damage)}, indent=2))
    else:
        for line in _told(found):
            typer.echo(line)
    if not found.holds:
        raise typer.Exit(FAILED)


@db.command()
def seed(ctx: HomeContext, database: Location = None) -> None:
    """Fill an empty database with development data: a paper account, its runs, orders and fills, and an approval that waits.

    It is a session of its own, which every other command finds: in the home folder, or with the same --database.
    """
    asyncio.run(_seed(ctx.obj, database))


@db.command()
def prune(
    ctx: HomeContext,
    older_than: Annotated[int, typer.Option("--older-than", metavar="DAYS", min=1, help="How long events are kept.")] = 90,
    database: Location = None,
) -> None:
    """Take out what only helped to follow runs: their event logs, and model answers kept to go on with a conversation's turn.

    Decisions, evidence, orders, fills, messages and the audit trail stay.
    """
    asyncio.run(_prune(_where(ctx.obj, database), older_than))


def _where(home: Path, location: str | None) -> str | Path:
    from graph.folders import Folders

    desk = Folders(home, home / "desk")
    known = sorted(Folders.all_in(home), key=lambda each: each != desk)
    return location or (known or [desk])[0].ledger


def _url(home: Path, location: str | None) -> URL:
    from trading_core.persistence.engines import parse_location

    return parse_location(_where(home, location))


def _existing(url: URL) -> AbstractAsyncContextManager[AsyncEngine]:
    """An engine for a database that must be there: looking must not make one."""
    from pathlib import Path

    from trading_core.domain.errors import ConfigurationError
    from trading_core.persistence.engines import shown
    from trading_core.persistence.migrate import migrating

    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise ConfigurationError(
            f"there is no database {shown(url)!r}",
            not_done="Nothing was done",
            next_step="Give --database, or make it with `db upgrade`",
        )
    return migrating(url)


async def _current(url: URL) -> str | None:
    from trading_core.persistence import migrate

    async with _existing(url) as engine:
        return await migrate.current(engine)


async def _upgrade(url: URL, revision: str) -> None:
    from trading_core.persistence import migrate

    async with migrate.migrating(url) as engine:
        before = await migrate.current(engine)
        await migrate.upgrade(engine, revision)
        _tell_move(before, await migrate.current(engine))


async def _downgrade(url: URL, revision: str) -> None:
    from trading_core.persistence import migrate

    async with _existing(url) as engine:
        before = await migrate.current(engine)
        await migrate.downgrade(engine, revision)
        _tell_move(before, await migrate.current(engine))


def _tell_move(before: str | None, after: str | None) -> None:
    was, now = (revision or "no tables" for revision in (before, after))
    typer.echo(f"at {now} already" if was == now else f"from {was} to {now}")


async def _prune(where: str | Path, days: int) -> None:
    from datetime import timedelta

    from graph.conversation.answering import OF_A_TURN
    from trading_core.domain.clock import SystemClock
    from trading_core.persistence.engines import parse_location
    from trading_core.persistence.session import Database

    before = SystemClock().now() - timedelta(days=days)
    async with _existing(parse_location(where)):
        pass  # or opening it would make one
    async with await Database.open(where) as database, database.transaction() as uow:
        events, kept = await uow.events.prune(before), await uow.answers.prune(OF_A_TURN, before)
    typer.echo(f"{events} events and {kept} answers from before {before:%Y-%m-%d %H:%M} UTC were taken out")


async def _check(url: URL) -> Checkup:
    from trading_core.persistence import checkup

    async with _existing(url) as engine:
        return await checkup.check(engine)


def _told(found: Checkup) -> list[str]:
    if found.revision != found.newest:
        return [f"revision  {found.revision or 'no tables'}, newest {found.newest}: `db upgrade` brings it there"]
    return [
        f"revision  {found.revision}, the newest",
        *(f"drift     {each}" for each in found.drift or ("none: the tables are those of the code",)),
        *(f"damage    {each}" for each in found.damage or ("none: every reference and page holds",)),
    ]


async def _seed(home: Path, location: str | None) -> None:
    import shutil

    from api import seeding
    from graph.folders import Folders
    from trading_core.brokers.paper.store import PaperStore
    from trading_core.domain.errors import ConfigurationError
    from trading_core.persistence import checkup
    from trading_core.persistence.engines import parse_location, shown
    from trading_core.persistence.migrate import migrating, upgrade
    from trading_core.persistence.session import Database

    folders = Folders.of(home, seeding.CONFIG, location)
    url = parse_location(folders.ledger)
    async with migrating(url) as engine:
        await upgrade(engine)
        if not await checkup.is_empty(engine):
            raise ConfigurationError(
                f"the database {shown(url)!r} is not empty",
                not_done="Nothing was written",
                next_step="Give another one: development data is never mixed with other data",
            )
    if location is not None:
        shutil.rmtree(folders.session, ignore_errors=True)  # the other side of what the database held before it was emptied
        folders.session.mkdir(parents=True)
    async with await Database.open(folders.ledger) as database:
        await seeding.seed(database, PaperStore(folders.paper), folders.account)
    typer.echo(f"{shown(url)} holds session {seeding.CONFIG.session_id}")
