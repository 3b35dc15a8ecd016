"""`credentials …`: the keys of venues' accounts, encrypted in the database. They go in and are used; nothing prints them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import FAILED, AsJson
from api.desk_database import DeskLocation
from api.home import HomeContext

if TYPE_CHECKING:
    from pathlib import Path

    from trading_core.auth.permissions import Principal
    from trading_core.secrets.credentials import StoredCredential, VenueCredentials

credentials = typer.Typer(name="credentials", no_args_is_help=True, help="Keys of venues' accounts, kept encrypted.")

Venue = Annotated[str, typer.Argument(metavar="VENUE", help="Such as binance.")]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="Whose keys; the desk's account id, for one.")]


@credentials.command()
def put(
    ctx: HomeContext,
    venue: Venue,
    label: Label,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for the third key of OKX, KuCoin and Bitget.")] = False,
    database: DeskLocation = None,
) -> None:
    """Store a venue's keys, in place of earlier ones. They are asked for, or read from standard input, one on each line."""
    from api.secret_input import ask_secret
    from trading_core.secrets.credentials import VenueKeys

    keys = VenueKeys(ask_secret("API key"), ask_secret("Secret"), ask_secret("Passphrase") if passphrase else None)

    async def work() -> None:
        async with _opened(ctx.obj, database, make=True) as (opened, who):
            await opened.put(who, venue, label, keys)

    asyncio.run(work())
    typer.echo(f"{venue} / {label}: stored")


@credentials.command("list")
def list_credentials(ctx: HomeContext, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List which keys are stored, and nothing of them."""
    from api.console.screen import output, table
    from api.console.text import clean, when
    from trading_core.domain.clock import iso

    async def read() -> tuple[StoredCredential, ...]:
        async with _opened(ctx.obj, database) as (opened, who):
            return await opened.list(who)

    found = asyncio.run(read())
    if as_json:
        told = [
            {
                "venue": one.venue,
                "label": one.label,
                "key_id": one.key_id,
                "created_at": iso(one.created_at),
                "sealed_at": iso(one.sealed_at),
            }
            for one in found
        ]
        typer.echo(json.dumps(told, indent=2))
        return
    made = table("Venue keys", "venue", "label", "keys", "stored UTC", "encrypted UTC", "under master key")
    for one in found:
        made.add_row(clean(one.venue), clean(one.label), "••••••••", when(one.created_at), when(one.sealed_at), one.key_id)
    output().print(made)


@credentials.command()
def delete(ctx: HomeContext, venue: Venue, label: Label, database: DeskLocation = None) -> None:
    """Forget keys. They remain valid at the venue: revoke them there. Exit status 1 when there were none."""

    async def work() -> bool:
        async with _opened(ctx.obj, database) as (opened, who):
            return await opened.delete(who, venue, label)

    if not asyncio.run(work()):
        typer.echo(f"{venue} / {label}: none are stored", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{venue} / {label}: forgotten here; revoke them at the venue")


@credentials.command()
def rotate(ctx: HomeContext, database: DeskLocation = None) -> None:
    """Encrypt everything with the first master key; docs/secrets.md says how to change it."""

    async def work() -> int:
        async with _opened(ctx.obj, database) as (opened, who):
            return await opened.rotate(who)

    typer.echo(f"{asyncio.run(work())} encrypted anew")


@asynccontextmanager
async def _opened(home: Path, location: str | None, *, make: bool = False) -> AsyncIterator[tuple[VenueCredentials, Principal]]:
    from api.desk_database import desk_database, person_here, secret_providers
    from trading_core.domain.clock import SystemClock
    from trading_core.secrets.credentials import VenueCredentials
    from trading_core.secrets.sealing import KeyRing

    async with secret_providers() as secrets:
        keys = await KeyRing.load(secrets)  # before a database is made that nothing could be put in
    async with desk_database(home, location, make=make) as database:
        yield VenueCredentials(database, keys, SystemClock()), await person_here(database)
