"""The store in PostgreSQL (15 or newer): for several processes, and histories that outgrow a file.

Its tables live in a schema of their own, `timeseries`, beside those of a ledger or alone. They are partitioned by month: a
query looks at the months it asks for, and old months are dropped whole. Each month has a B-tree by series and time, and a
BRIN over time, which costs next to nothing where rows come in the order of time.
https://www.postgresql.org/docs/current/ddl-partitioning.html, https://www.postgresql.org/docs/current/brin.html
"""

# ruff: noqa: S608  # statements are put together from words of this package alone; every value is an argument

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg

from data_channels.store.session import BAR_COLUMNS, READING_COLUMNS, SERIES, SLACK, Dialect, Session, Table
from data_channels.store.sql import SqlStore, make_tables
from trading_core.domain.errors import ConfigurationError, StoreUnavailable

_POOL = 8  # connections at most; they are opened when they are needed
_WRITERS = 4  # at once: each may need a second connection, for a partition
_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 300.0  # a month of a large history takes long to fold
# Who makes tables holds this lock. Two that made the same partition at once would fail.
_MAKING = "SELECT pg_advisory_xact_lock(hashtextextended('algotrendy timeseries', 0))"

_TIME = {"readings": "published_at", "bars": "opened_at"}
_COLUMNS = {"readings": READING_COLUMNS.split(", "), "bars": BAR_COLUMNS.split(", ")}
_TABLES = (
    *SERIES,
    """CREATE TABLE IF NOT EXISTS timeseries.readings (
        series INTEGER NOT NULL, published_at TIMESTAMPTZ NOT NULL, observed_at TIMESTAMPTZ NOT NULL, value NUMERIC NOT NULL,
        unit TEXT NOT NULL, quality NUMERIC NOT NULL, count BIGINT NOT NULL, spread NUMERIC, step INTEGER NOT NULL,
        merged BIGINT NOT NULL, total NUMERIC, low NUMERIC, high NUMERIC, PRIMARY KEY (series, published_at, observed_at)
        ) PARTITION BY RANGE (published_at)""",
    "CREATE INDEX IF NOT EXISTS readings_published_at ON timeseries.readings USING brin (published_at)",
    """CREATE TABLE IF NOT EXISTS timeseries.folds (
        series INTEGER NOT NULL, opened_at TIMESTAMPTZ NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (series, opened_at, step))""",
    """CREATE TABLE IF NOT EXISTS timeseries.bars (
        series INTEGER NOT NULL, opened_at TIMESTAMPTZ NOT NULL, open NUMERIC NOT NULL, high NUMERIC NOT NULL,
        low NUMERIC NOT NULL, close NUMERIC NOT NULL, volume NUMERIC NOT NULL, PRIMARY KEY (series, opened_at)
        ) PARTITION BY RANGE (opened_at)""",
    "CREATE INDEX IF NOT EXISTS bars_opened_at ON timeseries.bars USING brin (opened_at)",
)
_DIALECT = Dialect(
    exact="{}",
    keep_first="ON CONFLICT DO NOTHING",
    # What was published last need not be the newest observation. What is newer than it was published after it was so, and nothing
    # is observed later than `SLACK` after it was published: the few rows from there on are looked at.
    newest=f"""
        SELECT s.source, s.symbol, s.name, r.published_at, r.observed_at, r.value, r.unit, r.quality, r.count, r.spread, r.step,
            r.merged, r.total, r.low, r.high
        FROM timeseries.reading_series s
        CROSS JOIN LATERAL (
            SELECT observed_at - INTERVAL '{SLACK.total_seconds()} seconds' AS earliest FROM timeseries.readings
            WHERE series = s.id AND published_at > $3 AND published_at <= $2
            ORDER BY published_at DESC, observed_at DESC LIMIT 1) l
        CROSS JOIN LATERAL (
            SELECT * FROM timeseries.readings
            WHERE series = s.id AND published_at >= l.earliest AND published_at > $3 AND published_at <= $2
            ORDER BY observed_at DESC, published_at DESC LIMIT 1) r
        WHERE s.symbol = $1 ORDER BY s.source, s.name""",
)


class PostgresStore(SqlStore):
    """A `TimeSeriesStore` in a PostgreSQL database. `open` opens it."""

    def __init__(self, name: str, pool: asyncpg.Pool) -> None:
        super().__init__(name)
        self._pool = pool
        self._writers = asyncio.Semaphore(_WRITERS)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect, and make the schema when it is not there.

        Args:
            url: `postgresql://user:password@host/database`.

        Raises:
            ConfigurationError: the URL cannot be meant, or the tables are newer than this code.
            StoreUnavailable: the server is out of reach, or does not let the desk in.
        """
        name = _shown(url)
        with _postgres_errors():
            pool = await asyncpg.create_pool(
                url,
                min_size=0,
                max_size=_POOL,
                timeout=_CONNECT_SECONDS,
                command_timeout=_STATEMENT_SECONDS,
                server_settings={"timezone": "UTC", "application_name": "algotrendy timeseries", "jit": "off"},
            )
        store = cls(name, pool)
        try:
            async with store._writing() as session:
                await session.run(_MAKING)
                await make_tables(session, _TABLES, name)
        except BaseException:
            await store.close()
            raise
        return store

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Session]:
        connection = await self._connection()
        try:
            yield PostgresSession(connection, self)
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Session]:
        async with self._writers:
            connection = await self._connection()
            try:
                transaction = connection.transaction()
                with _postgres_errors():
                    await transaction.start()
                try:
                    yield PostgresSession(connection, self)
                except BaseException:
                    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # it ends with the connection, too
                        await transaction.rollback()
                    raise
                with _postgres_errors("Whether the transaction was written is not known; it does no harm to write it again"):
                    await transaction.commit()
            finally:
                await self._pool.release(connection)

    async def _connection(self) -> asyncpg.pool.PoolConnectionProxy:
        with _postgres_errors():
            return await self._pool.acquire()

    async def make_months(self, table: Table, instants: Iterable[datetime]) -> None:
        """See that there is a partition for each of these instants.

        They are attached to the table, which waits neither for readers nor for writers; `CREATE TABLE … PARTITION OF` would
        wait for both, and for ever where one of them waits for the partition.
        """
        with _postgres_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_MAKING)
                for name, instant in sorted({_partition(table, instant): instant for instant in instants}.items()):
                    if await connection.fetchval("SELECT to_regclass($1)", f"timeseries.{name}") is None:
                        start, end = _month(instant)
                        await connection.execute(
                            f"CREATE TABLE timeseries.{name} (LIKE timeseries.{table} INCLUDING DEFAULTS INCLUDING INDEXES); "
                            f"ALTER TABLE timeseries.{table} ATTACH PARTITION timeseries.{name} "
                            f"FOR VALUES FROM ('{start:%Y-%m-%d}') TO ('{end:%Y-%m-%d}')"
                        )

    async def size(self) -> int:
        """Bytes of all tables and indexes of the schema."""
        async with self._reading() as session:
            rows = await session.rows(
                "SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'timeseries' AND c.relkind = 'r'"
            )
            return int(rows[0][0])

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def _tidy_up(self) -> None:
        """The server does it by itself (autovacuum)."""


class PostgresSession:
    """One connection of the pool."""

    dialect = _DIALECT

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy, store: PostgresStore) -> None:
        self._connection, self._store = connection, store

    async def rows(self, sql: str, *arguments: object) -> Sequence[Sequence[Any]]:
        """What a query gives."""
        with _postgres_errors():
            return [tuple(row) for row in await self._connection.fetch(sql, *arguments)]

    async def run(self, sql: str, *arguments: object) -> int:
        """Run a statement; how many rows it touched."""
        with _postgres_errors():
            count = str(await self._connection.execute(sql, *arguments)).rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def stage(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Copy rows into a temporary table, which stays with the connection and is emptied when the transaction ends."""
        await self.run(f"CREATE TEMP TABLE IF NOT EXISTS staged_{table} (LIKE timeseries.{table}) ON COMMIT DELETE ROWS")
        await self.run(f"TRUNCATE staged_{table}")
        with _postgres_errors():
            await self._connection.copy_records_to_table(f"staged_{table}", records=rows, columns=_COLUMNS[table])

    async def make_room(self, table: Table, instants: Iterable[datetime]) -> None:
        """Make the partitions of these months that are not there, outside this transaction.

        It is looked each time: another program may have dropped one.
        """
        wanted = {_partition(table, instant): instant for instant in instants}
        sql = "SELECT relname FROM pg_class WHERE relnamespace = CAST('timeseries' AS regnamespace) AND relname = ANY($1)"
        for row in await self.rows(sql, sorted(wanted)):
            del wanted[row[0]]
        if wanted:
            await self._store.make_months(table, wanted.values())

    async def drop_whole(self, table: Table, before: datetime) -> int:
        """Drop the partitions that end by then."""
        found = await self.rows(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = CAST($1 AS regclass) ORDER BY c.relname",
            f"timeseries.{table}",
        )
        last = _partition(table, before)
        names = [row[0] for row in found if row[0] < last]  # they are named by month, so that names are in the order of time
        rows = 0
        for name in names:
            counted = await self.rows(f"SELECT count(*) FROM timeseries.{name}")
            rows += int(counted[0][0])
            await self.run(f"DROP TABLE timeseries.{name}")
        return rows


@contextmanager
def _postgres_errors(not_done: str = "Nothing of the transaction was written") -> Iterator[None]:
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        said = " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
        raise StoreUnavailable(
            f"the time series database failed: {said[:300]}",
            not_done=not_done,
            next_step="Check that it runs, that the user may create a schema in it, and its disk space",
        ) from error


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        raise ConfigurationError("the URL of the time series cannot be read", next_step="Give postgresql://…") from None
    user = f"{parts.username}@" if parts.username else ""
    return f"postgresql://{user}{host}{parts.path}"


def _month(instant: datetime) -> tuple[datetime, datetime]:
    start = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def _partition(table: Table, instant: datetime) -> str:
    return f"{table}_{instant.astimezone(UTC):%Y_%m}"
