"""The port of the time series store, and what goes in and comes out.

Everything in it has an instant from which it was known: a bar from its close, a reading from its `published_at`. Whoever asks
names an `as_of` and gets nothing that became known later.

    async with await open_store("timeseries.duckdb") as store:
        await store.put_bars(BarKey("binance", "BTC/USDT", Timeframe("1h")), bars)
        await store.newest("BTC/USDT", as_of=instant)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Generic, Protocol, TypeVar

from data_channels.market.series import Gap
from data_channels.store.retention import Pruned, Retention
from trading_core.domain.market import Bar, Reading, Timeframe


@dataclass(frozen=True, slots=True, order=True)
class ReadingKey:
    """One series of readings: who says it, of what, and what is measured."""

    source: str
    symbol: str
    name: str

    def __str__(self) -> str:
        return f"{self.source} {self.symbol} {self.name}"


@dataclass(frozen=True, slots=True)
class BarKey:
    """One series of bars. `venue` is ccxt's id, or any name for prices from elsewhere."""

    venue: str
    symbol: str
    timeframe: Timeframe

    def __str__(self) -> str:
        return f"{self.venue} {self.symbol} {self.timeframe}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the rows that were put.

    Attributes:
        added: were not there.
        replaced: readings that were there with another value under the same key; the new one counts.
        unchanged: were there already.
        folded: readings of an hour or a day that was summed up since (see `Retention`), and cannot be put into it again.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    folded: int = 0

    @property
    def total(self) -> int:
        return self.added + self.replaced + self.unchanged + self.folded

    def __add__(self, other: Stored) -> Stored:
        return Stored(
            self.added + other.added,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.folded + other.folded,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """One reading, or what is left of all those that were published in one hour or one day.

    Attributes:
        last: the newest observation among them; its `published_at` is that of the one published last, from which all this counts.
        merged: how many there were.
        total: their sum, exact.
        low: the lowest value.
        high: the highest value.
    """

    last: Reading
    merged: int
    total: Decimal
    low: Decimal
    high: Decimal

    @property
    def mean(self) -> Decimal:
        """The mean value, at 28 significant digits."""
        with localcontext(prec=28):
            return self.total / self.merged


Key = TypeVar("Key", BarKey, ReadingKey)


@dataclass(frozen=True, slots=True)
class Span(Generic[Key]):
    """What there is of a series.

    Attributes:
        start: when the first bar opens, or the first reading was published.
        end: when the last bar closes, or the last reading was published.
        count: of bars, or of the readings that were put.
        rows: kept; fewer than `count` where readings were summed up.
    """

    key: Key
    start: datetime
    end: datetime
    count: int
    rows: int


class Writing(Protocol):
    """One transaction: all of it is kept, or nothing."""

    async def put(self, readings: Sequence[Reading]) -> Stored:
        """Keep readings. The same one again changes nothing; another value under the same key replaces the one there.

        The key is source, symbol, name, `published_at` and `observed_at`: a revision is published later, and stands beside
        what it revises.

        Raises:
            InvalidInput: a number or name that cannot be kept, an instant without a time zone, or a reading that was published
                before it was so.
            StoreUnavailable: the database failed.
        """
        ...

    async def put_bars(self, key: BarKey, bars: Sequence[Bar]) -> Stored:
        """Keep closed bars of one series, in any order. The same bar again changes nothing.

        Raises:
            MarketDataError: a bar is there with other numbers; it is named, and the transaction must be given up.
            InvalidInput: a bar contradicts itself, starts where none can, or has a number that cannot be kept.
            StoreUnavailable: the database failed.
        """
        ...

    async def differing(self, key: BarKey, bars: Sequence[Bar]) -> tuple[Bar, Bar] | None:
        """The first of these bars that is kept with other numbers: as given, and as kept."""
        ...

    async def remember(self, digest: str, rows: int) -> None:
        """Note that a file was taken over whole.

        Args:
            digest: of its content and of what it was taken for.
            rows: that it had.
        """
        ...


class TimeSeriesStore(Protocol):
    """Bars and readings over time. `name` is shown to people, without a password.

    Every method raises StoreUnavailable when the database fails, and InvalidInput for an instant without a time zone.
    """

    name: str

    async def put(self, readings: Sequence[Reading]) -> Stored:
        """Keep readings, in a transaction of their own (see `Writing.put`). This makes it a sink of the hub."""
        ...

    async def put_bars(self, key: BarKey, bars: Sequence[Bar]) -> Stored:
        """Keep bars, in a transaction of their own (see `Writing.put_bars`)."""
        ...

    def writing(self) -> AbstractAsyncContextManager[Writing]:
        """A transaction that commits at the end of the block and rolls back on any error. They do not nest."""
        ...

    async def newest(self, symbol: str, *, as_of: datetime) -> tuple[Reading, ...]:
        """Of every series of the symbol the newest observation published at or before `as_of`, by source and name.

        Of two of the same instant the one published last counts: it is the revision.
        """
        ...

    async def readings(self, key: ReadingKey, *, start: datetime, as_of: datetime) -> tuple[Reading, ...]:
        """The readings published in `(start, as_of]`, oldest first. Of a time that was summed up: the last of each hour or day.

        For the newest first, reverse them; for the newest alone there is `newest`.
        """
        ...

    async def summaries(self, key: ReadingKey, *, start: datetime, as_of: datetime) -> tuple[Summary, ...]:
        """The same readings, with what they sum up."""
        ...

    async def bars(self, key: BarKey, *, as_of: datetime, limit: int) -> tuple[Bar, ...]:
        """Up to `limit` newest bars closed at `as_of`, oldest first; gaps stay gaps."""
        ...

    async def bars_between(self, key: BarKey, *, start: datetime, end: datetime) -> tuple[Bar, ...]:
        """The bars that closed in `(start, end]`, oldest first."""
        ...

    async def gaps(self, key: BarKey) -> tuple[Gap, ...]:
        """Every run of missing bars between the first and the last one, oldest first."""
        ...

    async def bar_spans(self) -> tuple[Span[BarKey], ...]:
        """Every series of bars, by venue, symbol and length."""
        ...

    async def reading_spans(self) -> tuple[Span[ReadingKey], ...]:
        """Every series of readings, by source, symbol and name."""
        ...

    async def remembers(self, digest: str) -> bool:
        """Whether a file was taken over whole before."""
        ...

    async def prune(self, retention: Retention, *, now: datetime) -> Pruned:
        """Sum up and remove what is older than it is kept for. A prune that was killed goes on with the next."""
        ...

    async def size(self) -> int:
        """Bytes it takes."""
        ...

    async def close(self) -> None: ...
