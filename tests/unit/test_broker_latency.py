"""Percentiles of calls: the newest count, each is one that was measured, and failures count too."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.brokers.latency import Call, Latencies, Latency


class Stopwatch:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def after(calls: list[int], newest: int = 500) -> Latencies:
    """Reads that took so many milliseconds, one after the other."""
    time = Stopwatch()
    latencies = Latencies(monotonic=time.monotonic, newest=newest)
    for milliseconds in calls:
        with latencies.measured(Call.READ):
            time.now += milliseconds / 1000
    return latencies


def test_of_a_hundred_calls_each_percentile_is_the_one_of_that_rank() -> None:
    found = after(list(range(100, 0, -1))).of(Call.READ)
    assert found is not None
    assert (found.p50, found.p90, found.p99, found.worst) == pytest.approx((50, 90, 99, 100))
    assert found.count == 100


def test_one_call_is_every_percentile_and_none_is_nothing() -> None:
    assert after([7]).of(Call.READ) == Latency(*[pytest.approx(7)] * 4, count=1)
    assert after([]).of(Call.READ) is None


def test_only_the_newest_count() -> None:
    found = after([10_000, 1, 2, 3], newest=3).of(Call.READ)
    assert found is not None
    assert (found.worst, found.count) == (pytest.approx(3), 3)


def test_kinds_are_kept_apart_and_those_never_called_left_out() -> None:
    latencies = after([5])
    with latencies.measured(Call.CANCEL):
        pass
    assert set(latencies.all()) == {Call.READ, Call.CANCEL}


def test_a_call_that_fails_is_measured_and_one_that_is_cancelled_is_not() -> None:
    latencies = after([])
    with pytest.raises(OSError, match="gone"), latencies.measured(Call.PLACE):
        raise OSError("gone")
    with pytest.raises(asyncio.CancelledError), latencies.measured(Call.PLACE):
        raise asyncio.CancelledError
    found = latencies.of(Call.PLACE)
    assert found is not None
    assert found.count == 1


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_percentiles_rise_and_cover_their_share_of_the_calls(calls: list[int]) -> None:
    found = after(calls).of(Call.READ)
    assert found is not None
    assert found.p50 <= found.p90 <= found.p99 <= found.worst
    for value, share in ((found.p50, 0.5), (found.p90, 0.9), (found.p99, 0.99)):
        assert sum(took <= value + 1e-6 for took in calls) >= share * len(calls)
        assert sum(took < value - 1e-6 for took in calls) < share * len(calls)


def test_nothing_can_be_said_of_no_calls() -> None:
    with pytest.raises(ValueError, match="0 calls"):
        Latencies(monotonic=Stopwatch().monotonic, newest=0)
