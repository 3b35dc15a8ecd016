"""How long a broker's calls take: percentiles over the newest of each kind."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

NEWEST = 500


class Call(StrEnum):
    """What kind of call it was."""

    READ = "read"
    PLACE = "place"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Latency:
    """Of `count` calls, in milliseconds. `p90` is the time that nine in ten calls did not exceed."""

    p50: float
    p90: float
    p99: float
    worst: float
    count: int


class Latencies:
    """Measures calls. One that failed counts like any other: a venue that does not answer is slow.

    Args:
        monotonic: seconds that never step back.
        newest: how many calls of each kind are kept.
    """

    def __init__(self, *, monotonic: Callable[[], float], newest: int = NEWEST) -> None:
        if newest < 1:
            raise ValueError(f"nothing can be said of {newest} calls")
        self._monotonic = monotonic
        self._took: dict[Call, deque[float]] = {call: deque(maxlen=newest) for call in Call}

    @contextmanager
    def measured(self, call: Call) -> Iterator[None]:
        """Time the block. One that is cancelled has not ended by itself and is left out."""
        begin = self._monotonic()
        try:
            yield
        except Exception:
            self._took[call].append(self._monotonic() - begin)
            raise
        self._took[call].append(self._monotonic() - begin)

    def of(self, call: Call) -> Latency | None:
        """The newest calls of a kind; None before the first."""
        took = sorted(1000 * seconds for seconds in self._took[call])
        if not took:
            return None
        p50, p90, p99 = (took[math.ceil(percent * len(took) / 100) - 1] for percent in (50, 90, 99))
        return Latency(p50, p90, p99, took[-1], len(took))

    def all(self) -> Mapping[Call, Latency]:
        """Every kind that was called at all."""
        return {call: latency for call in Call if (latency := self.of(call)) is not None}
