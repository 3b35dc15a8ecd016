"""A request to Coinbase as its endpoints read it: query, body, dates and cursors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.venues.coinbase_orders import bad
from tests.venues.server import Key

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be made, and by whom."""

    key: Key
    query: Mapping[str, list[str]]
    body: Mapping[str, object]
    path: Mapping[str, str]

    def one(self, name: str) -> str | None:
        return self.query[name][0] if name in self.query else None

    def limit(self, otherwise: int, most: int) -> int:
        text = self.one("limit")
        if text is not None and not text.isdecimal():
            raise bad("limit is invalid")
        return min(int(text) if text is not None else otherwise, most)

    def within(self, first: str, last: str, at: str) -> bool:
        """Whether an instant lies between two parameters, both in: RFC 3339 in UTC, to the digit each of them has."""
        start, end, moment = self.one(first), self.one(last), at.rstrip("Z")
        return (start is None or moment >= start.rstrip("Z")) and (end is None or moment <= end.rstrip("Z"))

    def page(self, found: Sequence[Item], numbers: Sequence[int], limit: int) -> tuple[Sequence[Item], str]:
        """Those of the descending `numbers` below the cursor's, and the next page's cursor, empty where there is none."""
        cursor, first = self.one("cursor"), 0
        if cursor:
            try:
                below = int(base64.b64decode(cursor, validate=True))
            except ValueError:
                raise bad("cursor is invalid") from None
            first = next((at for at, number in enumerate(numbers) if number < below), len(found))
        last = first + limit
        if last >= len(found):
            return found[first:], ""
        return found[first:last], base64.b64encode(str(numbers[last - 1]).encode()).decode()


def parsed(body: str) -> Mapping[str, object]:
    """The JSON object of a body; an empty one has nothing in it."""
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise bad("proto: syntax error")
    return document
