"""What a source said lately, so that a report can tell what was known at an instant that has just passed."""

from __future__ import annotations

from datetime import datetime

from data_channels.base import known
from trading_core.domain.market import Reading


class Memory:
    """The newest readings of one source, by symbol and name.

    Args:
        depth: readings kept of each.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._kept: dict[tuple[str, str], list[Reading]] = {}

    def add(self, reading: Reading) -> bool:
        """Take it in, and tell whether it says anything new.

        The same value of the same time does not, however often it is told, and counts from when it was told first. What is
        older than everything remembered was told before, or comes too late to matter.
        """
        kept = self._kept.setdefault((reading.symbol, reading.name), [])
        if any(told.observed_at == reading.observed_at and told.value == reading.value for told in kept):
            return False
        if len(kept) == self._depth and _order(reading) <= _order(kept[0]):
            return False
        kept.append(reading)
        kept.sort(key=_order)
        del kept[: -self._depth]
        return True

    def known(self, symbol: str, as_of: datetime) -> tuple[Reading, ...]:
        """Of each name the newest value that was public at `as_of`, names in order."""
        return tuple(
            newest
            for (of, _), kept in sorted(self._kept.items())
            if of == symbol and (newest := max(known(kept, as_of), key=_order, default=None)) is not None
        )

    @property
    def newest(self) -> Reading | None:
        """What was published last, of any symbol and name."""
        return max((kept[-1] for kept in self._kept.values()), key=lambda reading: reading.published_at, default=None)

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))


def _order(reading: Reading) -> tuple[datetime, datetime]:
    return reading.observed_at, reading.published_at
