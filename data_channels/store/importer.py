"""Taking files over into the store: each whole, or not at all.

A file is one transaction. What is there already is skipped: a file that was taken over before is known by its content, and a
bar or reading that came another way is found to be there. So an import that was killed goes on where it was when it is started
again, with the file it was at.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from data_channels.market.bar_files import COLUMNS
from data_channels.market.file_names import SUFFIXES, parse_name
from data_channels.store import bar_table, reading_table
from data_channels.store.base import BarKey, Stored, TimeSeriesStore, Writing
from data_channels.store.file_rows import OPTIONAL_COLUMNS, READING_COLUMNS, bars_in, holds_bars, readings_in
from data_channels.store.rows import Offence, Rows, open_rows
from trading_core.domain.clock import iso
from trading_core.domain.errors import BadMarketFile, InvalidInput, MarketDataError
from trading_core.domain.market import Bar, Reading

Row = TypeVar("Row", Bar, Reading)

_BATCH = 10_000  # rows in memory at once


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is.

    Attributes:
        done: the part of the file that was read, 0 to 1.
        rows: that were taken over.
    """

    path: Path
    done: float
    rows: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A file that was taken over.

    Attributes:
        series: of its bars; None for readings.
        known: it was taken over before, and was not read again.
    """

    path: Path
    series: BarKey | None
    stored: Stored
    known: bool = False


Tell = Callable[[Progress], None]


def files_in(path: Path) -> list[Path]:
    """A file itself, or those of a folder that can be imported, in order.

    Raises:
        InvalidInput: there is nothing of the kind.
    """
    if path.is_file():
        return [path]
    found = sorted(each for each in path.iterdir() if each.name.endswith(SUFFIXES)) if path.is_dir() else []
    if not found:
        raise InvalidInput(
            f"{path} is no folder with files to import" if path.is_dir() else f"{path} is neither a file nor a folder",
            not_done="Nothing was imported",
            next_step=f"Give files that end in {', '.join(SUFFIXES)}, or a folder of them",
        )
    return found


async def import_file(store: TimeSeriesStore, path: Path, *, venue: str | None, tell: Tell) -> Imported:
    """Take over one file of bars or readings.

    Args:
        venue: whose the bars are; what the file's name says when None.
        tell: is called as it goes on.

    Raises:
        BadMarketFile: a file of bars with an offence, or with a bar that the store has with other numbers; it names the line.
        InvalidInput: a file of readings with an offence, with its line, or a file whose name does not say what it holds.
        StoreUnavailable: the database failed. Nothing of the file was kept in any of these cases.
    """
    with _refusing(path, bars=False):
        key = _bar_key(path, venue) if holds_bars(path) else None
    digest = await asyncio.to_thread(_digest, path, str(key) if key else "readings")
    if await store.remembers(digest):
        return Imported(path, key, Stored(), known=True)
    with _refusing(path, bars=key is not None), open_rows(path) as rows:
        async with store.writing() as writing:
            stored = await (_readings(writing, path, rows, tell) if key is None else _bars(writing, path, rows, key, tell))
            await writing.remember(digest, stored.total)
    return Imported(path, key, stored)


async def _bars(writing: Writing, path: Path, rows: Rows, key: BarKey, tell: Tell) -> Stored:
    stored, waiting = Stored(), bars_in(path, rows, key.timeframe)
    while batch := await asyncio.to_thread(lambda: list(islice(waiting, _BATCH))):
        try:
            stored += await writing.put_bars(key, batch)
        except InvalidInput as error:
            raise _offence(path, stored.total, batch, lambda bar: bar_table.check(key, bar), error) from error
        except MarketDataError as error:
            found = await writing.differing(key, batch)
            if found is None:
                raise
            given, kept = found
            reason = f"its bar at {iso(given.opened_at)} is not the one kept of {key}: {_apart(given, kept)}"
            raise Offence(_line(path, stored.total + batch.index(given)), reason) from error
        tell(Progress(path, rows.done, stored.total))
    if not stored.total:
        raise Offence(0, "it holds no bars")
    return stored


async def _readings(writing: Writing, path: Path, rows: Rows, tell: Tell) -> Stored:
    stored, waiting = Stored(), readings_in(rows)
    while batch := await asyncio.to_thread(lambda: list(islice(waiting, _BATCH))):
        try:
            stored += await writing.put(batch)
        except InvalidInput as error:
            raise _offence(path, stored.total, batch, reading_table.check, error) from error
        tell(Progress(path, rows.done, stored.total))
    if not stored.total:
        raise Offence(0, "it holds no readings")
    return stored


def _offence(path: Path, before: int, batch: Sequence[Row], check: Callable[[Row], None], error: InvalidInput) -> Offence:
    """Where the row stands that cannot be kept; each row of a file is one bar or reading."""
    for index, row in enumerate(batch):
        try:
            check(row)
        except InvalidInput as found:
            return Offence(_line(path, before + index), found.what)
    return Offence(0, error.what)


def _line(path: Path, index: int) -> int:
    return index + (1 if path.suffix == ".parquet" else 2)  # a CSV file begins with its header


def _apart(given: Bar, kept: Bar) -> str:
    names = [name for name in ("open", "high", "low", "close", "volume") if getattr(given, name) != getattr(kept, name)]
    return ", ".join(f"{name} {getattr(given, name)} and not {getattr(kept, name)}" for name in names)


def _bar_key(path: Path, venue: str | None) -> BarKey:
    named = parse_name(path)
    if named is None:
        raise Offence(0, "its name does not say a market and a timeframe, as binance_BTCUSDT_1h.csv.gz does")
    first = path.name.replace("-", "_").partition("_")[0]
    base, _, quote = named.symbol.partition("/")
    said = None if first.upper() in (base, base + quote) else first.lower()
    if venue is None and said is None:
        raise InvalidInput(
            f"{path.name} does not say whose bars they are",
            not_done="Nothing of it was imported",
            next_step="Give --venue, or name it like binance_BTCUSDT_1h.csv.gz",
        )
    return BarKey(venue or str(said), named.symbol, named.timeframe)


def _digest(path: Path, meaning: str) -> str:
    digest = hashlib.sha256(f"{meaning}\n".encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _refusing(path: Path, *, bars: bool) -> Iterator[None]:
    """Offences in the desk's words, each with its place."""
    try:
        yield
    except Offence as error:
        if bars:
            raise BadMarketFile(str(path), error.line, error.reason) from error
        where = f"{path}, line {error.line}" if error.line else str(path)
        raise InvalidInput(
            f"{where}: {error.reason}",
            not_done="Nothing of the file was imported",
            next_step=f"Bars have the columns {','.join(COLUMNS)}; readings have {','.join(READING_COLUMNS)} and may have "
            f"{','.join(OPTIONAL_COLUMNS)}",
        ) from error
