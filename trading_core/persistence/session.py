"""Opening the database, and transactions over it.

    async with await Database.open("desk.db") as database:
        async with database.transaction() as uow:
            await uow.runs.start(run)

On SQLite writers queue: inside the process behind an `asyncio.Lock`, between processes behind `busy_timeout`. `reading()`
takes no lock.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from trading_core.domain.errors import AlgoTrendyError, ConfigurationError, LedgerError, StoreUnavailable
from trading_core.persistence.engines import BUSY_MS, create_engine, parse_location
from trading_core.persistence.migrate import upgrade
from trading_core.persistence.unit_of_work import UnitOfWork

QUEUE_SECONDS = 30.0  # how long a writer waits for others of its own process


class Database:
    """One open database. Several may be open on the same file, in this process or another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = engine.execution_options(reading=True)
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    async def open(cls, location: str | Path) -> Self:
        """Open, and create or migrate as needed.

        Args:
            location: a path of a SQLite file (made when absent, folders too), or a URL `sqlite:///…` or `postgresql://…`.

        Raises:
            ConfigurationError: the location cannot be opened, is no database, or is newer than this code.
        """
        url = parse_location(location)
        name = url.render_as_string(hide_password=True) if url.host else str(url.database)
        migrator = create_engine(url, migrating=True)
        try:
            if url.database and not url.host:
                await asyncio.to_thread(Path(url.database).parent.mkdir, parents=True, exist_ok=True)
            await _upgrade_in_turn(migrator)
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise ConfigurationError(
                f"the database {name!r} cannot be opened: {_first_line(error)}",
                not_done="Nothing was started",
                next_step="Check the location and its permissions, or give another one",
            ) from None
        finally:
            await migrator.dispose()
        return cls(create_engine(url))

    async def close(self) -> None:
        """Close every connection. The database must not be used afterwards."""
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
            StoreUnavailable: the database is locked, full or gone. Nothing was kept.
        """
        with _storage_errors():
            async with self._my_turn(), self._engine.begin() as connection:
                yield UnitOfWork(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[UnitOfWork]:
        """One consistent view that waits for nobody. It ends in a rollback: nothing written through it is kept.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with _storage_errors():
            async with self._reader.connect() as connection:
                yield UnitOfWork(connection)

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"no turn to write came within {QUEUE_SECONDS:g} s",
                not_done="Nothing was written",
                next_step="Look for a transaction that is held open, or one inside another",
            ) from None
        try:
            yield
        finally:
            self._turn.release()


async def _upgrade_in_turn(engine: AsyncEngine) -> None:
    # SQLite does not wait for `busy_timeout` when two processes switch a new file to WAL at once: it fails, and is asked again.
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUSY_MS / 1000
    while True:
        try:
            return await upgrade(engine)
        except (DBAPIError, sqlite3.OperationalError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or loop.time() > deadline:
                raise
        await asyncio.sleep(0.01)


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn the driver's errors into the desk's, at the edge of the transaction, where everything is rolled back."""
    try:
        yield
    except IntegrityError as error:
        raise LedgerError(
            f"the record would contradict itself: {_first_line(error)}",
            not_done="Nothing of the transaction was written",
            next_step="Write what it refers to first, and nothing twice",
        ) from error
    except StatementError as error:
        if isinstance(error.orig, AlgoTrendyError):  # a column type refused a value
            raise error.orig from None
        if not isinstance(error, DBAPIError):
            raise
        raise _unavailable(error) from error
    except (sqlite3.Error, NoConnection) as error:  # while connecting
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the database failed: {_first_line(error)}",
        not_done="Nothing of the transaction was written",
        next_step="Check disk space, and who else has the database open",
    )


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    return str(cause).partition("\n")[0] or type(cause).__name__
