"""What the two databases have in common, and the few words in which they differ.

Every statement is written once, with `$1` for its first argument, which both understand, and runs on a `Session`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from data_channels.store.numbers import tidy

VERSION = 1
"""Of the tables. A store that is newer than the code is refused."""

SLACK = timedelta(hours=1)
"""How much later than its publication a reading may have been observed: clocks differ, but not by more."""

EVER = datetime(1900, 1, 1, tzinfo=UTC)
"""Before anything that can be kept."""

Table = Literal["readings", "bars"]

SERIES = (
    "CREATE SCHEMA IF NOT EXISTS timeseries",
    "CREATE TABLE IF NOT EXISTS timeseries.version (version INTEGER NOT NULL)",
    "CREATE SEQUENCE IF NOT EXISTS timeseries.series_id",
    """CREATE TABLE IF NOT EXISTS timeseries.reading_series (
        id INTEGER PRIMARY KEY DEFAULT nextval('timeseries.series_id'),
        source VARCHAR NOT NULL, symbol VARCHAR NOT NULL, name VARCHAR NOT NULL, UNIQUE (symbol, source, name))""",
    """CREATE TABLE IF NOT EXISTS timeseries.bar_series (
        id INTEGER PRIMARY KEY DEFAULT nextval('timeseries.series_id'),
        venue VARCHAR NOT NULL, symbol VARCHAR NOT NULL, timeframe VARCHAR NOT NULL, UNIQUE (venue, symbol, timeframe))""",
    "CREATE TABLE IF NOT EXISTS timeseries.files (digest VARCHAR PRIMARY KEY, row_count BIGINT NOT NULL)",
)
"""The tables that are small, in both databases alike."""

READING_COLUMNS = "series, published_at, observed_at, value, unit, quality, count, spread, step, merged, total, low, high"
BAR_COLUMNS = "series, opened_at, open, high, low, close, volume"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Words that differ.

    Attributes:
        exact: how a DECIMAL column is read without padding zeros; `{}` is the column.
        keep_first: what ends an INSERT that another writer may be ahead of.
        newest: of every series of symbol `$1` the newest observation that was published after `$3` and at or before `$2`, as
            published last.
    """

    exact: str
    keep_first: str
    newest: str


class Session(Protocol):
    """A connection, inside a transaction when it writes. Instants go in and come out as `aware` reads them."""

    dialect: Dialect

    async def rows(self, sql: str, *arguments: object) -> Sequence[Sequence[Any]]:
        """What a query gives."""
        ...

    async def run(self, sql: str, *arguments: object) -> int:
        """Run a statement; how many rows it touched."""
        ...

    async def stage(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Put rows, in the order of the table's columns, into `staged_readings` or `staged_bars`, in place of what was there."""
        ...

    async def make_room(self, table: Table, instants: Iterable[datetime]) -> None:
        """See that rows of these instants can be written."""
        ...

    async def drop_whole(self, table: Table, before: datetime) -> int:
        """Remove what lies before an instant and can be removed at one stroke; how many rows that were."""
        ...


def aware(instant: datetime) -> datetime:
    """An instant as a driver gives it: DuckDB's are UTC without saying so."""
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def number(value: Decimal | str) -> Decimal:
    """A number as a driver gives it: asyncpg writes 40000 as 4E+4."""
    return tidy(value) if isinstance(value, Decimal) else Decimal(value)
