"""The store in one DuckDB file: no server, for one desk.

One process at a time has the file open; within it anybody may read while one writes. A second process is told so and opens
nothing. Statements run in threads: one for all that write, so that they follow each other, and any for those that read.
https://duckdb.org/docs/stable/connect/concurrency
"""

# ruff: noqa: S608  # statements are put together from words of this package alone; every value is an argument

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from data_channels.store.numbers import BAR_PLACES, BAR_WHOLE
from data_channels.store.session import BAR_COLUMNS, READING_COLUMNS, SERIES, Dialect, Session, Table
from data_channels.store.sql import SqlStore, make_tables
from trading_core.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Result = TypeVar("Result")

_DATABASE = "kept"
_PRICE = f"DECIMAL({BAR_WHOLE + BAR_PLACES}, {BAR_PLACES})"
# There are no keys and no indexes: one writer looks before it inserts, and DuckDB skips the blocks of other times by itself.
_TABLES = (
    *SERIES,
    """CREATE TABLE IF NOT EXISTS timeseries.readings (
        series INTEGER NOT NULL, published_at TIMESTAMP NOT NULL, observed_at TIMESTAMP NOT NULL, value VARCHAR NOT NULL,
        unit VARCHAR NOT NULL, quality VARCHAR NOT NULL, count BIGINT NOT NULL, spread VARCHAR, step INTEGER NOT NULL,
        merged BIGINT NOT NULL, total VARCHAR, low VARCHAR, high VARCHAR)""",
    """CREATE TABLE IF NOT EXISTS timeseries.folds (
        series INTEGER NOT NULL, opened_at TIMESTAMP NOT NULL, step INTEGER NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS timeseries.bars (
        series INTEGER NOT NULL, opened_at TIMESTAMP NOT NULL, open {_PRICE} NOT NULL, high {_PRICE} NOT NULL,
        low {_PRICE} NOT NULL, close {_PRICE} NOT NULL, volume {_PRICE} NOT NULL)""",
)
_DIALECT = Dialect(
    # A DECIMAL comes with all its 18 places, and its text is read faster than the number itself.
    exact="rtrim(rtrim(CAST({} AS VARCHAR), '0'), '.')",
    keep_first="",
    newest="""
        WITH these AS (SELECT id, source, symbol, name FROM timeseries.reading_series WHERE symbol = $1),
        latest AS (
            SELECT series, max(observed_at) AS observed_at FROM timeseries.readings
            WHERE series IN (SELECT id FROM these) AND published_at > $3 AND published_at <= $2 GROUP BY series)
        SELECT t.source, t.symbol, t.name, r.published_at, r.observed_at, r.value, r.unit, r.quality, r.count, r.spread, r.step,
            r.merged, r.total, r.low, r.high
        FROM timeseries.readings r JOIN latest l ON r.series = l.series AND r.observed_at = l.observed_at
        JOIN these t ON t.id = r.series
        WHERE r.published_at > $3 AND r.published_at <= $2
        QUALIFY row_number() OVER (PARTITION BY r.series ORDER BY r.published_at DESC) = 1
        ORDER BY t.source, t.name""",
)


class DuckDbStore(SqlStore):
    """A `TimeSeriesStore` in a file. `open` opens it."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(str(path))
        self._path = path
        self._connection = connection
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="timeseries-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="timeseries-reader")
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file, and make it when it is not there, folders too.

        Raises:
            StoreUnavailable: another process has it open, or it cannot be read.
            ConfigurationError: it is newer than this code.
        """
        store = cls(path, await asyncio.to_thread(_connect, path))
        try:
            async with store._writing() as session:
                await make_tables(session, _TABLES, store.name)
        except BaseException:
            await store.close()
            raise
        return store

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Session]:
        cursor = self._connection.cursor()
        session = DuckDbSession(cursor, self._readers)
        try:
            await session.run(f"USE {_DATABASE}")
            yield session
        except BaseException:
            cursor.interrupt()  # whoever asked has gone, and a thread may still be at it
            raise
        finally:
            await _in(self._readers, cursor.close)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Session]:
        async with self._turn:
            cursor = self._connection.cursor()
            session = DuckDbSession(cursor, self._writer)
            try:
                await session.run(f"USE {_DATABASE}")
                await session.run("BEGIN TRANSACTION")
                yield session
                await session.run("COMMIT")
            except BaseException:
                # The one thread still runs what was asked before, also when nobody waits for it any more.
                await _in(self._writer, lambda: _roll_back(cursor))
                raise
            finally:
                await _in(self._writer, cursor.close)

    async def size(self) -> int:
        """Bytes of the file and of its write-ahead log."""
        log = self._path.with_name(self._path.name + ".wal")
        return sum(path.stat().st_size for path in (self._path, log) if path.exists())

    async def close(self) -> None:
        """Wait for what is being written, and close the file."""
        async with self._turn:
            await _in(self._writer, self._connection.close)
            self._writer.shutdown()
            self._readers.shutdown()

    async def _tidy_up(self) -> None:
        async with self._turn:
            await _in(self._writer, lambda: self._connection.execute(f"CHECKPOINT {_DATABASE}"))


class DuckDbSession:
    """One connection to the file, whose statements run in the threads of an executor."""

    dialect = _DIALECT

    def __init__(self, cursor: duckdb.DuckDBPyConnection, threads: Executor) -> None:
        self._cursor, self._threads = cursor, threads

    async def rows(self, sql: str, *arguments: object) -> Sequence[Sequence[Any]]:
        """What a query gives."""
        return await _in(self._threads, lambda: self._cursor.execute(sql, _naive(arguments)).fetchall())

    async def run(self, sql: str, *arguments: object) -> int:
        """Run a statement; how many rows it touched."""
        answer = await _in(self._threads, lambda: self._cursor.execute(sql, _naive(arguments)).fetchone())
        return int(answer[0]) if answer and isinstance(answer[0], int) else 0

    async def stage(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Put rows into a temporary table, through Arrow: DuckDB takes single rows slowly."""

        def work() -> None:
            self._cursor.register("given", _arrow(table, rows))
            self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE staged_{table} AS SELECT * FROM given")
            self._cursor.unregister("given")

        await _in(self._threads, work)

    async def make_room(self, table: Table, instants: Iterable[datetime]) -> None:
        """There is room for all times."""

    async def drop_whole(self, table: Table, before: datetime) -> int:
        """Nothing is apart from the rest."""
        return 0


async def _in(threads: Executor, work: Callable[[], Result]) -> Result:
    with _duckdb_errors():
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    import duckdb  # here, because it costs 50 ms and 40 MB that a desk on another store should not pay

    path.parent.mkdir(parents=True, exist_ok=True)
    # It must not fetch extensions from the network on its own.
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": f"{path}.tmp",
    }
    connection = duckdb.connect(config=settings)
    try:
        # Under a name of ours: a database is named after its file, and one called like its schema could not be asked.
        place = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS {_DATABASE}")
    except duckdb.Error as error:
        connection.close()
        held = re.search(r"Conflicting lock is held.*?\(PID (\d+)\)", str(error))
        if held is None:
            raise _unavailable(error) from error
        raise StoreUnavailable(
            f"the time series in {path} are open in another process (PID {held[1]})",
            not_done="Nothing was read or written",
            next_step="Wait for it or end it; a store in PostgreSQL takes several processes at once",
        ) from error
    return connection


@contextmanager
def _duckdb_errors() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    said = " ".join(str(error).partition("\n")[0].split())
    return StoreUnavailable(
        f"the time series failed: {said[:300]}",
        not_done="Nothing of the transaction was written",
        next_step="Check the file, its folder's permissions and the disk space",
    )


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    import duckdb

    with suppress(duckdb.TransactionException):  # it could not begin, or DuckDB has rolled it back already
        cursor.execute("ROLLBACK")


def _naive(arguments: Iterable[object]) -> list[object]:
    return [_utc(value) if isinstance(value, datetime) else value for value in arguments]


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)


def _arrow(table: Table, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Rows as columns of Arrow, in the types of the table."""
    import pyarrow as pa

    instant, text = pa.timestamp("us", tz="UTC"), pa.string()
    if table == "bars":
        types = [pa.int32(), instant, *[pa.decimal128(BAR_WHOLE + BAR_PLACES, BAR_PLACES)] * 5]
        names = BAR_COLUMNS.split(", ")
    else:
        numbers = [pa.int64(), text, pa.int32(), pa.int64(), text, text, text]  # from count on
        types = [pa.int32(), instant, instant, text, text, text, *numbers]
        names = READING_COLUMNS.split(", ")
    arrays = []
    for column, kind in zip(zip(*rows, strict=True), types, strict=True):
        if kind == text:
            arrays.append(pa.array([None if value is None else str(value) for value in column], kind))
        elif kind == instant:
            arrays.append(pa.array(column, kind).cast(pa.timestamp("us")))  # UTC without saying so, as all in the file is
        else:
            arrays.append(pa.array(column, kind))
    return pa.table(arrays, names=names)
