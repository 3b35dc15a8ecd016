"""Strict reading of a JSON answer: what is not as documented is named by its place, and never guessed at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeAlias

from trading_core.domain.errors import ChannelUnavailable

Json: TypeAlias = "bool | int | Decimal | str | list[Json] | dict[str, Json] | None"

_LARGEST = Decimal("1e30")
_SMALLEST_EXPONENT = -60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 4_102_444_800  # 2100-01-01: what lies beyond was told in another unit


@dataclass(frozen=True, slots=True)
class Node:
    """A value in an answer, and the way to it.

    Every reader raises `ChannelUnavailable` for a value of another type. The error names the service, the path and the place,
    and says the type that was found, never the value.
    """

    value: Json
    service: str
    path: str
    place: str = ""

    def field(self, name: str) -> Node:
        """A field that must be there."""
        fields = self._fields()
        if name not in fields:
            self._changed(f"{self._of(name)} is missing")
        return self._at(fields[name], self._of(name))

    def optional(self, name: str) -> Node | None:
        """A field that may be missing or null."""
        value = self._fields().get(name)
        return None if value is None else self._at(value, self._of(name))

    def items(self) -> Sequence[Node]:
        """The elements of a list."""
        if not isinstance(self.value, list):
            self._changed(f"{self._here()} should be a list and is {_kind(self.value)}")
        return [self._at(item, f"{self.place}[{index}]") for index, item in enumerate(self.value)]

    def values(self) -> Sequence[Node]:
        """The values of an object whose field names are data."""
        return [self._at(value, f"{self.place}.*") for value in self._fields().values()]

    def text(self) -> str:
        if not isinstance(self.value, str):
            self._changed(f"{self._here()} should be a text and is {_kind(self.value)}")
        return self.value

    def number(self) -> Decimal:
        """A number, written as one or as a text of digits, exact. Nothing on earth is counted beyond 1e30 here."""
        number: Decimal | None = None
        if isinstance(self.value, str):
            try:
                number = Decimal(self.value)
            except InvalidOperation:
                number = None
        elif isinstance(self.value, int | Decimal) and not isinstance(self.value, bool):
            number = Decimal(self.value)
        if number is None or not number.is_finite() or abs(number) > _LARGEST:
            self._changed(f"{self._here()} should be a number and is {_kind(self.value)}")
        exponent = number.as_tuple().exponent
        return number if isinstance(exponent, int) and exponent >= _SMALLEST_EXPONENT else round(number, 30)

    def integer(self) -> int:
        """A whole number, written as one."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self._changed(f"{self._here()} should be a whole number and is {_kind(self.value)}")
        return self.value

    def count(self) -> int:
        """A whole number of things, so not below zero."""
        number = self.integer()
        if number < 0:
            self._changed(f"{self._here()} should be a count and is below zero")
        return number

    def instant(self) -> datetime:
        """A Unix time in whole seconds."""
        seconds = self.integer()
        if not 0 < seconds < _LAST_SECOND:
            self._changed(f"{self._here()} should be a time in seconds and lies outside this century")
        return _EPOCH + timedelta(seconds=seconds)

    def _fields(self) -> dict[str, Json]:
        if not isinstance(self.value, dict):
            self._changed(f"{self._here()} should be an object and is {_kind(self.value)}")
        return self.value

    def _at(self, value: Json, place: str) -> Node:
        return Node(value, self.service, self.path, place)

    def _of(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def _here(self) -> str:
        return self.place or "the answer"

    def _changed(self, what: str) -> NoReturn:
        raise ChannelUnavailable(
            f"{self.service} {self.path}: {what}",
            not_done="Nothing of this answer was used",
            next_step="The service has changed; look for a newer version of this desk",
        )


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
