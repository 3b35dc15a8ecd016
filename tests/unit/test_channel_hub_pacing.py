"""The parts that decide when a source is asked, and the counts that people see."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.pacing import Breaker, BreakerState, Budget, HubRules, backoff, next_time
from data_channels.status import Counters, age_text
from tests.channels.sources import MINUTE, START

RULES = HubRules(failures=3, cooling=10 * MINUTE, longest_cooling=40 * MINUTE)


def test_the_breaker_opens_cools_longer_after_each_trial_that_fails_and_forgets_it_all_when_one_succeeds() -> None:
    breaker = Breaker(RULES)
    now = START
    for _ in range(2):
        breaker.failed(now)
    assert (breaker.state(now), breaker.opens_again_at(now)) == (BreakerState.CLOSED, now)
    for cooling in (10, 20, 40, 40):
        breaker.failed(now)
        assert breaker.state(now) is BreakerState.OPEN
        assert breaker.opens_again_at(now) == now + cooling * MINUTE
        now = breaker.opens_again_at(now)
        assert breaker.state(now) is BreakerState.HALF_OPEN
    breaker.succeeded()
    assert (breaker.state(now), breaker.failures) == (BreakerState.CLOSED, 0)
    for _ in range(3):
        breaker.failed(now)
    assert breaker.opens_again_at(now) == now + 10 * MINUTE


@given(st.floats(0.01, 1000), st.lists(st.tuples(st.floats(0, 600), st.integers(1, 5)), max_size=50))
def test_a_budget_never_lets_more_go_than_it_was_given(per_minute: float, rounds: list[tuple[float, int]]) -> None:
    budget = Budget(per_minute, START)
    now, spent = START, 0
    for pause, requests in rounds:
        now = max(now + timedelta(seconds=pause), budget.free_at(now))
        assert budget.left(now) >= 1 - 1e-3
        budget.spend(requests, now)
        spent += requests
        minutes = (now - START) / MINUTE
        # What a round takes beyond the one request that was free is owed, and waited for before the next.
        assert spent <= max(1.0, per_minute) + minutes * per_minute + requests
    assert budget.left(now) <= max(1.0, per_minute)


@pytest.mark.parametrize("per_minute", [0.0, -1.0])
def test_a_rate_that_lets_nothing_through_is_an_error(per_minute: float) -> None:
    with pytest.raises(ValueError, match="cannot be asked"):
        Budget(per_minute, START)


@given(st.integers(1, 10_000), st.integers())
def test_backoff_lies_between_nothing_and_its_limit(failures: int, seed: int) -> None:
    wait = backoff(failures, HubRules(), random.Random(seed))
    assert timedelta(0) <= wait <= min(HubRules().longest_backoff, HubRules().backoff * 2 ** min(failures - 1, 10))


@given(st.integers())
def test_the_pace_is_kept_within_the_jitter(seed: int) -> None:
    assert 9 * MINUTE <= next_time(10 * MINUTE, HubRules(jitter=0.1), random.Random(seed)) <= 11 * MINUTE


def test_percentiles_are_times_that_were_taken_and_only_the_newest_count() -> None:
    counters = Counters()
    assert counters.metrics().latency is None
    for milliseconds in range(1, 101):
        counters.took(milliseconds / 1000)
    latency = counters.metrics().latency
    assert latency is not None
    assert (round(latency.p50), round(latency.p90), round(latency.p99), latency.count) == (50, 90, 99, 100)
    for _ in range(1000):
        counters.took(1)
    latency = counters.metrics().latency
    assert latency is not None
    assert latency.p50 == latency.p99 == 1000
    assert latency.count < 1000


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (95_400, "26.5 h")]
)
def test_ages_are_told_in_the_unit_that_fits(seconds: int, text: str) -> None:
    assert age_text(timedelta(seconds=seconds)) == text
