"""Reading a venue's past to its end: span by span, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

from trading_core.brokers.venues import History, PageFrom
from trading_core.domain.clock import to_ms
from trading_core.domain.errors import BrokerUnavailable, InvalidInput

Row = Mapping[str, object]
Ask = Callable[[int, int, int], Awaitable[Sequence[Row]]]
"""Gives rows between two instants (Unix ms, both in), so many at most."""

_SLACK = timedelta(seconds=1)  # Kraken counts in seconds and leaves out the first; the venue's clock may be ahead of ours


async def read_all(ask: Ask, history: History, *, since: datetime, until: datetime) -> list[Row]:
    """Every row from `since` to `until`, each once, in no order that counts.

    Raises:
        BrokerUnavailable: more rows carry one time than the venue gives at once, so that some cannot be reached.
    """
    rows: dict[str, Row] = {}
    begin, end = since - _SLACK, until + _SLACK
    span = history.window or (end - begin)
    while begin < end:
        stop = min(begin + span, end)
        await _read_span(ask, history, to_ms(begin), to_ms(stop), rows)
        begin = stop
    return list(rows.values())


async def _read_span(ask: Ask, history: History, first: int, last: int, rows: dict[str, Row]) -> None:
    while first <= last:
        page = await ask(first, last, history.page)
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


def _key(row: Row) -> str:
    return f"{row.get('symbol')}:{row['id']}:{row.get('side')}"


def _time(row: Row) -> int:
    stamp = row.get("timestamp")
    if not isinstance(stamp, int):
        raise InvalidInput(f"a row of history has the time {stamp!r}")
    return stamp
