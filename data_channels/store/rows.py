"""Reading a file of rows one by one, however long it is: CSV, CSV under gzip, or Parquet.

Cells of CSV are neither quoted nor padded, as bars and readings need no commas. Lines count from 1, the header among them; rows
of Parquet count from 1.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

Cell = object
"""Text in CSV; an int, Decimal, text or datetime in Parquet; None where Parquet has no value."""

_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_INTEGER = re.compile(r"\d{1,19}", re.ASCII)
_BATCH = 10_000  # rows of Parquet in memory at once
_LOOK = 1_000  # lines of CSV after which it is looked how far the file is: that is a call of the system


class Offence(Exception):
    """What makes a file unusable, and where.

    Args:
        line: 1-based; 0 when it concerns the whole file.
        reason: what is wrong there.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass
class Rows:
    """An open file: its columns, and its rows from the first on.

    Attributes:
        columns: as the file names them, in lower case.
        cells: line and cells of each row, in the order of the columns.
        done: the part of the file that was read, 0 to 1.
    """

    columns: tuple[str, ...]
    cells: Iterator[tuple[int, Sequence[Cell]]]
    done: float = 0.0


@contextmanager
def open_rows(path: Path) -> Iterator[Rows]:
    """Open a `.csv`, `.csv.gz` or `.parquet` file. What cannot be read is told while the rows are walked through.

    Raises:
        Offence: it cannot be read, or is no such file.
    """
    with ExitStack() as held:
        with _told():
            file = held.enter_context(path.open("rb"))
            rows = _parquet(file, held) if path.suffix == ".parquet" else _csv(file, path, held)
        yield rows


def number(cell: Cell, name: str) -> Decimal:
    """An exact, finite number. A float's shortest text gives back what was written.

    Raises:
        ValueError: it is none.
    """
    if isinstance(cell, Decimal | float) or (isinstance(cell, int) and not isinstance(cell, bool)):
        exact = cell if isinstance(cell, Decimal) else Decimal(repr(cell))
        if exact.is_finite():
            return exact
    elif isinstance(cell, str) and _NUMBER.fullmatch(cell):
        return Decimal(cell)
    raise ValueError(f"{name} is {_shown(cell)}, which is not a finite number")


def integer(cell: Cell, name: str) -> int:
    """A whole number that is not below zero.

    Raises:
        ValueError: it is none.
    """
    if isinstance(cell, int) and not isinstance(cell, bool) and cell >= 0:
        return cell
    if isinstance(cell, str) and _INTEGER.fullmatch(cell):
        return int(cell)
    raise ValueError(f"{name} is {_shown(cell)}, which is not a whole number")


def _csv(file: BinaryIO, path: Path, held: ExitStack) -> Rows:
    size = max(path.stat().st_size, 1)
    unpacked = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    text = held.enter_context(io.TextIOWrapper(unpacked, "utf-8-sig", newline="\n"))
    rows = Rows(tuple(name.strip().lower() for name in text.readline().rstrip("\r\n").split(",")), iter(()))

    def walk() -> Iterator[tuple[int, Sequence[Cell]]]:
        with _told():
            for line, content in enumerate(text, start=2):
                cells = content.rstrip("\n").removesuffix("\r").split(",")
                if len(cells) != len(rows.columns):
                    few = "the line is empty" if cells == [""] else f"it has {len(cells)} columns, not {len(rows.columns)}"
                    raise Offence(line, few)
                if line % _LOOK == 0:
                    rows.done = file.tell() / size
                yield line, cells
        rows.done = 1.0

    rows.cells = walk()
    return rows


def _parquet(file: BinaryIO, held: ExitStack) -> Rows:
    import pyarrow.parquet as pq  # here, because it takes a quarter of a second that readers of CSV need not wait for

    parquet = held.enter_context(pq.ParquetFile(file))
    fields, total = parquet.schema_arrow, max(parquet.metadata.num_rows, 1)
    rows = Rows(tuple(name.lower() for name in fields.names), iter(()))
    if len(set(rows.columns)) != len(rows.columns):
        raise Offence(0, f"two of its columns have one name: {', '.join(rows.columns)[:120]}")

    def walk() -> Iterator[tuple[int, Sequence[Cell]]]:
        line = 0
        with _told():
            for batch in parquet.iter_batches(_BATCH):
                columns = [_values(field, column) for field, column in zip(fields, batch.columns, strict=True)]
                for cells in zip(*columns, strict=True):
                    line += 1
                    rows.done = line / total
                    yield line, cells

    rows.cells = walk()
    return rows


def _values(field: pa.Field, column: pa.Array) -> list[Cell]:
    import pyarrow as pa

    kind = field.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise Offence(0, f"column {field.name} is {kind}, whose time zone is unsaid")
        column = column.cast(pa.timestamp("us", tz="UTC"))
    elif pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    elif pa.types.is_float16(kind) or pa.types.is_float32(kind):
        raise Offence(0, f"column {field.name} is {kind}, which does not hold a price exactly")
    values: list[Cell] = column.to_pylist()
    return values


@contextmanager
def _told() -> Iterator[None]:
    """Whatever a file can be that cannot be read, in one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Offence(0, f"it is not text: byte {error.start} of a block is not UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise Offence(0, _unreadable(error)) from error
    except Exception as error:
        import sys

        arrow = sys.modules.get("pyarrow")  # its errors can only come from where it is loaded
        if arrow is not None and isinstance(error, arrow.ArrowException):
            raise Offence(0, _unreadable(error)) from error
        raise


def _unreadable(error: Exception) -> str:
    detail = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return f"it cannot be read: {detail[:160]}"


def _shown(cell: Cell) -> str:
    return "missing" if cell is None else repr(cell)[:60]
