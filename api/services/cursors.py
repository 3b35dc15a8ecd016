"""Places in lists that are ordered by time."""

from __future__ import annotations

from datetime import datetime

from api.http.pages import PageRequest
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import InvalidInput


def time_and_id(page: PageRequest) -> tuple[datetime, str] | None:
    """Where the last page ended, in a list by time and id; None for the first page.

    Raises:
        InvalidInput: no cursor of such a list.
    """
    found = page.after(str, str)
    return None if found is None else (_instant(str(found[0])), str(found[1]))


def run_time_and_id(page: PageRequest) -> tuple[int, datetime, str] | None:
    """The same, in a list by a run's sequence, time and id."""
    found = page.after(int, str, str)
    return None if found is None else (int(found[0]), _instant(str(found[1])), str(found[2]))


def place(at: datetime) -> str:
    """An instant as a part of a cursor."""
    return iso(at)


def _instant(text: str) -> datetime:
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError, InvalidInput):
        raise InvalidInput(
            "the cursor is none of this list",
            not_done="Nothing was listed",
            next_step="Begin without one, and use what pages give",
        ) from None
