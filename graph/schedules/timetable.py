"""The ticks of a schedule: which instants they are, and which of them is due.

Cron expressions have the five fields of Debian's cron and are read in the schedule's time zone, with its rules for the days on
which clocks change (https://manpages.debian.org/bookworm/cron/cron.8.en.html): a job of a fixed hour that the change leaps over
runs right after it, one whose hour comes twice runs the first time only, and wildcards follow the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import Schedule

LEAST_INTERVAL = 10  # seconds
MOST_INTERVAL = 366 * 86_400
LONGEST_CRON = 100  # characters
_EXAMPLES = 'such as "0 * * * *" (each hour) or "30 8 * * 1-5" (at 8:30 from Monday to Friday)'
# The last tick before an instant is looked for in windows that grow, so that neither a long outage nor a rare tick is dear.
_WINDOWS = tuple(timedelta(days=days) for days in (0.05, 1, 32, 366, 366 * 5))


def check_timing(cron: str | None, every_seconds: int | None, timezone: str, now: datetime) -> None:
    """Whether a timetable can be kept.

    Raises:
        InvalidInput: neither or both are given, or one of them is none; it says how to write it.
    """
    if (cron is None) == (every_seconds is None):
        raise _refused(
            "a schedule has either a cron expression or an interval", f"Give an interval like 15m, or a cron, {_EXAMPLES}"
        )
    zone(timezone)
    if every_seconds is not None:
        if not LEAST_INTERVAL <= every_seconds <= MOST_INTERVAL:
            raise _refused(
                f"an interval of {every_seconds} s is not kept", f"Give {LEAST_INTERVAL} s to 366 days, such as 15m or 3600"
            )
        return
    text = cron or ""
    if len(text) > LONGEST_CRON or len(text.split()) != 5:
        raise _refused(f"{text[:LONGEST_CRON]!r} is no cron expression: it has five fields", f"Write it {_EXAMPLES}")
    try:
        CronSim(text, utc(now))
    except CronSimError as error:
        raise _refused(f"{text!r} is no cron expression: {error}", f"Write it {_EXAMPLES}") from None
    if next(_cron(text, zone(timezone), now), None) is None:
        raise _refused(f"{text!r} never comes", f"Write it {_EXAMPLES}")


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        InvalidInput: there is none of that name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path; a folder of the database
        raise _refused(f"{name!r} is no time zone", "Give its IANA name, such as Europe/Berlin or UTC") from None


def ticks_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Every tick later than `after`, in UTC, oldest first; the first is later than the schedule's own beginning."""
    after = max(utc(after), schedule.created_at)
    if schedule.every_seconds is not None:
        return _intervals(schedule.created_at, timedelta(seconds=schedule.every_seconds), after)
    return _cron(schedule.cron or "", zone(schedule.timezone), after)


def next_ticks(schedule: Schedule, after: datetime, count: int) -> tuple[datetime, ...]:
    """The first `count` ticks later than `after`, and than what has been dealt with already."""
    return tuple(islice(ticks_after(schedule, max(utc(after), _dealt_with(schedule))), count))


def newest_due(schedule: Schedule, now: datetime) -> datetime | None:
    """The newest tick that has come and was not dealt with; None when there is none. Older ones are folded into it."""
    since, now = _dealt_with(schedule), utc(now)
    for window in _WINDOWS:
        start = max(since, now - window)
        newest = None
        for tick in ticks_after(schedule, start):
            if tick > now:
                break
            newest = tick
        if newest is not None or start == since:
            return newest
    return None


def _dealt_with(schedule: Schedule) -> datetime:
    return schedule.created_at if schedule.last_tick is None else max(schedule.last_tick, schedule.created_at)


def _intervals(anchor: datetime, length: timedelta, after: datetime) -> Iterator[datetime]:
    number = (after - anchor) // length + 1
    while True:
        yield anchor + number * length
        number += 1


def _cron(expression: str, where: tzinfo, after: datetime) -> Iterator[datetime]:
    last = after
    for found in CronSim(expression, after.astimezone(where)):
        tick = found.astimezone(UTC)
        # Begun inside an hour that comes twice, the ticks of its first pass are over.
        if tick > last:
            last = tick
            yield tick


def _refused(what: str, next_step: str) -> InvalidInput:
    return InvalidInput(what, not_done="The schedule was not kept", next_step=next_step)
