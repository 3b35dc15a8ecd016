"""The trades of one market as they come: each once, and whatever is missing between them.

Some venues count their trades, and then a missing one shows by its number. Of the others nothing can be missing while a socket
holds, because TCP neither loses nor swaps anything; it is between two sockets that something may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

KEPT_IDS = 8192
"""Ids that a duplicate is known by: several of the largest pages a venue gives."""


@dataclass(frozen=True, slots=True)
class Trade:
    """One row of a venue's tape.

    Attributes:
        id: the venue's, unique in the market.
        order: its place among the market's trades: the number it has, or its time and its number or arrival where none counts.
        stands_for: how many of the venue's trades it is made of; its number is that of the last one.
        at_ms: when it was done by the venue's clock, Unix ms.
        price: quote per base.
        quantity: base.
    """

    id: str
    order: tuple[int, int]
    at_ms: int
    price: Decimal
    quantity: Decimal
    stands_for: int = 1

    @property
    def first(self) -> int:
        """The number of the first trade it is made of."""
        return self.order[0] - self.stands_for + 1


class Arrival(Enum):
    """What became of a trade."""

    NEW = "new"
    DUPLICATE = "duplicate"
    LATE = "late"  # its id is new, and it is older than what had been known, with nothing missing there


@dataclass(slots=True)
class Hole:
    """Something is missing, or may be.

    Attributes:
        after: the last trade before it; None where nothing is known before.
        before: the first trade after it.
        missing: runs of numbers that were not told, first and last, where trades are counted.
    """

    after: Trade | None
    before: Trade
    missing: list[tuple[int, int]]


class Tape:
    """What is known of one market's trades. There is one hole at most: it grows over whatever else goes missing.

    Args:
        counts: trade ids count up by one.

    Attributes:
        last: the youngest trade.
        hole: what is missing.
        in_doubt: whether something may have been done since `last` that was not told.
    """

    def __init__(self, *, counts: bool) -> None:
        self.last: Trade | None = None
        self.hole: Hole | None = None
        self._counts = counts
        self._ids: dict[str, None] = {}
        self._whole_since: int | None = None
        self.in_doubt = False

    def interrupted(self) -> None:
        """The socket is a new one: what was done in between was not told."""
        self.in_doubt = self.last is not None

    def knows(self, start_ms: int, end_ms: int) -> bool:
        """Whether every trade of `[start, end)` is known, provided that none of it is still on its way."""
        if self.last is None or self._whole_since is None or start_ms < self._whole_since:
            return False
        if self.hole is not None:
            return self.hole.after is not None and end_ms <= self.hole.after.at_ms
        return not self.in_doubt or end_ms <= self.last.at_ms

    def is_past(self, instant_ms: int) -> bool:
        """Whether a trade of that instant or later was told."""
        return self.last is not None and self.last.at_ms >= instant_ms

    def take(self, trade: Trade) -> Arrival:
        """A trade that the stream told."""
        if trade.id in self._ids:
            return Arrival.DUPLICATE
        self._remember(trade)
        last = self.last
        if last is None:
            self.last, self.hole = trade, Hole(None, trade, [])
            return Arrival.NEW
        if trade.order > last.order:
            if self._counts and trade.first <= last.order[0]:
                # A part of it was told by itself: nobody can say how much of the rest is new.
                self.last, self._whole_since = trade, trade.at_ms + 1
                return Arrival.LATE
            if trade.first > last.order[0] + 1 if self._counts else self.in_doubt:
                self._widen(last, trade)
            self.last, self.in_doubt = trade, False
            return Arrival.NEW
        hole = self.hole
        if hole is None or (hole.after is not None and trade.order < hole.after.order):
            return Arrival.LATE
        if hole.missing:
            hole.missing = [rest for run in hole.missing for rest in _without(run, trade.first, trade.order[0])]
            if not hole.missing:
                self.hole = None
        return Arrival.NEW

    def fill(self, page: Sequence[Trade]) -> tuple[list[Trade], bool] | None:
        """Close the hole with a page of the newest trades.

        Returns:
            Those that were not known, oldest first, and whether nothing is missing any more; what a page that is too short leaves
            out is given up. None when the page does not reach up to the hole's end: a venue's REST may be behind its stream.
        """
        hole = self.hole
        rows = sorted(page, key=lambda trade: trade.order)
        if hole is None or not rows or rows[-1].order < hole.before.order:
            return None
        after = hole.after
        found = [row for row in rows if row.id not in self._ids and (after is None or row.order > after.order)]
        for row in found:
            self._remember(row)
        if self.last is not None and rows[-1].order > self.last.order:
            self.last = rows[-1]
        is_whole = after is not None and rows[0].order <= after.order
        if not is_whole:
            # Of the page's oldest instant some trades may have been cut off.
            self._whole_since = rows[0].at_ms + 1
        self.hole = None
        return found, is_whole or after is None

    def give_up(self) -> None:
        """What is missing cannot be had: only what comes after it is known."""
        if self.hole is not None:
            self._whole_since = self.hole.before.at_ms + 1
            self.hole = None

    def _widen(self, after: Trade, before: Trade) -> None:
        missing = [(after.order[0] + 1, before.first - 1)] if self._counts else []
        if self.hole is None:
            self.hole = Hole(after, before, missing)
        else:
            # Where nothing was known before the hole, or ids do not count, numbers cannot close it.
            self.hole.missing = [*self.hole.missing, *missing] if self.hole.missing else []
            self.hole.before = before

    def _remember(self, trade: Trade) -> None:
        # REST tells each of the trades that a row of the stream stands for by itself.
        for name in (trade.id, *map(str, range(trade.first, trade.order[0]))) if self._counts else (trade.id,):
            self._ids[name] = None
        while len(self._ids) > KEPT_IDS:
            del self._ids[next(iter(self._ids))]


def _without(run: tuple[int, int], first: int, last: int) -> list[tuple[int, int]]:
    """What is left of a run of numbers without others."""
    low, high = run
    return [rest for rest in ((low, min(high, first - 1)), (max(low, last + 1), high)) if rest[0] <= rest[1]]
