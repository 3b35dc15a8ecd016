"""Opening the database, and transactions over it.

    async with await Database.open("desk.db") as database:
        async with database.transaction() as uow:
            await uow.runs.start(run)

On SQLite writers queue, and those of one process that queue together commit together (`group_commit.py`). `reading()` waits for
nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from trading_core.persistence.engines import create_engine, parse_location, reader
from trading_core.persistence.faults import storage_errors
from trading_core.persistence.group_commit import GroupCommit
from trading_core.persistence.migrate import current, migrating, upgrade
from trading_core.persistence.settings import DatabaseSettings
from trading_core.persistence.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Connections:
    """How many of a database's connections are in use, are open and idle, and are kept open at most."""

    in_use: int
    idle: int
    kept: int


class Database:
    """One open database. Several may be open on the same file, in this process or another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)
        self._writer = GroupCommit(engine) if engine.dialect.name == "sqlite" else None

    @classmethod
    async def open(cls, location: str | Path, settings: DatabaseSettings | None = None) -> Self:
        """Open, and create or migrate as needed.

        Args:
            location: a path of a SQLite file (made when absent, folders too), or a URL `sqlite:///…` or `postgresql://…`.
            settings: of its connections; the defaults when absent.

        Raises:
            ConfigurationError: the location cannot be opened, is no database, or is newer than this code.
        """
        url = parse_location(location)
        async with migrating(url, settings) as migrator:
            await upgrade(migrator)
        return cls(create_engine(url, settings))

    @property
    def connections(self) -> Connections:
        """How its connections are used just now."""
        pool = self._engine.pool
        if not isinstance(pool, QueuePool):
            raise TypeError(f"a database of the desk has a pool, and this one has {type(pool).__name__}")
        return Connections(pool.checkedout(), pool.checkedin(), pool.size())

    async def revision(self) -> str | None:
        """The revision its tables are at, read from it now.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with storage_errors():
            return await current(self._reader)

    async def close(self) -> None:
        """Close every connection. The database must not be used afterwards."""
        if self._writer is not None:
            await self._writer.close()
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """A transaction that commits at the end of the block and rolls back on any error. They do not nest.

        Raises:
            LedgerError: what was written breaks a constraint. Nothing was kept.
            InvalidInput: the database cannot keep a value. Nothing was kept.
            StoreUnavailable: the database is locked, full or gone. Nothing was kept, unless it says that this is not known: then
                the connection to a server broke while it committed.
        """
        with storage_errors():
            if self._writer is not None:
                async with self._writer.unit() as (connection, memo):
                    yield UnitOfWork(connection, memo)
            else:
                async with self._engine.begin() as connection:
                    yield UnitOfWork(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[UnitOfWork]:
        """One consistent view that waits for nobody. It ends in a rollback: nothing written through it is kept.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with storage_errors():
            async with self._reader.connect() as connection:
                yield UnitOfWork(connection)
