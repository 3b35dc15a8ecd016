"""Column types that bring back exactly what was put in, on SQLite and on PostgreSQL.

SQLite has neither exact decimals nor time zones, and the stock types would pass amounts through float and drop the zone.
Values that cannot be kept exactly are refused before they reach the database.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import TIMESTAMP, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.money import plain

Choice = TypeVar("Choice", bound=StrEnum)


class Exact(TypeDecorator[Decimal]):
    """A finite `Decimal`: plain text on SQLite, NUMERIC on PostgreSQL.

    The text form does not sort as a number: compare and add amounts in Python, never in a query.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(asdecimal=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | Decimal | None:
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise InvalidInput(f"{value!r} is not a finite Decimal", not_done="Nothing was written")
        return value if dialect.name == "postgresql" else plain(value)

    def process_result_value(self, value: str | Decimal | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class UtcTime(TypeDecorator[datetime]):
    """An instant in UTC, to the microsecond: ISO text on SQLite, timestamptz on PostgreSQL. Naive times are refused.

    The text always has six digits of microseconds, so that it sorts as the instants do.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

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


class JsonText(TypeDecorator[object]):
    """Any JSON value, as text with sorted keys. What JSON cannot keep (Decimal, datetime, NaN) is refused."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        if value is None:
            return None
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"a record holds what JSON cannot keep: {error}",
                not_done="Nothing was written",
                next_step="Give numbers as text and times as ISO text",
            ) from None

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else json.loads(value)


class Texts(JsonText):
    """A tuple of texts, as a JSON list."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else tuple(json.loads(value))


class OneOf(TypeDecorator[Choice], Generic[Choice]):
    """A member of `choices`, as its value. Text from outside the enum cannot be written or read."""

    impl = Text
    cache_ok = True

    def __init__(self, choices: type[Choice]) -> None:
        super().__init__()
        self.choices = choices

    def process_bind_param(self, value: Choice | None, dialect: Dialect) -> str | None:
        return None if value is None else self.choices(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Choice | None:
        return None if value is None else self.choices(value)
