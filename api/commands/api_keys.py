"""`users keys …`: how machines get in. A key's text is shown once, by the command that makes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import AsJson
from api.desk_database import DeskLocation
from api.home import HomeContext
from trading_core.auth.permissions import Action

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from trading_core.auth.api_keys import ApiKeys
    from trading_core.auth.permissions import Principal
    from trading_core.auth.users import Users
    from trading_core.persistence.identity_records import ApiKey

keys = typer.Typer(name="keys", no_args_is_help=True, help="API keys: how machines get in.")

Name = Annotated[str, typer.Argument(metavar="USER", help="User name or e-mail address.")]


@keys.command("list")
def list_keys(ctx: HomeContext, user: Name, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List a user's keys, those that are no longer good too."""
    from api.console.screen import output, table
    from api.console.text import clean, when
    from trading_core.domain.clock import iso

    async def read() -> tuple[ApiKey, ...]:
        async with _opened(ctx.obj, database) as (api_keys, users, who):
            return await api_keys.of_user(who, (await users.named(who, user)).id)

    found = asyncio.run(read())
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "id": key.id,
                        "name": key.name,
                        "scopes": sorted(key.scopes),
                        "accounts": sorted(key.accounts),
                        "expires_at": iso(key.expires_at),
                        "last_used_at": iso(key.last_used_at) if key.last_used_at else None,
                        "revoked_at": iso(key.revoked_at) if key.revoked_at else None,
                    }
                    for key in found
                ],
                indent=2,
            )
        )
        return
    made = table(f"API keys of {user}", "id", "name", "scopes", "accounts", "expires UTC", "last used UTC", "revoked UTC")
    for key in found:
        times = (when(at) if at else "" for at in (key.expires_at, key.last_used_at, key.revoked_at))
        made.add_row(key.id, clean(key.name), ", ".join(sorted(key.scopes)), clean(", ".join(sorted(key.accounts))), *times)
    output().print(made)


@keys.command()
def issue(
    ctx: HomeContext,
    user: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What the key is for.")],
    scope: Annotated[list[Action], typer.Option(help="What it may do, of what its user may; may be repeated.")],
    account: Annotated[list[str] | None, typer.Option(metavar="ID", help="Where; may be repeated.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, metavar="N", help="How long it is good for.")] = 90,
    database: DeskLocation = None,
) -> None:
    """Make a key and print it, this once, on standard output."""

    async def work() -> tuple[ApiKey, SecretStr]:
        async with _opened(ctx.obj, database) as (api_keys, users, who):
            owner = await users.named(who, user)
            return await api_keys.issue_for(who, owner.id, label, scope, account or (), timedelta(days=days))

    key, text = asyncio.run(work())
    typer.echo(f"Key {key.id} is shown now and kept nowhere. `users keys revoke {key.id}` ends it.", err=True)
    typer.echo(text.get_secret_value())


@keys.command()
def revoke(
    ctx: HomeContext, key_id: Annotated[str, typer.Argument(metavar="ID", help="As listed.")], database: DeskLocation = None
) -> None:
    """End a key at once."""

    async def work() -> None:
        async with _opened(ctx.obj, database) as (api_keys, _, who):
            await api_keys.revoke(who, key_id)

    asyncio.run(work())
    typer.echo(f"key {key_id} is revoked")


@asynccontextmanager
async def _opened(home: Path, location: str | None) -> AsyncIterator[tuple[ApiKeys, Users, Principal]]:
    from api.desk_database import desk_database, person_here
    from trading_core.auth.api_keys import ApiKeys
    from trading_core.auth.service import users_over
    from trading_core.domain.clock import SystemClock

    clock = SystemClock()
    async with desk_database(home, location) as database:
        yield ApiKeys(database, clock), users_over(database, clock), await person_here(database)
