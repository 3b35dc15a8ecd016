"""Lists in pages. A cursor says where the last page ended; to the caller it is a word without a meaning."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from trading_core.domain.errors import InvalidInput

MOST, USUAL = 200, 50
_LONGEST = 400  # characters of a cursor

Item = TypeVar("Item")
Row = TypeVar("Row")
Part = str | int


class Page(BaseModel, Generic[Item]):
    """Some items of a list, and where the next ones begin."""

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """What generated clients call it: `OrderPage`, of `OrderOut`."""
        return f"{params[0].__name__.removesuffix('Out')}Page"

    items: list[Item]
    next_cursor: str | None = Field(default=None, description="Give it as `cursor` for the next page; null on the last one.")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is wanted. `limit` is the most items; `cursor` what the page before gave."""

    limit: int = USUAL
    cursor: str | None = None

    def after(self, *kinds: type[Part]) -> tuple[Part, ...] | None:
        """Where the last page ended, in the parts that its cursor was made of; None for the first page.

        Raises:
            InvalidInput: no cursor of this list.
        """
        return None if self.cursor is None else _read(self.cursor, kinds)

    def after_number(self) -> int | None:
        """`after`, for lists whose place is one whole number, such as a sequence."""
        found = self.after(int)
        return None if found is None else int(found[0])

    def after_text(self) -> str | None:
        """`after`, for lists whose place is one text, such as a name."""
        found = self.after(str)
        return None if found is None else str(found[0])

    @property
    def wanted(self) -> int:
        """How many rows to ask for: one more than the page holds tells whether there is another page."""
        return self.limit + 1

    def page(self, rows: Sequence[Row], place: Callable[[Row], tuple[Part, ...]], item: Callable[[Row], Item]) -> Page[Item]:
        """The page that `rows` make, of which there are up to `wanted`.

        Args:
            place: of a row in the order of the list; `after` gives it back.
            item: how a row is shown.
        """
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return Page(items=[item(row) for row in shown], next_cursor=make_cursor(*place(shown[-1])) if more else None)


def make_cursor(*parts: Part) -> str:
    """The cursor of a place in a list."""
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str, kinds: tuple[type[Part], ...]) -> tuple[Part, ...]:
    try:
        parts = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        parts = None
    fits = isinstance(parts, list) and len(parts) == len(kinds)
    if not fits or any(type(part) is not kind for part, kind in zip(parts, kinds, strict=True)):
        raise _not_ours()
    if any(isinstance(part, int) and abs(part) >= 2**63 for part in parts):
        raise _not_ours()
    return tuple(parts)


def _not_ours() -> InvalidInput:
    return InvalidInput(
        "the cursor is none of this list", not_done="Nothing was listed", next_step="Begin without one, and use what pages give"
    )


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most items of the page.")] = USUAL,
    cursor: Annotated[str | None, Query(max_length=_LONGEST, description="`next_cursor` of the page before.")] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


PageQuery = Annotated[PageRequest, Depends(_page_request)]
