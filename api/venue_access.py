"""What a session needs to open an account at a venue: the account as it is on record, and the key to its keys."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graph.accounts import VenueAccess
    from graph.config import SessionConfig
    from graph.folders import Folders
    from trading_core.persistence.repositories.broker_accounts import BrokerAccount


async def venue_access(config: SessionConfig) -> VenueAccess | None:
    """Access to venues for a session whose account is at one; None on the paper exchange, which needs no secret.

    Raises:
        SecretError, ConfigurationError: the key that opens venue keys cannot be had.
    """
    return await any_venue_access() if config.account is not None else None


def this_process() -> str:
    """Names this process for people, and for no other process."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@asynccontextmanager
async def alone_at_venue(config: SessionConfig, folders: Folders) -> AsyncIterator[None]:
    """The right to run an account at a venue, until the block ends. The paper exchange's files let one process in anyway.

    Raises:
        ConfigurationError: another process runs the account, or took it over.
    """
    if config.account is None:
        yield
        return
    from graph.runs.leases import alone
    from trading_core.domain.clock import SystemClock
    from trading_core.persistence.session import Database

    async with (
        await Database.open(folders.ledger) as ledger,
        alone(ledger, SystemClock(), folders.account, this_process()),
    ):
        yield


async def any_venue_access() -> VenueAccess:
    """Access to every venue whose keys are stored.

    Raises:
        SecretError, ConfigurationError: the key that opens venue keys cannot be had.
    """
    from api.desk_database import secret_providers
    from graph.accounts import VenueAccess
    from trading_core.secrets.sealing import KeyRing

    async with secret_providers() as secrets:
        return VenueAccess(await KeyRing.load(secrets))


async def broker_account(home: Path, database: str | None, name: str) -> BrokerAccount:
    """An account at a venue, from the desk's database.

    Raises:
        ConfigurationError: there is none of that name, or no database yet.
    """
    from api.desk_database import desk_database
    from trading_core.brokers.accounts import BrokerAccounts
    from trading_core.domain.clock import SystemClock

    async with desk_database(home, database) as opened:
        return await BrokerAccounts(opened, SystemClock()).get(name)
