"""Bars of the engine's tape, before a venue writes them in its own rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.venues.engine_types import ZERO, Print, Side


@dataclass(frozen=True, slots=True)
class Bar:
    """What was printed in `width_ms` from `opened_ms` (since 1970 UTC) on; `before` is the close of the bar before."""

    opened_ms: int
    width_ms: int
    before: Decimal
    prints: Sequence[Print]

    @property
    def _prices(self) -> list[Decimal]:
        return [done.price for done in self.prints] or [self.before]

    @property
    def trades(self) -> list[Print]:
        """Without prices that were set and not traded."""
        return [done for done in self.prints if done.quantity]

    @property
    def open(self) -> Decimal:
        return self._prices[0]

    @property
    def high(self) -> Decimal:
        return max(self._prices)

    @property
    def low(self) -> Decimal:
        return min(self._prices)

    @property
    def close(self) -> Decimal:
        return self._prices[-1]

    def volume(self, taker: Side | None = None) -> Decimal:
        """In the base currency; of the trades of one side's takers, or of all."""
        return sum((done.quantity for done in self.prints if taker in (None, done.taker)), ZERO)

    def cost(self, taker: Side | None = None) -> Decimal:
        """In the quote currency."""
        return sum((done.quantity * done.price for done in self.prints if taker in (None, done.taker)), ZERO)


def bars(tape: Sequence[Print], width_ms: int, now_ms: int, start_ms: int | None, end_ms: int | None, limit: int) -> list[Bar]:
    """Bars that open between start and end, the last of all still open: the first `limit` from a start, else the last ones.

    A bar without a print repeats the close with no volume.
    """
    if not tape:
        return []
    last_open = min(now_ms, end_ms if end_ms is not None else now_ms) // width_ms * width_ms
    first_open = tape[0].at_ms // width_ms * width_ms
    if start_ms is not None:
        first_open = max(first_open, -(-start_ms // width_ms) * width_ms)
        last_open = min(last_open, first_open + (limit - 1) * width_ms)
    else:
        first_open = max(first_open, last_open - (limit - 1) * width_ms)
    buckets: dict[int, list[Print]] = {}
    for done in tape:
        buckets.setdefault(done.at_ms // width_ms * width_ms, []).append(done)
    close = next((done.price for done in reversed(tape) if done.at_ms < first_open), tape[0].price)
    found: list[Bar] = []
    for opened in range(first_open, last_open + 1, width_ms):
        found.append(Bar(opened, width_ms, close, buckets.get(opened, [])))
        close = found[-1].close
    return found
