"""Bringing a database to the newest tables, or back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from trading_core.domain.errors import ConfigurationError, StoreUnavailable
from trading_core.persistence.engines import BUSY_MS, create_engine, shown
from trading_core.persistence.faults import first_line
from trading_core.persistence.settings import DatabaseSettings

BASE = "base"  # the revision without any table

# One number that every process of this program knows, and hopefully no other: the first eight bytes of "algotren" as an integer.
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_ADVISORY_LOCK = int.from_bytes(b"algotren", "big")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_PAUSE = 0.01  # seconds until a SQLite file that is being made by another process is asked again


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings, for the migrations inside this package and over `connection`."""
    config = Config()
    # Alembic expands %: a folder may have one in its name.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@asynccontextmanager
async def migrating(url: URL, settings: DatabaseSettings | None = None) -> AsyncIterator[AsyncEngine]:
    """An engine for the functions below. A SQLite file's folders are made.

    Raises:
        ConfigurationError: the location cannot be opened or is no database.
    """
    engine = create_engine(url, settings, migrating=True)
    try:
        if engine.dialect.name == "sqlite":
            await asyncio.to_thread(Path(str(url.database)).parent.mkdir, parents=True, exist_ok=True)
        yield engine
    except (DBAPIError, sqlite3.Error, OSError, StoreUnavailable) as error:
        raise ConfigurationError(
            f"the database {shown(url)!r} cannot be opened: {first_line(error)}",
            not_done="Nothing was started",
            next_step="Check the location and its permissions, or give another one",
        ) from None
    finally:
        await engine.dispose()


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Migrate up to `revision`, all steps in one transaction. Of several processes one migrates and the others wait.

    Raises:
        ConfigurationError: the database is newer than this code, there is no such revision above the database's, or the migration
            would break a reference.
    """
    await _run(engine, _upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Migrate down to `revision` ("base" removes every table and all data), all steps in one transaction.

    Raises:
        ConfigurationError: the database is newer than this code, or there is no such revision below the database's.
    """
    await _run(engine, _downgrade, revision)


async def current(engine: AsyncEngine) -> str | None:
    """The revision of the database; None when it has no tables of ours."""
    async with engine.connect() as connection:
        return await connection.run_sync(_current)


@cache
def newest() -> str:
    """The newest revision that this code knows."""
    return str(_scripts().get_current_head())


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that this code knows, the oldest first."""
    return tuple(script.revision for script in reversed(list(_scripts().walk_revisions())))


async def _run(engine: AsyncEngine, step: Callable[[Connection, str], None], revision: str) -> None:
    # SQLite does not wait for `busy_timeout` when two processes switch a new file to WAL at once: it fails, and is asked again.
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUSY_MS / 1000
    while True:
        try:
            async with engine.begin() as connection:
                if step is _upgrade and await connection.run_sync(_current) == newest():
                    return  # the usual case waits for nobody
                async with _turn():
                    await connection.run_sync(step, revision)
                return
        except (DBAPIError, sqlite3.OperationalError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or loop.time() > deadline:
                raise
        await asyncio.sleep(_PAUSE)


def _turn() -> asyncio.Lock:
    # Alembic keeps the migration that is running in global names: two at once, even of two databases, would run into each other.
    return _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())


def _upgrade(connection: Connection, revision: str) -> None:
    _lock(connection)
    if _known(connection) == newest():
        return
    _moved(lambda: command.upgrade(alembic_config(connection), revision), revision)
    _check_references(connection)


def _downgrade(connection: Connection, revision: str) -> None:
    _lock(connection)
    _known(connection)
    _moved(lambda: command.downgrade(alembic_config(connection), revision), revision)
    _check_references(connection)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known(connection: Connection) -> str | None:
    current = _current(connection)
    if current is not None and current not in revisions():
        raise ConfigurationError(
            f"the database is at revision {current!r}, which this version does not know",
            not_done="It was not opened",
            next_step="Use the version that wrote it, or a newer one",
        )
    return current


def _moved(move: Callable[[], None], revision: str) -> None:
    try:
        move()
    except CommandError as error:
        raise ConfigurationError(
            f"the database cannot be brought to revision {revision!r}: {first_line(error)}",
            not_done="It was not migrated",
            next_step=f"Revisions are {BASE}, {', '.join(revisions())}",
        ) from None


def _lock(connection: Connection) -> None:
    # On SQLite the transaction has the write lock from its beginning on.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def _check_references(connection: Connection) -> None:
    # SQLite migrates with foreign keys off (see engines.create_engine) and checks them afterwards.
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise ConfigurationError(
            f"the migration would leave a row of {broken[0]!r} without its {broken[2]!r}",
            not_done="The database was not migrated",
            next_step="Restore a backup or mend the row",
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))
