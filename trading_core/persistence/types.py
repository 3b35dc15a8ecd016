"""Column types that bring back exactly what was put in, on SQLite and on PostgreSQL.

SQLite has neither exact decimals nor time zones, and the stock types would pass amounts through float and drop the zone.
Values that cannot be kept exactly are refused before they reach the database.

PostgreSQL's text has no NUL, and UTF-8 has no lone surrogates. A venue or a model may send either, and a record of what it sent
must not fail: such characters are escaped (`\x10` and four hexadecimal digits), and come back as they were.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import TIMESTAMP, Dialect, Numeric
from sqlalchemy import Text as SqlText
from sqlalchemy.types import TypeDecorator, TypeEngine

from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.money import plain

Value = TypeVar("Value")
Member = TypeVar("Member", bound=StrEnum)

# What NUMERIC holds before and after the point (https://www.postgresql.org/docs/current/datatype-numeric.html). Of a number with
# more digits asyncpg writes 0 and says nothing.
_MOST_DIGITS, _MOST_PLACES = 131_072, 16_383

_ESCAPE = "\x10"  # DLE: made for this in ASCII, and found in no text that people write
_UNKEEPABLE = re.compile(f"[\0{_ESCAPE}\ud800-\udfff]")
_ESCAPED = re.compile(f"{_ESCAPE}([0-9a-f]{{4}})")


def _escaped(text: str) -> str:
    if _UNKEEPABLE.search(text) is None:
        return text
    return _UNKEEPABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if _ESCAPE in text else text


class _Written(TypeDecorator[Value]):
    """Stored as text, which sorts by code point on both databases: a server's locale, and its updates, change no order.

    https://wiki.postgresql.org/wiki/Locale_data_changes
    """

    impl = SqlText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return SqlText(collation="C") if dialect.name == "postgresql" else SqlText()


class Text(_Written[str]):
    """Any text, whatever is in it."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _escaped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _unescaped(value)


class Exact(TypeDecorator[Decimal]):
    """A finite `Decimal`: plain text on SQLite, NUMERIC on PostgreSQL.

    The text form does not sort as a number: compare and add amounts in Python, never in a query.
    """

    impl = SqlText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(SqlText())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | Decimal | None:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise InvalidInput(f"{value!r} is not a finite Decimal", not_done="Nothing was written")
        # Asked before the text is made, which could be of any length.
        if value and not -_MOST_PLACES <= value.adjusted() < _MOST_DIGITS:
            raise _out_of_range(value)
        text = plain(value)  # one form for equal amounts: NUMERIC keeps trailing zeros
        if len(text) > _MOST_PLACES and len(text.partition(".")[2]) > _MOST_PLACES:
            raise _out_of_range(value)
        return Decimal(text) if dialect.name == "postgresql" else text

    def process_result_value(self, value: str | Decimal | None, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(plain(value) if isinstance(value, Decimal) else value)  # asyncpg reads 100000 as 1.0E+5


def _out_of_range(value: Decimal) -> InvalidInput:
    return InvalidInput(
        f"a number with exponent {value.adjusted()} has too many digits",
        not_done="Nothing was written",
        next_step=f"A number may have {_MOST_DIGITS} digits before and {_MOST_PLACES} after the point",
    )


class UtcTime(TypeDecorator[datetime]):
    """An instant in UTC, to the microsecond: ISO text on SQLite, timestamptz on PostgreSQL. Naive times are refused.

    The text always has six digits of microseconds, so that it sorts as the instants do.
    """

    impl = SqlText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(SqlText())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | datetime | None:
        if value is None:
            return None
        instant = utc(value)
        if dialect.name == "postgresql":
            return instant
        return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: str | datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return utc(datetime.fromisoformat(value) if isinstance(value, str) else value)


class JsonText(_Written[Any]):
    """Any JSON value, as text with sorted keys. What JSON cannot keep (Decimal, datetime, NaN) is refused."""

    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return _escaped(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"a record holds what JSON cannot keep: {error}",
                not_done="Nothing was written",
                next_step="Give numbers as text and times as ISO text",
            ) from None

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else json.loads(_unescaped(value))


class Texts(JsonText):
    """A tuple of texts, as a JSON list."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else tuple(json.loads(_unescaped(value)))


class OneOf(_Written[Member]):
    """A member of `choices`, as its value. Text from outside the enum cannot be written or read."""

    cache_ok = True

    def __init__(self, choices: type[Member]) -> None:
        super().__init__()
        self.choices = choices

    def process_bind_param(self, value: Member | None, dialect: Dialect) -> str | None:
        return None if value is None else self.choices(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Member | None:
        return None if value is None else self.choices(value)
