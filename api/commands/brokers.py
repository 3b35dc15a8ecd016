"""`brokers …`: accounts at venues: which there are, whether they answer, and whether the ledger agrees with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import FAILED, AsJson, Reason
from api.desk_database import DeskLocation
from api.home import HomeContext, program

if TYPE_CHECKING:
    from pathlib import Path

    from api.console.brokers import Comparison
    from graph.venue_health import AccountHealth
    from trading_core.auth.permissions import Principal
    from trading_core.brokers.accounts import BrokerAccounts
    from trading_core.domain.errors import ConfigurationError
    from trading_core.domain.portfolio import Transfer
    from trading_core.persistence.repositories.broker_accounts import BrokerAccount
    from trading_core.persistence.session import Database

brokers = typer.Typer(name="brokers", no_args_is_help=True, help="Accounts at venues: the sandbox first, real money by a switch.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the account, such as binance-main.")]


@brokers.command()
def add(
    ctx: HomeContext,
    name: Name,
    venue: Annotated[str, typer.Option(help="binance, bybit, okx, coinbase, kraken or cryptocom.")],
    url: Annotated[str | None, typer.Option(metavar="URL", help="Another host that speaks the venue's API.")] = None,
    database: DeskLocation = None,
) -> None:
    """Add an account, at first without real money. `credentials put VENUE NAME` then stores its keys."""

    async def work() -> BrokerAccount:
        async with _managed(ctx.obj, database, make=True) as (accounts, who, _):
            return await accounts.add(who, name, venue, url=url)

    account = asyncio.run(work())
    typer.echo(
        f"{account.id}: {_mode(account)} of {venue}. Its keys: {program(ctx.obj, database)} credentials put {venue} {name}"
    )


@brokers.command()
def remove(ctx: HomeContext, name: Name, database: DeskLocation = None) -> None:
    """Forget an account. What it traded stays on record, and its keys stay stored. Exit status 1 when there is none."""

    async def work() -> bool:
        async with _managed(ctx.obj, database) as (accounts, who, _):
            return await accounts.remove(who, name)

    if not asyncio.run(work()):
        typer.echo(f"there is no account {name}", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{name}: forgotten")


@brokers.command()
def production(
    ctx: HomeContext,
    name: Name,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database: DeskLocation = None,
) -> None:
    """Let an account trade with REAL MONEY. Only one that has not traded in a sandbox can be switched; it is audited."""
    if not yes and typer.prompt(f"{name} will trade with real money, which can be lost. Type its name") != name:
        typer.echo("nothing was switched", err=True)
        raise typer.Exit(FAILED)
    asyncio.run(_switch(ctx.obj, database, name, reason, production=True))
    typer.echo(f"{name}: REAL MONEY from the next session on")


@brokers.command()
def sandbox(ctx: HomeContext, name: Name, reason: Reason, database: DeskLocation = None) -> None:
    """Take an account that has not traded yet back from real money."""
    asyncio.run(_switch(ctx.obj, database, name, reason, production=False))
    typer.echo(f"{name}: no real money")


@brokers.command("list")
def list_brokers(ctx: HomeContext, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """List the accounts, and the venues there are."""
    from rich.text import Text

    from api.console.screen import output, table
    from api.console.text import clean, when
    from graph.folders import desk_ledger
    from trading_core.brokers.venues.profiles import PROFILES
    from trading_core.domain.clock import iso

    async def read() -> tuple[tuple[BrokerAccount, ...], set[tuple[str, str]]]:
        if database is None and desk_ledger(ctx.obj) is None:
            return (), set()  # looking must not make a database
        async with _managed(ctx.obj, database) as (accounts, _, opened):
            async with opened.reading() as uow:
                stored = {(one.venue, one.label) for one in await uow.credentials.all()}
            return await accounts.all(), stored

    found, stored = asyncio.run(read())
    if as_json:
        told = [
            {
                "account": one.id,
                "venue": one.venue,
                "production": one.production,
                "url": one.url,
                "keys_stored": (one.venue, one.id) in stored,
                "added_at": iso(one.created_at),
                "added_by": one.created_by,
            }
            for one in found
        ]
        typer.echo(json.dumps({"accounts": told, "venues": list(PROFILES)}, indent=2))
        return
    console = output()
    if found:
        made = table("Accounts at venues", "account", "venue", "money", "keys", "added UTC", "by")
        for one in found:
            money = Text("REAL MONEY", "bold red") if one.production else Text(_mode(one))
            keys = "stored" if (one.venue, one.id) in stored else Text("none", "yellow")
            made.add_row(one.id, PROFILES[one.venue].title, money, keys, when(one.created_at), clean(one.created_by))
        console.print(made)
    else:
        console.print("No account at a venue yet; the paper exchange needs none.")
    made = table("Venues", "venue", "name", "sandbox", "keys it asks for")
    for profile in PROFILES.values():
        asked = ", ".join({"apiKey": "key", "password": "passphrase"}.get(part, part) for part in profile.credentials)
        made.add_row(profile.venue, profile.title, "yes" if profile.sandbox else "no", asked)
    console.print()
    console.print(made)


@brokers.command()
def check(
    ctx: HomeContext,
    venue: Annotated[str | None, typer.Argument(metavar="[VENUE]", help="A venue or an account; all when none is named.")] = None,
    database: DeskLocation = None,
    as_json: AsJson = False,
) -> None:
    """Ask each account's venue: does it answer, how fast, is the clock right, what may the key do. Exit status 1 if not."""
    from api.console.brokers import health_document, show_health
    from api.console.screen import output
    from api.venue_access import any_venue_access
    from graph.venue_health import look
    from trading_core.brokers.venues.profiles import profile_of
    from trading_core.domain.clock import SystemClock

    async def work() -> list[AccountHealth]:
        async with _managed(ctx.obj, database) as (accounts, _, opened):
            chosen = [one for one in await accounts.all() if venue in (None, one.venue, one.id)]
            if not chosen:
                if venue is not None:
                    profile_of(venue)
                raise _nothing_to_check(venue)
            return await look(chosen, await any_venue_access(), opened, SystemClock())

    found = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([health_document(one) for one in found], indent=2))
    else:
        show_health(output(), found)
    if not all(one.report is not None and one.report.healthy for one in found):
        raise typer.Exit(FAILED)


@brokers.command()
def reconcile(
    ctx: HomeContext,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="An account; all that were traded on when none is named.")
    ] = None,
    database: DeskLocation = None,
    as_json: AsJson = False,
) -> None:
    """Compare the ledger with every account's venue. Exit status 1 while one differs or cannot be compared."""
    from api.console.brokers import comparison_document, show_comparisons
    from api.console.screen import output

    found = asyncio.run(_compare(ctx.obj, database, name))
    if as_json:
        typer.echo(json.dumps([comparison_document(one) for one in found], indent=2))
    else:
        show_comparisons(output(), found)
    if not all(one.skipped or (one.found is not None and one.found.agrees) for one in found):
        raise typer.Exit(FAILED)


@brokers.command()
def transfers(ctx: HomeContext, name: Name, reason: Reason, database: DeskLocation = None, as_json: AsJson = False) -> None:
    """Book what an account holds more or less than the ledger says as paid in or taken out. It is no profit and no loss."""
    from api.console.screen import output, table
    from api.console.text import clean, exact
    from api.desk_database import person_here
    from api.ledgers import find_account
    from api.operations import opened
    from trading_core.domain.money import plain

    async def work() -> tuple[Transfer, ...]:
        found = await find_account(ctx.obj, name, database)
        async with opened(found, ctx.obj) as system:
            return await system.desk.book_transfers(await person_here(system.database, [name]), reason)

    booked = asyncio.run(work())
    if as_json:
        told = [
            {"asset": one.asset, "amount": plain(one.amount), "value": plain(one.value), "symbol": one.symbol} for one in booked
        ]
        typer.echo(json.dumps(told, indent=2))
        return
    if not booked:
        output().print("The balances agree: nothing to book.")
        return
    made = table("Booked", "asset", "amount", "value", "holding of", right=("amount", "value"))
    for one in booked:
        made.add_row(clean(one.asset), exact(one.amount), exact(one.value), one.symbol or "")
    output().print(made)


async def _compare(home: Path, location: str | None, name: str | None) -> list[Comparison]:
    """Account by account; one that cannot be compared keeps no other from it."""
    from api.console.brokers import Comparison
    from api.ledgers import find_account
    from api.operations import opened
    from trading_core.domain.errors import AlgoTrendyError, RunError

    async with _managed(home, location) as (accounts, _, _database):
        names = [name] if name else [one.id for one in await accounts.all()]
    done: list[Comparison] = []
    for each in names:
        try:
            async with opened(await find_account(home, each, location), home) as system:
                done.append(Comparison(each, system.opening))  # to open a session is to reconcile it
        except RunError as error:
            if name:
                raise
            done.append(Comparison(each, None, error.what, skipped=True))
        except AlgoTrendyError as error:
            done.append(Comparison(each, None, str(error)))
    return done


def _nothing_to_check(venue: str | None) -> ConfigurationError:
    from trading_core.domain.errors import ConfigurationError

    return ConfigurationError(
        f"there is no account at {venue}" if venue else "there is no account at a venue yet",
        not_done="Nothing was asked",
        next_step="`algotrendy brokers add NAME --venue VENUE` adds one; the paper exchange needs none",
    )


async def _switch(home: Path, location: str | None, name: str, reason: str, *, production: bool) -> None:
    async with _managed(home, location) as (accounts, who, _):
        await accounts.set_production(who, name, production=production, reason=reason)


def _mode(account: BrokerAccount) -> str:
    if account.production:
        return "REAL MONEY"
    return "sandbox" if account.url is None else f"test venue {account.url}"


@asynccontextmanager
async def _managed(
    home: Path, location: str | None, *, make: bool = False
) -> AsyncIterator[tuple[BrokerAccounts, Principal, Database]]:
    from api.desk_database import desk_database, person_here
    from trading_core.brokers.accounts import BrokerAccounts
    from trading_core.domain.clock import SystemClock

    async with desk_database(home, location, make=make) as database:
        yield BrokerAccounts(database, SystemClock()), await person_here(database), database
