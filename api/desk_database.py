"""The database that holds the desk's users and venue keys, and the person at the machine as the one who acts on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.home import DATABASE_VARIABLE

if TYPE_CHECKING:
    from trading_core.auth.permissions import Principal
    from trading_core.persistence.session import Database
    from trading_core.secrets.port import SecretChain

_LOOKED_AT = 200  # last runs, for the accounts that there are

DeskLocation = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar=DATABASE_VARIABLE,
        help="A path, or postgresql://… (the variable keeps a password from other users' eyes). Default: the live desk's ledger.",
    ),
]


@asynccontextmanager
async def desk_database(home: Path, location: str | None, *, make: bool = False) -> AsyncIterator[Database]:
    """The database at a location, or else of the live desk.

    Args:
        make: a SQLite file that is not there; looking must not make one.

    Raises:
        ConfigurationError: it is not there, or cannot be opened.
    """
    from trading_core.persistence.session import Database

    async with await Database.open(_location(home, location, make=make)) as database:
        yield database


def _location(home: Path, location: str | None, *, make: bool) -> str:
    from graph.folders import Folders
    from trading_core.domain.errors import ConfigurationError
    from trading_core.persistence.engines import parse_location, shown

    where = location or str(Folders(home, home / "desk").ledger)
    url = parse_location(where)
    if not make and url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise ConfigurationError(
            f"there is no database {shown(url)!r}",
            not_done="Nothing was done",
            next_step="Give --database, or make it with `db upgrade`",
        )
    return where


async def person_here(database: Database, accounts: Iterable[str] = ()) -> Principal:
    """The person at the machine: everything, on the accounts that users have and those that were named."""
    from api.commands.approvals import operator_name
    from trading_core.auth.permissions import operator

    async with database.reading() as uow:
        given = {account for user in await uow.users.all() for account in user.accounts}
    return operator(operator_name(), *given, *accounts)


async def person_on(database: Database, account: str | None) -> tuple[Principal, str]:
    """The person at the machine at work on one account: the one that was named, or else the one that ran last.

    The person may also see every other account that has run lately, that users have, or that is at a venue.

    Raises:
        ConfigurationError: the account is not on record, or none was named and none has run.
    """
    from trading_core.domain.errors import ConfigurationError

    async with database.reading() as uow:
        ran = [run.account_id for run in await uow.runs.recent(_LOOKED_AT)]
        at_venues = [each.id for each in await uow.broker_accounts.all()]
        chosen = account or next(iter(ran), None)
        known = chosen is not None and await uow.portfolios.opened_at(chosen) is not None
    if chosen is None or not known:
        raise ConfigurationError(
            f"there is no account {chosen!r} on record" if chosen else "no account has run on this database yet",
            not_done="Nothing was done",
            next_step="Name one that has run with --account; `algotrendy serve` or `algotrendy run` opens one",
        )
    return await person_here(database, [*ran, *at_venues, chosen]), chosen


@asynccontextmanager
async def secret_providers() -> AsyncIterator[SecretChain]:
    """The configured sources of secrets, as the environment and `.env` name them.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    from trading_core.secrets.environment import environment
    from trading_core.secrets.settings import SecretsSettings, open_secrets

    variables = environment(os.environ, Path(".env"))
    secrets = open_secrets(SecretsSettings.parse(variables), variables)
    try:
        yield secrets
    finally:
        await secrets.close()
