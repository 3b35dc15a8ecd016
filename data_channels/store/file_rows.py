"""What the rows of a file say: bars, or readings.

Files of bars are those of `market/bar_files.py`: `ts,open,high,low,close,volume`, named like `binance_BTCUSDT_1h.csv.gz`.

Files of readings have these columns, in any order: `source`, `symbol` (`BTC/USDT`), `name`, `value`, `unit`, `observed_at`,
`published_at`, and if they like `quality` (1 where it is absent or empty), `count` (1) and `spread` (none). Times are ISO 8601
with an offset or Z, in Parquet also timestamps with a time zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from data_channels.market import bar_files
from data_channels.store.rows import Cell, Offence, Rows, integer, number, open_rows
from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar, Reading, Timeframe

READING_COLUMNS = ("source", "symbol", "name", "value", "unit", "observed_at", "published_at")
OPTIONAL_COLUMNS = ("quality", "count", "spread")


def holds_bars(path: Path) -> bool:
    """Whether the columns of a file are those of bars; else they must be those of readings.

    Raises:
        Offence: it cannot be read, or its columns are neither.
    """
    with open_rows(path) as rows:
        columns = set(rows.columns)
    if columns == set(bar_files.COLUMNS):
        return True
    if set(READING_COLUMNS) <= columns <= {*READING_COLUMNS, *OPTIONAL_COLUMNS}:
        return False
    raise Offence(0, f"its columns are {', '.join(rows.columns)[:120]}, which are neither those of bars nor of readings")


def bars_in(path: Path, rows: Rows, timeframe: Timeframe) -> Iterator[Bar]:
    """The bars of an open file, oldest first, each checked as `read_bars` checks it.

    Raises:
        Offence: a row that is no bar.
        BadMarketFile: a bar that cannot be, or does not follow the one before it.
    """
    if path.suffix != ".parquet" and rows.columns != bar_files.COLUMNS:
        raise Offence(1, f"the header is {','.join(rows.columns)[:80]!r}")
    yield from bar_files.checked(path, _bar_rows(rows), timeframe)


def readings_in(rows: Rows) -> Iterator[Reading]:
    """The readings of an open file.

    Raises:
        Offence: a row that is no reading.
    """
    places = {name: rows.columns.index(name) for name in (*READING_COLUMNS, *OPTIONAL_COLUMNS) if name in rows.columns}
    for line, cells in rows.cells:
        try:
            yield _reading({name: cells[place] for name, place in places.items()})
        except InvalidInput as error:
            raise Offence(line, error.what) from error
        except ValueError as error:
            raise Offence(line, str(error)) from error


def _bar_rows(rows: Rows) -> Iterator[tuple[int, int, Decimal, Decimal, Decimal, Decimal, Decimal]]:
    ts, *prices = (rows.columns.index(name) for name in bar_files.COLUMNS)
    names = bar_files.COLUMNS[1:]
    for line, cells in rows.cells:
        try:
            open_, high, low, close, volume = (number(cells[at], name) for at, name in zip(prices, names, strict=True))
            yield line, integer(cells[ts], "ts"), open_, high, low, close, volume
        except ValueError as error:
            raise Offence(line, str(error)) from error


def _reading(cells: dict[str, Cell]) -> Reading:
    quality, count, spread = (cells.get(name) for name in OPTIONAL_COLUMNS)
    return Reading(
        source=_text(cells, "source"),
        symbol=_text(cells, "symbol"),
        name=_text(cells, "name"),
        value=number(cells["value"], "value"),
        unit=_text(cells, "unit"),
        observed_at=_instant(cells["observed_at"], "observed_at"),
        published_at=_instant(cells["published_at"], "published_at"),
        quality=Decimal(1) if quality in (None, "") else number(quality, "quality"),
        count=1 if count in (None, "") else integer(count, "count"),
        spread=None if spread in (None, "") else number(spread, "spread"),
    )


def _text(cells: dict[str, Cell], name: str) -> str:
    cell = cells[name]
    if not isinstance(cell, str) or not cell:
        raise ValueError(f"{name} is empty")
    return cell


def _instant(cell: Cell, name: str) -> datetime:
    try:
        return utc(cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell)))
    except (ValueError, InvalidInput):
        raise ValueError(f"{name} is {str(cell)[:40]!r}, which is no time with an offset or Z") from None
