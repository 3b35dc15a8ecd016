"""Folding readings, and the numbers that can be kept."""

from __future__ import annotations

from datetime import timedelta
from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.store.numbers import measured, price, tidy
from data_channels.store.retention import Retention, Row, Step, fold
from tests.unit.timeseries_cases import VALUES, at
from trading_core.domain.errors import ConfigurationError, InvalidInput
from trading_core.domain.money import plain

DAY = timedelta(days=1)


def row(published: int, value: Decimal, delay: int) -> Row:
    observed_at = at(published - delay)
    return Row(at(published), observed_at, value, "points", Decimal(1), 1, None, Step.RAW, 1, value, value, value)


def in_order(rows: list[Row]) -> list[Row]:
    """As a store gives them: one for each key."""
    kept = {(each.published_at, each.observed_at): each for each in rows}
    return [kept[key] for key in sorted(kept)]


ROWS = st.lists(st.builds(row, st.integers(0, 5000), VALUES, st.sampled_from([0, 30, 1440])), max_size=40).map(in_order)


@given(ROWS)
def test_a_fold_keeps_number_sum_and_extremes_and_counts_from_its_last_publication(rows: list[Row]) -> None:
    for step in (Step.HOUR, Step.DAY):
        folds = list(fold(rows, step))
        assert [step.floor(each.published_at) for each in folds] == sorted({step.floor(each.published_at) for each in rows})
        for each in folds:
            mine = [one for one in rows if step.floor(one.published_at) == step.floor(each.published_at)]
            assert (each.merged, each.total) == (len(mine), sum(one.value for one in mine))
            assert (each.low, each.high) == (min(one.value for one in mine), max(one.value for one in mine))
            assert each.published_at == max(one.published_at for one in mine)
            assert each.observed_at == max(one.observed_at for one in mine)
            assert each.step is step


@given(ROWS)
def test_days_made_of_hours_are_days_made_of_readings(rows: list[Row]) -> None:
    assert list(fold(fold(rows, Step.HOUR), Step.DAY)) == list(fold(rows, Step.DAY))


@given(st.lists(st.integers(-(10**79), 10**79), min_size=1, max_size=50))
def test_sums_of_the_longest_numbers_are_exact(units: list[int]) -> None:
    """The numbers are given in their smallest unit, as whole ones."""
    wide = Context(prec=200)
    (day,) = fold([row(0, wide.scaleb(Decimal(unit), -40), 0) for unit in units], Step.DAY)
    assert int(wide.scaleb(day.total, 40)) == sum(units)


@pytest.mark.parametrize(
    "lengths",
    [
        {"raw": timedelta(0)},
        {"raw": 2 * DAY, "hourly": DAY},
        {"hourly": 9 * DAY, "raw": DAY, "readings": 8 * DAY},
        {"bars": timedelta(0)},
    ],
)
def test_times_that_contradict_each_other_are_refused(lengths: dict[str, timedelta]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        Retention(**lengths)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**19), max_value=10**19, places=18))
def test_every_number_of_a_bar_up_to_18_places_is_kept_exactly(value: Decimal) -> None:
    short = tidy(price(value, "close"))
    assert short == value
    assert format(short, "f") == plain(value)


@pytest.mark.parametrize("text", ["1.000", "1E+19", "0.000000000000000001", "0E-50", "0E+30", "1.0000000000000000000000"])
def test_what_looks_long_and_is_not_is_kept(text: str) -> None:
    assert tidy(price(Decimal(text), "close")) == Decimal(text)


@pytest.mark.parametrize("text", ["1E+20", "1E-19", "1.0000000000000000001", "NaN", "-Infinity"])
def test_what_would_have_to_be_rounded_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="close is"):
        price(Decimal(text), "close")


@pytest.mark.parametrize("text", ["1E+40", "1E-41", "sNaN"])
def test_readings_have_bounds_too(text: str) -> None:
    with pytest.raises(InvalidInput, match="value is"):
        measured(Decimal(text), "value")
