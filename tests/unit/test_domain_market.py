"""Time frames, bars and tickers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds import START, bar
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Ticker, Timeframe

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@given(st.integers(1, 9999), st.sampled_from(list(UNITS)))
def test_a_time_frame_is_its_length(count: int, unit: str) -> None:
    timeframe = Timeframe(f"{count}{unit}")
    assert timeframe.length == count * UNITS[unit]
    assert str(timeframe) == timeframe.code
    assert timeframe.per_year * (timeframe.length / timedelta(days=365)) == pytest.approx(1)


@pytest.mark.parametrize(
    "code", ["", "h", "1", "0h", "01h", "1H", "1M", "1y", "-1h", "1.5h", " 1h", "1h ", "1h\n", "1٣h", "99999w"]
)
def test_anything_else_is_no_time_frame(code: str) -> None:
    with pytest.raises(InvalidInput, match="is not of the form"):
        Timeframe(code)


def test_hours_in_a_year() -> None:
    assert Timeframe("1h").per_year == 8760


GOOD = bar(0, "10", "12", "9", "11")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"volume": 0}, None),
        ({"high": 11, "low": 10}, None),
        ({"close": "NaN"}, "not finite"),
        ({"high": "Infinity"}, "not finite"),
        ({"low": 0}, "not above zero"),
        ({"high": "10.9"}, "do not lie between"),
        ({"low": "10.1"}, "do not lie between"),
        ({"volume": -1}, "below zero"),
    ],
)
def test_a_bar_that_contradicts_itself_says_how(changes: dict[str, object], says: str | None) -> None:
    found = replace(GOOD, **{name: Decimal(str(value)) for name, value in changes.items()}).inconsistency()
    assert found is None if says is None else says in (found or "")


def test_the_middle_of_a_ticker() -> None:
    assert Ticker("A/B", Decimal(1), Decimal(2), Decimal(9), START).mid == Decimal("1.5")
