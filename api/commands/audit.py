"""`audit verify`, `audit list` and `audit export`: who changed what, and proof that the record of it is whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.approvals import operator_name
from api.commands.database import Location
from api.commands.options import FAILED, AsJson, Session
from api.home import HomeContext

if TYPE_CHECKING:
    from pathlib import Path

    from trading_core.audit.chain import AuditRow
    from trading_core.audit.verify import AuditVerdict
    from trading_core.persistence.repositories.audit import AuditFilter
    from trading_core.persistence.session import Database

audit = typer.Typer(name="audit", no_args_is_help=True, help="Who changed what, and proof that the record of it is whole.")

Since = Annotated[str | None, typer.Option(metavar="TIME", help="From this date or time on (ISO 8601, UTC).")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this date or time.")]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Only what this actor did.")]
Action = Annotated[str | None, typer.Option(metavar="ACTION", help="Only this action, such as risk.halted.")]
Subject = Annotated[str | None, typer.Option(metavar="ID", help="Only what was done to this account, order, user and so on.")]


class Format(StrEnum):
    """How `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"


@audit.command()
def verify(
    ctx: HomeContext,
    head: Annotated[str | None, typer.Option(metavar="HASH", help="The head that an earlier export printed.")] = None,
    session: Session = None,
    database: Location = None,
    as_json: AsJson = False,
) -> None:
    """Work out every hash again and name each row that was changed, removed or put in. Exit status 1 when there is one."""
    faults: list[str] = []
    verdict = asyncio.run(_verify(ctx.obj, session, database, head, faults.append if as_json else typer.echo))
    stands = {"sequence": verdict.head.sequence, "hash": verdict.head.hash} if verdict.head else None
    if as_json:
        typer.echo(json.dumps({"holds": verdict.holds, "rows": verdict.rows, "head": stands, "faults": faults}, indent=2))
    else:
        said = "the chain holds" if verdict.holds else f"the chain is broken (findings: {verdict.faults})"
        typer.echo(f"{verdict.rows} rows: {said}; head {verdict.head.hash if verdict.head else 'gone'}")
    if not verdict.holds:
        raise typer.Exit(FAILED)


@audit.command("list")
def list_rows(
    ctx: HomeContext,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Most rows to list.")] = 20,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    action: Action = None,
    subject: Subject = None,
    session: Session = None,
    database: Location = None,
    as_json: AsJson = False,
) -> None:
    """List the newest rows."""
    from api.console.screen import output, table
    from api.console.text import clean
    from trading_core.audit.export import json_line
    from trading_core.audit.verify import audit_trail
    from trading_core.auth.permissions import operator

    async def read() -> list[AuditRow]:
        async with _opened(ctx.obj, session, database) as opened, audit_trail(operator(operator_name()), opened) as trail:
            return list(await trail.newest(limit, _filter(since, until, actor, action, subject)))

    rows = asyncio.run(read())
    if as_json:
        for row in rows:
            typer.echo(json_line(row), nl=False)
        return
    made = table("Audit trail, newest first", "row", "time UTC", "actor", "action", "subject", "change", right=("row",))
    for row in rows:
        change = f"{row.before} → {row.after}" if row.before and row.after else row.after or row.before or ""
        subject_shown = f"{row.subject_kind} {row.subject_id}"
        made.add_row(
            str(row.sequence), f"{row.at[:19]}", *(clean(text) for text in (row.actor, row.action, subject_shown, change))
        )
    output().print(made)


@audit.command()
def export(
    ctx: HomeContext,
    form: Annotated[
        Format, typer.Option("--format", help="JSON Lines can be verified again; CSV is for spreadsheets.")
    ] = Format.JSONL,
    since: Since = None,
    until: Until = None,
    actor: Actor = None,
    action: Action = None,
    subject: Subject = None,
    session: Session = None,
    database: Location = None,
) -> None:
    """Write the rows to standard output, oldest first, and the head to keep elsewhere to standard error."""
    from trading_core.audit.export import csv_heading, csv_line, json_line
    from trading_core.audit.verify import audit_trail
    from trading_core.auth.permissions import operator

    async def write() -> str:
        line = csv_line if form is Format.CSV else json_line
        async with _opened(ctx.obj, session, database) as opened, audit_trail(operator(operator_name()), opened) as trail:
            if form is Format.CSV:
                typer.echo(csv_heading(), nl=False)
            async for row in trail.walk(_filter(since, until, actor, action, subject)):
                typer.echo(line(row), nl=False)
            head = await trail.head()
        return f"head of row {head.sequence}: {head.hash}" if head else "the head is gone: run `algotrendy audit verify`"

    typer.echo(asyncio.run(write()), err=True)


async def _verify(
    home: Path, prefix: str | None, url: str | None, anchor: str | None, tell: Callable[[str], object]
) -> AuditVerdict:
    from trading_core.audit.verify import verify_audit
    from trading_core.auth.permissions import operator

    async with _opened(home, prefix, url) as database:
        return await verify_audit(operator(operator_name()), database, lambda fault: tell(str(fault)), anchor=anchor)


@asynccontextmanager
async def _opened(home: Path, prefix: str | None, url: str | None) -> AsyncIterator[Database]:
    from api.ledgers import find_session
    from graph.folders import desk_ledger
    from trading_core.persistence.session import Database

    location: Path | str | None = None
    if prefix is None:
        location = url or desk_ledger(home)
    async with await Database.open(location or (await find_session(home, prefix, url)).folders.ledger) as database:
        yield database


def _filter(since: str | None, until: str | None, actor: str | None, action: str | None, subject: str | None) -> AuditFilter:
    from api.commands.settings import instant
    from trading_core.persistence.repositories.audit import AuditFilter

    return AuditFilter(instant(since, "--since"), instant(until, "--until"), actor, action, subject)
