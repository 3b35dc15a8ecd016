"""The store as both databases have it: each method is a session and one of the functions over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from data_channels.market.series import Gap
from data_channels.store import bar_table, reading_table
from data_channels.store.base import BarKey, ReadingKey, Span, Stored, Summary, Writing
from data_channels.store.retention import Pruned, Retention, Step
from data_channels.store.session import VERSION, Session
from trading_core.domain.clock import utc
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import Bar, Reading


class SqlWriting:
    """A `Writing` over a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def put(self, readings: Sequence[Reading]) -> Stored:
        return await reading_table.put(self._session, readings)

    async def put_bars(self, key: BarKey, bars: Sequence[Bar]) -> Stored:
        return await bar_table.put(self._session, key, bars)

    async def differing(self, key: BarKey, bars: Sequence[Bar]) -> tuple[Bar, Bar] | None:
        return await bar_table.differing(self._session, key, bars)

    async def remember(self, digest: str, rows: int) -> None:
        sql = "INSERT INTO timeseries.files (digest, row_count) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        await self._session.run(sql, digest, rows)


class SqlStore(ABC):
    """A `TimeSeriesStore` over one kind of database, which gives the sessions.

    Args:
        name: for people, without a password.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def _reading(self) -> AbstractAsyncContextManager[Session]:
        """A session that reads."""

    @abstractmethod
    def _writing(self) -> AbstractAsyncContextManager[Session]:
        """A session inside a transaction, which commits at the end of the block and rolls back on any error."""

    @abstractmethod
    async def size(self) -> int:
        """Bytes it takes."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection. The store must not be used afterwards."""

    @abstractmethod
    async def _tidy_up(self) -> None:
        """Give back the space of removed rows, where the database does not by itself."""

    async def put(self, readings: Sequence[Reading]) -> Stored:
        async with self._writing() as session:
            return await reading_table.put(session, readings)

    async def put_bars(self, key: BarKey, bars: Sequence[Bar]) -> Stored:
        async with self._writing() as session:
            return await bar_table.put(session, key, bars)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        async with self._writing() as session:
            yield SqlWriting(session)

    async def newest(self, symbol: str, *, as_of: datetime) -> tuple[Reading, ...]:
        async with self._reading() as session:
            return await reading_table.newest(session, symbol, as_of)

    async def readings(self, key: ReadingKey, *, start: datetime, as_of: datetime) -> tuple[Reading, ...]:
        return tuple(summary.last for summary in await self.summaries(key, start=start, as_of=as_of))

    async def summaries(self, key: ReadingKey, *, start: datetime, as_of: datetime) -> tuple[Summary, ...]:
        async with self._reading() as session:
            return await reading_table.between(session, key, start, as_of)

    async def bars(self, key: BarKey, *, as_of: datetime, limit: int) -> tuple[Bar, ...]:
        async with self._reading() as session:
            return await bar_table.closed(session, key, as_of, limit)

    async def bars_between(self, key: BarKey, *, start: datetime, end: datetime) -> tuple[Bar, ...]:
        async with self._reading() as session:
            return await bar_table.between(session, key, start, end)

    async def gaps(self, key: BarKey) -> tuple[Gap, ...]:
        async with self._reading() as session:
            return await bar_table.gaps(session, key)

    async def bar_spans(self) -> tuple[Span[BarKey], ...]:
        async with self._reading() as session:
            return await bar_table.spans(session)

    async def reading_spans(self) -> tuple[Span[ReadingKey], ...]:
        async with self._reading() as session:
            return await reading_table.spans(session)

    async def remembers(self, digest: str) -> bool:
        async with self._reading() as session:
            return bool(await session.rows("SELECT 1 FROM timeseries.files WHERE digest = $1", digest))

    async def prune(self, retention: Retention, *, now: datetime) -> Pruned:
        now, folded, removed, bars = utc(now), 0, 0, 0
        # What is to be removed anyway is removed first, so that it need not be folded.
        async with self._writing() as session:
            if retention.readings is not None:
                removed = await reading_table.remove(session, now - retention.readings)
            if retention.bars is not None:
                bars = await bar_table.remove(session, now - retention.bars)
        # Hours first: the days are then made of few rows.
        for step, kept in ((Step.HOUR, retention.raw), (Step.DAY, retention.hourly)):
            before = step.floor(now - kept)
            async with self._reading() as session:
                fine = await reading_table.to_fold(session, step, before)
            for series in fine:
                folded += await self._fold(series, step, before)
        await self._tidy_up()
        return Pruned(folded, removed, bars)

    async def _fold(self, series: int, step: Step, before: datetime) -> int:
        total = 0
        while True:
            async with self._writing() as session:
                fewer = await reading_table.fold_some(session, series, step, before)
            if fewer is None:
                return total
            total += fewer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def make_tables(session: Session, statements: Iterable[str], name: str) -> None:
    """Make what is not there yet.

    Raises:
        ConfigurationError: the tables are newer than this code.
    """
    for statement in statements:
        await session.run(statement)
    rows = await session.rows("SELECT version FROM timeseries.version")
    if not rows:
        await session.run("INSERT INTO timeseries.version (version) VALUES ($1)", VERSION)
    elif rows[0][0] > VERSION:
        raise ConfigurationError(
            f"the time series in {name} are of version {rows[0][0]}, and this program knows up to {VERSION}",
            not_done="Nothing was opened",
            next_step="Update the program, or give another store",
        )
