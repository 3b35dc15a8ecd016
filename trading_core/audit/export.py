"""The trail as CSV and as JSON Lines, one row at a time.

JSON Lines (https://jsonlines.org) holds the columns as they were hashed, so a chain can be verified from it alone. CSV (RFC 4180)
is for spreadsheets, which run a cell that begins like a formula: such a cell gets an apostrophe in front
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import fields

from trading_core.audit.chain import AuditRow

COLUMNS = tuple(field.name for field in fields(AuditRow))

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the full-width forms count in some locales

Line = Callable[[AuditRow], str]


def json_line(row: AuditRow) -> str:
    """The row as one JSON object, with its line end. `before` and `after` stay the texts that were hashed."""
    return json.dumps(_columns(row), separators=(",", ":"), ensure_ascii=False) + "\n"


def csv_line(row: AuditRow) -> str:
    """The row as one CSV record, with its line end."""
    return _record([_safe(value) for value in _columns(row).values()])


def csv_heading() -> str:
    """The names of the columns, as the first record."""
    return _record(COLUMNS)


def _columns(row: AuditRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in COLUMNS}


def _record(values: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(values)
    return buffer.getvalue()


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
