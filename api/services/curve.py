"""An account's worth over time, thinned for a chart, and the largest fall from a peak on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading_core.domain.money import ZERO
from trading_core.persistence.repositories.pages import WorthRow
from trading_core.persistence.session import Database
from trading_core.risk.state import fraction_lost

_ROWS = 2_000  # read at once: other requests get their turn in between


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Where the account stood. `drawdown` is the worst since the point before: the fraction below the highest worth so far."""

    at: datetime
    run_id: str
    equity: Decimal
    cash: Decimal
    drawdown: Decimal


@dataclass(frozen=True, slots=True)
class Curve:
    """A time of an account.

    Attributes:
        points: at most as many as were asked for, oldest first; the first and the last worth are always among them.
        count: of worths they were thinned from.
        drawdown: largest fall from a peak within the time, fraction. No trough is lost by thinning.
    """

    points: tuple[CurvePoint, ...]
    count: int
    drawdown: Decimal


async def curve_of(
    database: Database, account_id: str, *, points: int, since: datetime | None = None, until: datetime | None = None
) -> Curve:
    """The account's curve.

    Args:
        points: at most; at least 2.
        since, until: both included.
    """
    async with database.reading() as uow:
        count = await uow.pages.count_worth(account_id, since=since, until=until)
    # Every `step`-th, and the last: (count - 1) / step + 1 points, rounded up, are not more than were asked for.
    step = max(1, -(-(count - 1) // (points - 1)))
    kept: list[CurvePoint] = []
    peak = worst = lately = ZERO
    number = 0
    last: WorthRow | None = None
    async for row in _rows(database, account_id, since, until):
        peak = max(peak, row.equity)
        fall = fraction_lost(peak, row.equity)
        worst, lately, last = max(worst, fall), max(lately, fall), row
        if number % step == 0:
            kept.append(_point(row, lately))
            lately = ZERO
        number += 1
    if last is not None and kept[-1].run_id != last.run_id:
        kept.append(_point(last, lately))
    return Curve(tuple(kept), number, worst)


async def _rows(database: Database, account_id: str, since: datetime | None, until: datetime | None) -> AsyncIterator[WorthRow]:
    after: tuple[datetime, str] | None = None
    while True:
        async with database.reading() as uow:
            rows = await uow.pages.worth(account_id, limit=_ROWS, after=after, since=since, until=until)
        for row in rows:
            yield row
        if len(rows) < _ROWS:
            return
        after = rows[-1].at, rows[-1].run_id


def _point(row: WorthRow, drawdown: Decimal) -> CurvePoint:
    return CurvePoint(row.at, row.run_id, row.equity, row.cash, drawdown)
