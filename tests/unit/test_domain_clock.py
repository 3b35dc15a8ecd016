"""Instants: one text form, exact milliseconds, no naive times, and a clock that never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain.clock import SimulatedClock, SystemClock, from_ms, iso, to_ms, utc
from trading_core.domain.errors import InvalidInput

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1800, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are given
START = datetime(2026, 1, 1, tzinfo=UTC)


@given(instants)
def test_one_instant_has_one_text(instant: datetime) -> None:
    assert utc(instant) == instant
    assert utc(instant).tzinfo is UTC
    assert iso(instant) == iso(utc(instant))
    assert iso(instant).endswith("Z")
    assert datetime.fromisoformat(iso(instant)) == instant


@given(st.integers(-(10**13), 10**13))
def test_milliseconds_are_exact(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


@given(instants)
def test_milliseconds_round_down(instant: datetime) -> None:
    assert timedelta(0) <= instant - from_ms(to_ms(instant)) < timedelta(milliseconds=1)


@pytest.mark.parametrize("use", [utc, iso, to_ms, SimulatedClock])
def test_naive_times_are_refused(use: object) -> None:
    with pytest.raises(InvalidInput, match="has no time zone"):
        use(datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is wrong


async def test_a_simulated_clock_moves_only_forward() -> None:
    clock = SimulatedClock(START)
    await clock.sleep(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)
    clock.advance_to(clock.now())
    with pytest.raises(InvalidInput, match="cannot go back"):
        clock.advance_to(START)
    with pytest.raises(InvalidInput):
        await clock.sleep(-1)


async def test_the_system_clock_is_aware_and_moves() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0.001)
    assert clock.now() > before
    assert before.utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_has_no_date_for_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="outside the calendar"):
        utc(datetime.fromisoformat(text))
