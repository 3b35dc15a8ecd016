"""The circuit breaker: when it opens, what it lets through, and how it finds back."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.brokers.breaker import Breaker, BreakerRules, BreakerState, Pass

RULES = BreakerRules(failures=3, share=0.5, window=10, cooling=10, longest=40, jitter=0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Breaking:
    """A breaker and its time."""

    def __init__(self, rules: BreakerRules = RULES) -> None:
        self.now = 0.0
        self.breaker = Breaker(monotonic=lambda: self.now, jitter=random.Random(1), rules=rules)

    def call(self, *, works: bool) -> bool:
        """Whether a call was let through."""
        leave = self.breaker.ask()
        if leave is not None:
            self.end(leave, works=works)
        return leave is not None

    def end(self, leave: Pass, *, works: bool) -> None:
        if works:
            self.breaker.succeeded(leave)
        else:
            self.breaker.failed(leave, "no answer")

    @property
    def state(self) -> BreakerState:
        return self.breaker.state


def opened(rules: BreakerRules = RULES) -> Breaking:
    x = Breaking(rules)
    for _ in range(rules.failures):
        assert x.state is CLOSED
        x.call(works=False)
    assert x.state is OPEN
    return x


def test_failures_in_a_row_open_it_and_it_says_why() -> None:
    x = opened()
    assert x.breaker.reason == "no answer"
    assert x.breaker.opens_again_in == 10
    assert not x.call(works=True)


def test_a_success_in_between_begins_the_row_anew() -> None:
    x = Breaking(replace(RULES, window=100))
    for works in (False, False, True, False, False, True):
        x.call(works=works)
    assert x.state is CLOSED


def test_half_the_calls_of_a_full_window_open_it_though_never_three_in_a_row() -> None:
    x = Breaking()
    for number in range(9):
        x.call(works=number % 2 == 0)
        assert x.state is CLOSED
    x.call(works=False)
    assert x.state is OPEN


def test_after_the_cooling_time_one_trial_goes_through_at_a_time() -> None:
    x = opened()
    x.now += 10
    assert x.state is HALF_OPEN
    trial = x.breaker.ask()
    assert trial is not None
    assert x.breaker.ask() is None
    x.end(trial, works=True)
    assert x.state is CLOSED
    assert x.call(works=True)
    assert x.breaker.opens_again_in == 0


def test_each_trial_that_fails_doubles_the_time_up_to_the_longest_and_closing_forgets_it() -> None:
    x = opened()
    for cooling in (20, 40, 40):
        x.now += x.breaker.opens_again_in
        assert x.call(works=False)
        assert x.breaker.opens_again_in == pytest.approx(cooling)
    x.now += 40
    assert x.call(works=True)
    for _ in range(3):
        x.call(works=False)
    assert x.breaker.opens_again_in == pytest.approx(10)


def test_a_trial_that_is_abandoned_leaves_its_place_to_the_next() -> None:
    x = opened()
    x.now += 10
    trial = x.breaker.ask()
    assert trial is not None
    x.breaker.abandoned(trial)
    assert x.state is HALF_OPEN
    assert x.call(works=True)
    assert x.state is CLOSED


def test_what_is_insisted_on_while_it_cools_can_close_it_and_does_not_make_it_cool_longer() -> None:
    x = opened()
    x.end(x.breaker.insist(), works=False)
    assert (x.state, x.breaker.opens_again_in) == (OPEN, 10)
    x.end(x.breaker.insist(), works=True)
    assert x.state is CLOSED


def test_the_outcome_of_a_call_from_before_it_opened_changes_nothing() -> None:
    x = Breaking()
    slow = [x.breaker.ask() for _ in range(3)]
    for _ in range(3):
        x.call(works=False)
    assert slow[0]
    assert slow[1]
    assert slow[2]
    x.breaker.succeeded(slow[0])
    assert x.state is OPEN
    x.now += 10
    x.breaker.failed(slow[1], "late")
    assert x.state is HALF_OPEN
    assert x.call(works=True)
    x.breaker.failed(slow[2], "later still")
    assert (x.state, x.breaker.reason) == (CLOSED, "")


@given(st.lists(st.tuples(st.sampled_from(["work", "fail", "insist", "insist and fail"]), st.floats(0, 15)), max_size=60))
def test_it_is_never_shut_for_longer_than_the_longest_and_always_finds_back(steps: list[tuple[str, float]]) -> None:
    x = Breaking(replace(RULES, jitter=0.5))
    for what, seconds in steps:
        x.now += seconds
        if what.startswith("insist"):
            x.end(x.breaker.insist(), works=what == "insist")
        else:
            was_open = x.state is OPEN
            assert x.call(works=what == "work") is not was_open
        assert 0 <= x.breaker.opens_again_in <= 40 * 1.5
    x.now += 60
    assert x.call(works=True)
    assert x.state is CLOSED


def test_jitter_only_ever_adds() -> None:
    spread = {opened(replace(RULES, jitter=0.2, failures=failures)).breaker.opens_again_in for failures in range(1, 4)}
    assert all(10 <= seconds <= 12 for seconds in spread)


@pytest.mark.parametrize("change", [{"failures": 0}, {"window": 0}, {"share": 0.0}, {"cooling": 50.0}, {"jitter": -0.1}])
def test_rules_that_cannot_work_are_an_error(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot work"):
        replace(RULES, **change)
