"""Which instants are ticks: intervals, cron in a time zone, and the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.schedules.timetable import check_timing, newest_due, next_ticks, ticks_after
from trading_core.domain.errors import InvalidInput
from trading_core.persistence.desk_records import Schedule

START = datetime(2026, 1, 1, tzinfo=UTC)
SPRING, AUTUMN = datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)  # the evenings before


def schedule(
    cron: str | None = None,
    every: int | None = None,
    timezone: str = "UTC",
    created: datetime = START,
    last: datetime | None = None,
) -> Schedule:
    return Schedule("s", "a", "n", "o", (), created, created, cron=cron, every_seconds=every, timezone=timezone, last_tick=last)


def local(cron: str, after: datetime, count: int) -> list[str]:
    found = next_ticks(schedule(cron, timezone="Europe/Berlin"), after, count)
    return [f"{tick:%d %H:%M}" for tick in found]


def test_an_interval_counts_from_when_the_schedule_was_made() -> None:
    made = START + timedelta(seconds=7)
    ticks = next_ticks(schedule(every=900, created=made), START, 3)
    assert ticks == tuple(made + timedelta(seconds=900 * number) for number in (1, 2, 3))


def test_a_cron_expression_is_read_in_its_zone() -> None:
    assert local("30 8 * * 1-5", datetime(2026, 7, 3, 12, tzinfo=UTC), 2) == ["06 06:30", "07 06:30"]
    assert local("30 8 * * 1-5", datetime(2026, 1, 9, 12, tzinfo=UTC), 1) == ["12 07:30"]


# Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
@pytest.mark.parametrize(
    ("cron", "utc"),
    [
        ("30 2 * * *", ["29 01:00", "30 00:30"]),  # 2:30 is leapt over: right after the change
        ("0 2,3 * * *", ["29 01:00", "30 00:00"]),  # 2:00 and 3:00 are one instant, and one tick
        ("0 * * * *", ["28 23:00", "29 00:00", "29 01:00"]),  # an hour is an hour
        ("* 2 * * *", ["30 00:00", "30 00:01"]),  # wildcards follow the wall: there is no such minute
    ],
)
def test_the_night_that_is_an_hour_short(cron: str, utc: list[str]) -> None:
    assert local(cron, SPRING + timedelta(minutes=30), len(utc)) == utc


# Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
@pytest.mark.parametrize(
    ("cron", "utc"),
    [
        ("30 2 * * *", ["25 00:30", "26 01:30"]),  # 2:30 comes twice: the first time only
        ("0 * * * *", ["24 23:00", "25 00:00", "25 01:00", "25 02:00"]),  # both hours
        ("*/30 2 * * *", ["25 00:00", "25 00:30", "25 01:00", "25 01:30"]),
    ],
)
def test_the_night_that_is_an_hour_long(cron: str, utc: list[str]) -> None:
    assert local(cron, AUTUMN + timedelta(minutes=30), len(utc)) == utc


def test_begun_in_the_second_pass_of_an_hour_the_ticks_of_the_first_are_over() -> None:
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10, again
    assert local("30 2 * * *", second_pass, 1) == ["26 01:30"]


CRONS = st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 2,3 * * *", "15 */2 * * *", "45 1-3 * * 0", "0 0 1 * *"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
AROUND = st.sampled_from([SPRING, AUTUMN, datetime(2026, 4, 4, 12, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC)])


@given(CRONS, ZONES, AROUND, st.integers(0, 100_000))
def test_ticks_do_not_depend_on_where_one_begins_to_look(cron: str, zone: str, start: datetime, seconds: int) -> None:
    plan = schedule(cron, timezone=zone)
    whole = list(islice(ticks_after(plan, start), 60))
    assert whole == sorted(set(whole))
    middle = start + timedelta(seconds=seconds)
    later = [tick for tick in whole if tick > middle]
    assert list(islice(ticks_after(plan, middle), len(later))) == later


@given(CRONS | st.integers(10, 100_000), ZONES, AROUND, st.integers(0, 300_000), st.integers(0, 300_000))
def test_the_newest_due_tick_is_the_last_that_has_come(
    timing: str | int, zone: str, start: datetime, seconds: int, gone: int
) -> None:
    cron, every = (timing, None) if isinstance(timing, str) else (None, timing)
    last = start + timedelta(seconds=gone)
    plan, now = schedule(cron, every, zone, created=start, last=last), last + timedelta(seconds=seconds)
    come = [tick for tick in _until(plan, last, now) if tick <= now]
    assert newest_due(plan, now) == (come[-1] if come else None)


def _until(plan: Schedule, after: datetime, now: datetime) -> list[datetime]:
    found = []
    for tick in ticks_after(plan, after):
        found.append(tick)
        if tick > now:
            break
    return found


def test_a_year_of_minutes_that_nobody_kept_is_not_walked_through() -> None:
    plan = schedule("* * * * *", created=START, last=START)
    now = START + timedelta(days=365, seconds=30)
    assert newest_due(plan, now) == START + timedelta(days=365)


def test_a_clock_that_went_back_makes_nothing_due() -> None:
    assert newest_due(schedule(every=60, last=START + timedelta(hours=1)), START + timedelta(minutes=10)) is None


@pytest.mark.parametrize(
    ("cron", "every", "zone", "says"),
    [
        (None, None, "UTC", "either"),
        ("* * * * *", 60, "UTC", "either"),
        ("* * * *", None, "UTC", "five fields"),
        ("0 * * * * *", None, "UTC", "five fields"),
        ("61 * * * *", None, "UTC", "Bad minute"),
        ("0 0 30 2 *", None, "UTC", "Bad day-of-month"),
        ("@daily", None, "UTC", "five fields"),
        ("0 0 * * 1#9", None, "UTC", "Bad day-of-week"),
        ("* " * 4 + "*" * 200, None, "UTC", "five fields"),
        (None, 9, "UTC", "interval of 9 s"),
        (None, 10**12, "UTC", "interval"),
        (None, 60, "Mars/Olympus", "time zone"),
        (None, 60, "Europe", "time zone"),
        (None, 60, "../../etc/passwd", "time zone"),
        (None, 60, "", "time zone"),
    ],
)
def test_a_timetable_that_cannot_be_kept_is_refused_with_an_example(cron: str, every: int, zone: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        check_timing(cron, every, zone, START)
    assert any(example in str(caught.value) for example in ("15m", "0 * * * *", "Europe/Berlin"))
