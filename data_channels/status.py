"""What people see of a source: whether it lives, why not, and how it has been."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_channels.base import Kind
from data_channels.crosscheck import Finding
from data_channels.pacing import BreakerState
from trading_core.domain.market import ReadingState

_NEWEST = 256


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the newest rounds of asking, in milliseconds. `p90` is the time that nine in ten rounds did not exceed."""

    p50: float
    p90: float
    p99: float
    count: int


@dataclass(frozen=True, slots=True)
class SourceMetrics:
    """Counts since the hub started.

    Attributes:
        asked: rounds begun.
        answered: rounds that gave an answer, be it without readings.
        failed: rounds that gave none.
        readings: that said something new.
        rejected: that could not be, and were left out.
        reconnects: answers after failures.
        restarts: of a task that crashed or fell silent.
        latency: None before the first round.
    """

    asked: int
    answered: int
    failed: int
    readings: int
    rejected: int
    reconnects: int
    restarts: int
    latency: Latency | None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source at an instant.

    Attributes:
        reason: why it is not live; empty when it is.
        age: of its newest reading, since it was published; None when it has given none.
        last_error: of the last round that failed, also when the source has recovered since.
        rate_left: requests that may go at once.
        next_ask_at: None for a source that is off.
        findings: what was rejected in the last round.
    """

    source: str
    kind: Kind
    state: ReadingState
    reason: str
    age: timedelta | None
    last_error: str
    last_error_at: datetime | None
    rate_left: float
    next_ask_at: datetime | None
    breaker: BreakerState
    findings: tuple[Finding, ...]
    metrics: SourceMetrics


class Counters:
    """The counts of one source as they grow."""

    def __init__(self) -> None:
        self.asked = 0
        self.answered = 0
        self.failed = 0
        self.readings = 0
        self.rejected = 0
        self.reconnects = 0
        self.restarts = 0
        self._took: deque[float] = deque(maxlen=_NEWEST)

    def took(self, seconds: float) -> None:
        """A round's time. One that failed counts like any other: a service that does not answer is slow."""
        self._took.append(seconds * 1000)

    def metrics(self) -> SourceMetrics:
        took = sorted(self._took)
        latency = Latency(_rank(took, 0.5), _rank(took, 0.9), _rank(took, 0.99), len(took)) if took else None
        return SourceMetrics(
            self.asked,
            self.answered,
            self.failed,
            self.readings,
            self.rejected,
            self.reconnects,
            self.restarts,
            latency,
        )


def age_text(age: timedelta) -> str:
    """An age for people: `42 s`, `35 min`, `26.5 h`."""
    seconds = age.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rank(took: list[float], share: float) -> float:
    """The nearest rank: a time that was really taken."""
    return took[math.ceil(share * len(took)) - 1]
