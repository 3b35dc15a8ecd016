"""Engines: which driver a location means, and the settings of its connections.

SQLite gives one writer at a time. A transaction that began by reading and then wants to write fails at once when another
process wrote in between, so every transaction takes the write lock at its start (`BEGIN IMMEDIATE`).
https://www.sqlite.org/lang_transaction.html, https://docs.sqlalchemy.org/en/21/dialects/sqlite.html

PostgreSQL gives each statement of a writer the newest committed rows (READ COMMITTED): who has waited for a row's lock sees what
the holder wrote. A reader gets one state for all its statements (REPEATABLE READ, read only), which never waits nor fails.
https://www.postgresql.org/docs/current/transaction-iso.html
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from trading_core.domain.errors import ConfigurationError
from trading_core.persistence import postgresql_driver
from trading_core.persistence.faults import lost_connection
from trading_core.persistence.settings import DatabaseSettings
from trading_core.persistence.sqlite_driver import connector

CACHE_KIB = 65_536  # of pages that a connection keeps: order ids are hashes, so that a large ledger's are all over its index
BUSY_MS = 5_000  # how long a writer waits for another process on SQLite

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",  # libpq and most hosts take both spellings
}


def parse_location(location: str | Path) -> URL:
    """The SQLAlchemy URL of a path or URL, with the asynchronous driver.

    Raises:
        ConfigurationError: for an unknown database, an option it does not have, or an in-memory one (each connection would see
            its own).
    """
    if isinstance(location, Path) or "://" not in location:
        return URL.create(_DRIVERS["sqlite"], database=str(location))
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise ConfigurationError("the database URL cannot be read", next_step="Give a path or postgresql://…") from None
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise ConfigurationError(f"no database {url.get_backend_name()!r} is supported", next_step="Use sqlite or postgresql")
    if driver != _DRIVERS["sqlite"]:
        return postgresql_driver.checked(url.set(drivername=driver))
    if url.database in {None, "", ":memory:"}:
        raise ConfigurationError("an in-memory database keeps nothing", next_step="Give the path of a file")
    return url.set(drivername=driver)


def shown(url: URL) -> str:
    """A location for people: a file's path, or a server's URL without its password."""
    if url.drivername == _DRIVERS["sqlite"]:
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def create_engine(url: URL, settings: DatabaseSettings | None = None, *, migrating: bool = False) -> AsyncEngine:
    """An engine with the desk's settings. A migrating one has foreign keys off: SQLite alters a table by replacing it."""
    settings = settings or DatabaseSettings()
    if url.drivername == _DRIVERS["sqlite"]:
        return _sqlite(url, settings, migrating=migrating)
    return _postgresql(url, settings, migrating=migrating)


def reader(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, for transactions that read one state and write nothing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(reading=True)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _sqlite(url: URL, settings: DatabaseSettings, *, migrating: bool) -> AsyncEngine:
    if migrating:
        engine = create_async_engine(url, poolclass=NullPool)
    else:
        # Every branch of a cycle reads at once: connections that are opened for a moment and closed cost more than they read.
        engine = create_async_engine(
            url,
            async_creator=connector(str(url.database), BUSY_MS / 1000),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout,
        )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        if migrating:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            cursor.execute("PRAGMA journal_mode = WAL")  # kept in the file
        cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        cursor.execute("PRAGMA synchronous = FULL")  # an acknowledged order survives a power cut
        cursor.execute(f"PRAGMA foreign_keys = {'OFF' if migrating else 'ON'}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, settings: DatabaseSettings, *, migrating: bool) -> AsyncEngine:
    creator = postgresql_driver.connector(url, settings, migrating=migrating)
    if migrating:
        engine = create_async_engine(url, async_creator=creator, poolclass=NullPool)
    else:
        engine = create_async_engine(
            url,
            async_creator=creator,
            isolation_level="READ COMMITTED",
            pool_size=settings.pool_size,
            max_overflow=settings.max_overflow,
            pool_timeout=settings.pool_timeout,
            pool_pre_ping=settings.pre_ping,
        )
    event.listen(engine.sync_engine, "handle_error", lost_connection)
    return engine
