"""A ledger that is looked at and never touched: the database itself refuses to be written to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from trading_core.domain.errors import ConfigurationError, StoreUnavailable
from trading_core.persistence.engines import create_engine, parse_location, reader, shown
from trading_core.persistence.migrate import current, newest
from trading_core.persistence.session import Database


class ReadOnlyDatabase(Database):
    """A database that is only read."""

    def transaction(self) -> NoReturn:
        """Refused.

        Raises:
            StoreUnavailable: always.
        """
        raise StoreUnavailable("the ledger was opened for reading", not_done="Nothing was written")


async def open_read_only(location: str | Path) -> ReadOnlyDatabase:
    """A database opened for reading. Nothing is made, migrated or written, whatever is asked of it afterwards.

    SQLite opens the file with `mode=ro` (https://www.sqlite.org/uri.html), and may leave an empty write-ahead log beside it, as
    any reader does (https://www.sqlite.org/wal.html#readonly). PostgreSQL gets read-only transactions.

    Raises:
        ConfigurationError: there is none, or it is not of this version.
    """
    url = parse_location(location)
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        if not await asyncio.to_thread(path.is_file):
            raise ConfigurationError(f"there is no ledger {str(path)!r}", not_done="Nothing was read")
        engine = _sqlite(path)
    else:
        engine = reader(create_engine(url))
    database = ReadOnlyDatabase(engine)
    found = None
    try:
        found = await current(engine)
    finally:
        if found != newest():
            await database.close()
    if found != newest():
        raise ConfigurationError(
            f"the ledger {shown(url)!r} is at revision {found!r}, not {newest()!r}",
            not_done="Nothing was read, for reading must not change it",
            next_step="`algotrendy db upgrade` brings it up to date",
        )
    return database


def _sqlite(path: Path) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true")

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # aiosqlite's; the driver must not begin by itself

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine
