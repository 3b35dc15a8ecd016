"""When a source is asked next: its pace, its rate, how long to leave it alone after failures."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class HubRules:
    """How the hub asks and watches.

    Attributes:
        jitter: the pace varies by up to this fraction, so that sources do not fall into step.
        rate_share: of what a source takes each minute, this much is used.
        backoff, longest_backoff: the first and the longest time that a failure is waited out; each failure doubles it, and the
            wait is anything from none of it to all (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
        failures: so many in a row open the breaker.
        cooling, longest_cooling: how long it stays open, first and at most; each trial that fails doubles it.
        longest_retry_after: a source that asks for more is believed up to here.
        beat: a task says that it lives at least so often.
        grace: how much later than it should it may, before it is given up.
        remembered: readings kept of each symbol and name.
        stop_within: seconds that stopping may take.
    """

    jitter: float = 0.1
    rate_share: float = 0.5
    backoff: timedelta = timedelta(seconds=5)
    longest_backoff: timedelta = timedelta(minutes=10)
    failures: int = 5
    cooling: timedelta = timedelta(minutes=5)
    longest_cooling: timedelta = timedelta(hours=1)
    longest_retry_after: timedelta = timedelta(days=1)
    beat: timedelta = timedelta(seconds=15)
    grace: timedelta = timedelta(seconds=30)
    remembered: int = 16
    stop_within: float = 5.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"  # not asked until it has cooled
    HALF_OPEN = "half_open"  # the next ask is a trial


class Breaker:
    """Stops asking a source that fails again and again. (M. Nygard, "Release It!", 2nd ed., chapter 5.)"""

    def __init__(self, rules: HubRules) -> None:
        self._rules = rules
        self._cooling = rules.cooling
        self._opened_until: datetime | None = None
        self.failures = 0
        """In a row."""

    def state(self, now: datetime) -> BreakerState:
        if self._opened_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._opened_until else BreakerState.HALF_OPEN

    def opens_again_at(self, now: datetime) -> datetime:
        """When the next ask is let through; `now` when it would be."""
        return now if self._opened_until is None else max(now, self._opened_until)

    def succeeded(self) -> None:
        self.failures = 0
        self._opened_until = None
        self._cooling = self._rules.cooling

    def failed(self, now: datetime) -> None:
        self.failures += 1
        if self._opened_until is not None:
            self._cooling = min(2 * self._cooling, self._rules.longest_cooling)
        if self.failures >= self._rules.failures:
            self._opened_until = now + self._cooling


class Budget:
    """Requests a source may still be sent: a bucket of one minute's worth that fills up steadily.

    Args:
        per_minute: what may be used each minute.
    """

    def __init__(self, per_minute: float, now: datetime) -> None:
        if per_minute <= 0:
            raise ValueError(f"a source that takes {per_minute} requests a minute cannot be asked")
        self._per_second = per_minute / 60
        self._most = max(1.0, per_minute)
        self._left, self._at = self._most, now

    def left(self, now: datetime) -> float:
        """Requests that may go at once; below zero after a round that took more than there was."""
        return min(self._most, self._left + max(0.0, (now - self._at).total_seconds()) * self._per_second)

    def spend(self, requests: int, now: datetime) -> None:
        self._left, self._at = self.left(now) - requests, max(self._at, now)

    def free_at(self, now: datetime) -> datetime:
        """When one more request may go."""
        missing = 1.0 - self.left(now)
        return now if missing <= 0 else now + timedelta(seconds=missing / self._per_second)


def next_time(every: timedelta, rules: HubRules, chance: random.Random) -> timedelta:
    """Until the next ask of a source that answered."""
    return every * chance.uniform(1 - rules.jitter, 1 + rules.jitter)


def backoff(failures: int, rules: HubRules, chance: random.Random) -> timedelta:
    """Until the next ask of a source that failed so many times in a row."""
    doubled = rules.backoff * (1 << min(failures - 1, 32))
    return min(doubled, rules.longest_backoff) * chance.random()
