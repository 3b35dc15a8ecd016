"""`users …`: who may log in, as what, on which accounts. The person at the machine acts, and the audit trail says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.api_keys import keys
from api.commands.options import AsJson
from api.desk_database import DeskLocation
from api.home import HomeContext
from trading_core.auth.roles import Role

if TYPE_CHECKING:
    from pathlib import Path

    from trading_core.auth.permissions import Principal
    from trading_core.auth.users import DemoUser, Users
    from trading_core.persistence.identity_records import User

users = typer.Typer(name="users", no_args_is_help=True, help="Who may log in, as what, and on which accounts.")
users.add_typer(keys)

Name = Annotated[str, typer.Argument(metavar="NAME", help="User name or e-mail address.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", metavar="ID", help="An account to act on; may be repeated.")]


@users.command()
def create(
    ctx: HomeContext,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    email: Annotated[str, typer.Option(metavar="ADDRESS")],
    role: Annotated[Role, typer.Option(help="What the user may do.")],
    account: Accounts = None,
    database: DeskLocation = None,
) -> None:
    """Create a user. The password is asked for, or read from standard input."""
    from api.secret_input import ask_secret

    password = ask_secret(f"Password for {name}", twice=True)

    async def work() -> User:
        async with _managed(ctx.obj, database, account, make=True) as (opened, who):
            return await opened.create(who, name, email, password, role, account or ())

    _tell(asyncio.run(work()))


@users.command("list")
def list_users(ctx: HomeContext, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List everybody."""
    from api.console.screen import output, table
    from api.console.text import clean, when

    async def read() -> tuple[User, ...]:
        async with _managed(ctx.obj, database) as (opened, who):
            return await opened.all(who)

    found = asyncio.run(read())
    if as_json:
        typer.echo(json.dumps([_document(user) for user in found], indent=2))
        return
    made = table("Users", "name", "role", "active", "accounts", "e-mail", "last login UTC")
    for user in found:
        login = when(user.last_login) if user.last_login else "never"
        active = "yes" if user.is_active else "no"
        made.add_row(user.username, user.role.value, active, clean(", ".join(sorted(user.accounts))), clean(user.email), login)
    output().print(made)


@users.command()
def role(ctx: HomeContext, name: Name, role: Annotated[Role, typer.Argument()], database: DeskLocation = None) -> None:
    """Give a user another role. Access tokens of the old one are refused from now on."""
    _change(ctx.obj, database, name, lambda opened, who, user: opened.change_role(who, user.id, role))


@users.command()
def accounts(ctx: HomeContext, name: Name, account: Accounts = None, database: DeskLocation = None) -> None:
    """Replace the accounts a user may act on by those named; without any the user may act on none."""
    _change(ctx.obj, database, name, lambda opened, who, user: opened.set_accounts(who, user.id, account or ()), account)


@users.command()
def deactivate(ctx: HomeContext, name: Name, database: DeskLocation = None) -> None:
    """Shut a user out at once: every login ends and every API key is revoked."""
    _change(ctx.obj, database, name, lambda opened, who, user: opened.deactivate(who, user.id))


@users.command()
def activate(ctx: HomeContext, name: Name, database: DeskLocation = None) -> None:
    """Let a user log in again. Logins and keys from before stay ended."""
    _change(ctx.obj, database, name, lambda opened, who, user: opened.activate(who, user.id))


@users.command()
def logout(ctx: HomeContext, name: Name, database: DeskLocation = None) -> None:
    """End every login of a user. API keys stay."""

    async def work() -> int:
        async with _managed(ctx.obj, database) as (opened, who):
            return await opened.end_logins(who, (await opened.named(who, name)).id)

    typer.echo(f"{asyncio.run(work())} logins ended")


@users.command()
def reset_password(ctx: HomeContext, name: Name, database: DeskLocation = None) -> None:
    """Set a user's password, after a loss or a theft: logins end, API keys are revoked, a lock is lifted."""
    from api.secret_input import ask_secret

    password = ask_secret(f"New password for {name}", twice=True)

    async def work() -> User:
        async with _managed(ctx.obj, database) as (opened, who):
            user = await opened.named(who, name)
            await opened.reset_password(who, user.id, password)
            return user

    typer.echo(f"{asyncio.run(work()).username}: the password is set; logins ended and API keys revoked")


@users.command()
def demo(
    ctx: HomeContext,
    account: Accounts = None,
    database: DeskLocation = None,
    is_test: Annotated[bool, typer.Option("--yes-this-is-a-test", help="Also on a PostgreSQL server.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create one user for each role with random passwords, which are shown this once. For development only."""
    from graph.folders import ACCOUNT
    from trading_core.domain.errors import ConfigurationError
    from trading_core.persistence.engines import parse_location

    if database and parse_location(database).get_backend_name() == "postgresql" and not is_test:
        raise ConfigurationError(
            "demo users are for development, and this database is on a PostgreSQL server",
            not_done="No user was created",
            next_step="Use `users create`; on a server for tests only, give --yes-this-is-a-test",
        )

    on = account or [ACCOUNT]

    async def work() -> tuple[DemoUser, ...]:
        async with _managed(ctx.obj, database, on, make=True) as (opened, who):
            return await opened.create_demo_users(who, on)

    made = asyncio.run(work())
    typer.secho("DEMO USERS, one of them an administrator. Never on a desk with money.", err=True, fg="red", bold=True)
    typer.echo("Their passwords are shown now and kept nowhere. `users deactivate NAME` shuts one out.", err=True)
    if as_json:
        told = [_document(each.user) | {"password": each.password.get_secret_value()} for each in made]
        typer.echo(json.dumps(told, indent=2))
        return
    for each in made:
        typer.echo(f"{each.user.username:<14}{each.password.get_secret_value()}")


@asynccontextmanager
async def _managed(
    home: Path, location: str | None, named: list[str] | None = None, *, make: bool = False
) -> AsyncIterator[tuple[Users, Principal]]:
    from api.desk_database import desk_database, person_here
    from trading_core.auth.service import users_over
    from trading_core.domain.clock import SystemClock

    async with desk_database(home, location, make=make) as database:
        yield users_over(database, SystemClock()), await person_here(database, named or ())


def _change(
    home: Path,
    location: str | None,
    name: str,
    change: Callable[[Users, Principal, User], Awaitable[User]],
    named: list[str] | None = None,
) -> None:
    async def work() -> User:
        async with _managed(home, location, named) as (opened, who):
            return await change(opened, who, await opened.named(who, name))

    _tell(asyncio.run(work()))


def _tell(user: User) -> None:
    on = ", ".join(sorted(user.accounts)) or "no account"
    typer.echo(f"{user.username}: {user.role.value} on {on}, {'active' if user.is_active else 'deactivated'}")


def _document(user: User) -> dict[str, object]:
    from trading_core.domain.clock import iso

    return {
        "username": user.username,
        "email": user.email,
        "role": user.role.value,
        "active": user.is_active,
        "accounts": sorted(user.accounts),
        "created_at": iso(user.created_at),
        "last_login": iso(user.last_login) if user.last_login else None,
    }
