"""Reading one file of bars, and refusing it at its first offence."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from data_channels.market.grid import anchor
from trading_core.domain.clock import from_ms, iso, to_ms
from trading_core.domain.errors import BadMarketFile
from trading_core.domain.market import Bar, Timeframe

COLUMNS = ("ts", "open", "high", "low", "close", "volume")

_NUMBER = r"[+-]?\d{1,24}(?:\.\d{1,24})?(?:[eE][+-]?\d{1,2})?"
_IS_NUMBER = re.compile(_NUMBER, re.ASCII)
_IS_INTEGER = re.compile(r"\d{1,19}", re.ASCII)
_LINE = re.compile(r"(\d{1,19})" + rf",({_NUMBER})" * 5, re.ASCII)

# Outside these a time is in another unit: seconds fall in 1970, the microseconds of newer Binance dumps far past 2100.
_EARLIEST_MS = 1_230_940_800_000  # 2009-01-03, Bitcoin's first block
_LATEST_MS = 4_102_444_800_000  # 2100-01-01

_Row = tuple[int, int, Decimal, Decimal, Decimal, Decimal, Decimal]
"""Line (1-based), time in ms UTC, open, high, low, close, volume."""


def read_bars(path: Path, timeframe: Timeframe) -> list[Bar]:
    """Every bar of a `.csv`, `.csv.gz` or `.parquet` file, oldest first, with prices exactly as written there.

    Raises:
        BadMarketFile: the file cannot be read, or one of its rows breaks a rule: six columns under the right names, finite
            numbers, times in ms on the grid of the timeframe and strictly ascending, prices that do not contradict each other.
    """
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    bars = list(checked(path, rows, timeframe))
    if not bars:
        raise BadMarketFile(str(path), 0, "it holds no bars")
    return bars


def checked(path: Path, rows: Iterable[_Row], timeframe: Timeframe) -> Iterator[Bar]:
    origin, step = to_ms(anchor(timeframe)), timeframe.length // timedelta(milliseconds=1)
    previous = -1
    for line, ts, *values in rows:
        if not _EARLIEST_MS <= ts < _LATEST_MS:
            raise BadMarketFile(str(path), line, f"ts {ts} does not lie between 2009 and 2100 when read as ms")
        if (ts - origin) % step:
            raise BadMarketFile(str(path), line, f"ts {ts} ({iso(from_ms(ts))}) is not where a {timeframe} bar opens")
        if ts <= previous:
            fault = "repeats" if ts == previous else "is before"
            raise BadMarketFile(str(path), line, f"ts {ts} ({iso(from_ms(ts))}) {fault} the one above it")
        previous = ts
        bar = Bar(from_ms(ts), *values)
        offence = bar.inconsistency()
        if offence:
            raise BadMarketFile(str(path), line, offence)
        yield bar


def _csv_rows(path: Path) -> Iterator[_Row]:
    header, *lines = _text(path).split("\n")
    if tuple(name.strip().lower() for name in header.split(",")) != COLUMNS:
        raise BadMarketFile(str(path), 1, f"the header is {header.strip()[:80]!r}")
    if lines and not lines[-1]:
        lines.pop()
    for number, text in enumerate(lines, start=2):
        match = _LINE.fullmatch(text.rstrip("\r"))
        if match is None:
            raise BadMarketFile(str(path), number, _what_is_wrong(text.rstrip("\r")))
        ts, open_, high, low, close, volume = match.groups()
        yield number, int(ts), Decimal(open_), Decimal(high), Decimal(low), Decimal(close), Decimal(volume)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise BadMarketFile(str(path), 0, _unreadable(error)) from error
    except UnicodeDecodeError as error:
        raise BadMarketFile(str(path), 0, f"it is not text: byte {error.start} is not UTF-8") from error


def _what_is_wrong(text: str) -> str:
    """Why a line did not parse."""
    cells = text.split(",")
    if len(cells) != len(COLUMNS):
        return "the line is empty" if not text else f"it has {len(cells)} columns, not {len(COLUMNS)}"
    if not _IS_INTEGER.fullmatch(cells[0]):
        return f"ts is {cells[0][:40]!r}, which is not a whole number of ms"
    name, cell = next(pair for pair in zip(COLUMNS[1:], cells[1:], strict=True) if not _IS_NUMBER.fullmatch(pair[1]))
    return f"{name} is {cell[:40]!r}, which is not a finite number"


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow as pa  # here, because it takes a quarter of a second that readers of CSV need not wait for
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise BadMarketFile(str(path), 0, _unreadable(error)) from error
    if sorted(table.column_names) != sorted(COLUMNS):
        raise BadMarketFile(str(path), 0, f"its columns are {', '.join(table.column_names)[:120]}")
    for name in COLUMNS:
        kind = table.schema.field(name).type
        exact = pa.types.is_integer(kind) if name == "ts" else pa.types.is_float64(kind) or pa.types.is_decimal(kind)
        if not exact:
            wanted = "int64" if name == "ts" else "float64 or decimal"
            raise BadMarketFile(str(path), 0, f"column {name} is {kind}, not {wanted}")
    columns = [table.column(name).to_pylist() for name in COLUMNS]
    for number, (ts, *values) in enumerate(zip(*columns, strict=True), start=1):
        if ts is None or None in values:
            raise BadMarketFile(str(path), number, "a value is missing")
        # repr of a float is its shortest exact text, which gives back the price that was written.
        open_, high, low, close, volume = (value if isinstance(value, Decimal) else Decimal(repr(value)) for value in values)
        yield number, ts, open_, high, low, close, volume


def _unreadable(error: Exception) -> str:
    detail = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return f"it cannot be read: {detail[:160]}"
