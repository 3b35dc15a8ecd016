"""`pause`, `unpause` and `pauses`: stop an agent, a symbol, a schedule or every cycle until somebody lifts it. `halt` is another
thing: it stops trading in the core.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import AsJson
from api.desk_database import DeskLocation, desk_database, person_on
from api.home import HomeContext
from trading_core.persistence.desk_records import PauseKind

if TYPE_CHECKING:
    from graph.control.pauses import Pauses
    from trading_core.auth.permissions import Principal
    from trading_core.persistence.desk_records import Pause
    from trading_core.persistence.session import Database

What = Annotated[PauseKind, typer.Argument(help="What kind of thing.")]
Which = Annotated[str, typer.Argument(metavar="[WHICH]", help="The agent, symbol or schedule; nothing for `everything`.")]
Account = Annotated[str | None, typer.Option(metavar="ID", help="Default: the account that ran last.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the change.")]


def pause(
    ctx: HomeContext, what: What, reason: Why, which: Which = "", account: Account = None, database: DeskLocation = None
) -> None:
    """Stop something until it is lifted: `pause symbol BTC/USDT --reason …`. What works at the venue goes on; see `halt`."""

    async def work() -> Pause:
        async with _opened(ctx, database, account) as (pauses, who, account_id, opened):
            return await pauses.put(who, account_id, what, await _subject(opened, who, account_id, what, which), reason)

    put = asyncio.run(work())
    typer.echo(f"{_named(put)} on {put.account_id}: paused by {put.by}: {put.reason}")


def unpause(
    ctx: HomeContext, what: What, which: Which = "", reason: Why = "", account: Account = None, database: DeskLocation = None
) -> None:
    """Let something go on that was paused. Ticks of schedules that passed meanwhile are not made up for."""

    async def work() -> Pause:
        async with _opened(ctx, database, account) as (pauses, who, account_id, opened):
            return await pauses.lift(who, account_id, what, await _subject(opened, who, account_id, what, which), reason)

    lifted = asyncio.run(work())
    typer.echo(f"{_named(lifted)} on {lifted.account_id}: no longer paused")


def pauses(ctx: HomeContext, account: Account = None, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List what is paused, since when, by whom and why."""
    from api.console.schedules import pause_document, show_pauses
    from api.console.screen import output

    async def work() -> tuple[Pause, ...]:
        async with _opened(ctx, database, account) as (opened, who, account_id, _):
            return await opened.all(who, account_id)

    found = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([pause_document(each) for each in found], indent=2))
    else:
        show_pauses(output(), found)


@asynccontextmanager
async def _opened(
    ctx: HomeContext, location: str | None, account: str | None
) -> AsyncIterator[tuple[Pauses, Principal, str, Database]]:
    from graph.control.pauses import Pauses
    from trading_core.domain.clock import SystemClock

    async with desk_database(ctx.obj, location) as database:
        who, account_id = await person_on(database, account)
        yield Pauses(database, SystemClock()), who, account_id, database


async def _subject(database: Database, who: Principal, account_id: str, what: PauseKind, which: str) -> str:
    """Schedules may be given by name."""
    from graph.schedules.service import Schedules
    from trading_core.domain.clock import SystemClock

    if what is not PauseKind.SCHEDULE:
        return which
    return (await Schedules(database, SystemClock()).find(who, which, account_id)).id


def _named(pause: Pause) -> str:
    return " ".join(part for part in (pause.kind.value, pause.subject) if part)
