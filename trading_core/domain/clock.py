"""Time is passed in. Nothing in the core reads a wall clock on its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

from trading_core.domain.errors import InvalidInput


class Clock(Protocol):
    """Where a run gets its time from."""

    def now(self) -> datetime:
        """The present instant, timezone-aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass on this clock."""
        ...


class SystemClock:
    """The machine's own time, for live runs."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimulatedClock:
    """Time that moves only when told to, and never back."""

    def __init__(self, start: datetime) -> None:
        self._now = utc(start)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.advance_to(self._now + timedelta(seconds=seconds))

    def advance_to(self, instant: datetime) -> None:
        """Move to `instant`.

        Raises:
            InvalidInput: when it lies in the past.
        """
        instant = utc(instant)
        if instant < self._now:
            raise InvalidInput(f"the simulated clock stands at {self._now} and cannot go back to {instant}")
        self._now = instant


def utc(instant: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        InvalidInput: for a naive datetime, whose instant is not known, and for one that UTC has no date for.
    """
    if instant.tzinfo is None:
        raise InvalidInput(f"{instant.isoformat()} has no time zone", next_step="Give times with an offset, or in UTC with Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"{instant.isoformat()} lies outside the calendar in UTC", next_step="Give a nearer time") from None


def iso(instant: datetime) -> str:
    """The one text form of an instant: ISO 8601 in UTC with a Z, microseconds only when there are any."""
    return utc(instant).isoformat().replace("+00:00", "Z")


def from_ms(milliseconds: int) -> datetime:
    """The instant of a Unix time in milliseconds, exact."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def to_ms(instant: datetime) -> int:
    """Unix time in whole milliseconds."""
    delta = utc(instant) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta // timedelta(milliseconds=1)
