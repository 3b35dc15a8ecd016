"""Reading a venue's past to its end: span by span, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from trading_core.brokers.venues.profile import History, PageFrom
from trading_core.domain.clock import to_ms
from trading_core.domain.errors import BrokerUnavailable, InvalidInput

Row = Mapping[str, object]
More = Mapping[str, object]
Ask = Callable[[int, int, int, More], Awaitable[Sequence[Row]]]
"""Gives rows between two instants (Unix ms, as the venue takes them), so many at most, from the cursor of the page before on."""

_FIRST: More = MappingProxyType({})
_SLACK = timedelta(seconds=1)  # Kraken counts in seconds and leaves out the first; the venue's clock may be ahead of ours


def by_both_clocks(since: datetime, until: datetime, ours_ahead_ms: int) -> tuple[datetime, datetime]:
    """A span of this machine's time, made as wide as it is at the venue, whose clock ours is ahead of by so much.

    A venue stamps its history by its own clock: what happened there just now may lie outside of what is just now here.
    """
    ahead = timedelta(milliseconds=ours_ahead_ms)
    return min(since, since - ahead), max(until, until - ahead)


async def read_all(ask: Ask, history: History, *, since: datetime, until: datetime) -> list[Row]:
    """Every row from `since` to `until`, each once, in no order that counts.

    Raises:
        BrokerUnavailable: more rows carry one time than the venue gives at once, so that some cannot be reached; or its cursor
            leads back to a page that was read.
    """
    rows: dict[str, Row] = {}
    begin, end = since - _SLACK, until + _SLACK
    span = history.window or (end - begin)
    while begin < end:
        stop = min(begin + span, end)
        read = _follow if history.cursor else _count if history.offset_param else _read_span
        await read(ask, history, to_ms(begin), to_ms(stop), rows)
        begin = stop
    return list(rows.values())


async def _read_span(ask: Ask, history: History, first: int, last: int, rows: dict[str, Row]) -> None:
    while first <= last:
        page = await ask(first, last + int(history.leaves_out_end), history.page, _FIRST)
        before = len(rows)
        rows.update((_key(row), row) for row in page)
        if len(page) < history.page:
            return
        # A page that is full goes on from its far end, that instant included: others may share it.
        times = [_time(row) for row in page]
        oldest_first = history.order is PageFrom.OLDEST_FIRST
        edge = max(times) if oldest_first else min(times)
        if len(rows) == before or edge == (first if oldest_first else last):
            raise BrokerUnavailable(
                f"more than {history.page} rows carry the time {edge}, and the venue gives no more at once",
                not_done="Nothing of this reading was used",
                next_step="Look at the venue's own export for that moment",
            )
        first, last = (edge, last) if oldest_first else (first, edge)


async def _count(ask: Ask, history: History, first: int, last: int, rows: dict[str, Row]) -> None:
    """Rows that come in meanwhile push the others back: some are then read twice, and none is left out."""
    before = 0
    while True:
        page = await ask(first, last, history.page, {history.offset_param: before} if before else _FIRST)
        rows.update((_key(row), row) for row in page)
        if len(page) < history.page:
            return
        before += len(page)


async def _follow(ask: Ask, history: History, first: int, last: int, rows: dict[str, Row]) -> None:
    more, seen = _FIRST, set[str]()
    while True:
        page = await ask(first, last, history.page, more)
        rows.update((_key(row), row) for row in page)
        cursor = next((found for row in page if (found := _cursor(row, history.cursor))), "")
        if not cursor:
            return
        if cursor in seen:
            raise BrokerUnavailable(
                f"the venue leads from a page of history back to it, by its cursor {cursor!r}",
                not_done="Nothing of this reading was used",
                next_step="Try again, and look at the venue's status page if it lasts",
            )
        seen.add(cursor)
        more = {history.cursor_param or history.cursor: cursor}


def _cursor(row: Row, name: str) -> str:
    """ccxt leaves a page's cursor in the raw form of one of its rows."""
    info = row.get("info")
    return str(info.get(name) or "") if isinstance(info, Mapping) else ""


def _key(row: Row) -> str:
    return f"{row.get('symbol')}:{row['id']}:{row.get('side')}"


def _time(row: Row) -> int:
    stamp = row.get("timestamp")
    if not isinstance(stamp, int):
        raise InvalidInput(f"a row of history has the time {stamp!r}")
    return stamp
