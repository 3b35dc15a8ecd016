"""One throttle for an account: never faster than the venue allows, and fair."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.brokers.throttle import LONGEST_WAIT, HeldOff, Throttle, Throttles


class Seconds:
    """A time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        due = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, due)


def throttle(time: Seconds, per_second: float = 2, burst: float = 2) -> Throttle:
    return Throttle(per_second, burst=burst, monotonic=time.monotonic, sleep=time.sleep)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=40), st.floats(0.5, 20), st.integers(1, 10))
async def test_no_span_of_time_sees_more_than_the_rate_and_one_burst(pauses: list[float], rate: float, burst: int) -> None:
    time = Seconds()
    gate = throttle(time, rate, burst)
    passed: list[float] = []
    for pause in pauses:
        time.now += pause
        await gate.acquire()
        passed.append(time.now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= rate * (passed[last] - passed[first]) + burst + 1e-6


async def test_a_burst_goes_at_once_and_then_the_rate_counts() -> None:
    time = Seconds()
    gate = throttle(time)
    seen = []
    for _ in range(5):
        await gate.acquire()
        seen.append(time.now)
    assert seen == [0, 0, 0.5, 1.0, 1.5]


async def test_weights_count_and_nothing_weighs_less_than_one() -> None:
    time = Seconds()
    gate = throttle(time)
    for weight in (0, 0.1, 4):
        await gate.acquire(weight)
    assert time.now == 2.0


async def test_whoever_asks_first_goes_first() -> None:
    time = Seconds()
    gate = throttle(time, per_second=1, burst=1)
    order: list[int] = []

    async def ask(number: int) -> None:
        await gate.acquire()
        order.append(number)

    await asyncio.gather(*(ask(number) for number in range(5)))
    assert order == sorted(order)


async def test_held_off_nothing_passes_and_the_longest_counts() -> None:
    time = Seconds()
    gate = throttle(time)
    gate.hold_off(30)
    gate.hold_off(1)
    assert gate.wait == 30
    await gate.acquire()
    assert time.now == 30


async def test_one_account_at_one_venue_has_one_throttle() -> None:
    time = Seconds()
    throttles = Throttles(monotonic=time.monotonic, sleep=time.sleep)
    one = throttles.of("binance", "a", per_second=1, burst=1)
    assert throttles.of("binance", "a", per_second=9, burst=9) is one
    assert throttles.of("binance", "b", per_second=1, burst=1) is not one
    assert throttles.of("okx", "a", per_second=1, burst=1) is not one


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_throttle_that_lets_nothing_through_is_an_error(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="nothing through"):
        throttle(Seconds(), rate, burst)


async def test_a_request_waits_out_a_short_pause_and_not_a_long_one() -> None:
    time = Seconds()
    gate = throttle(time)
    gate.hold_off(LONGEST_WAIT)
    await gate.acquire()
    assert time.now == LONGEST_WAIT
    gate.hold_off(LONGEST_WAIT + 1)
    with pytest.raises(HeldOff, match="left alone for 31 s"):
        await gate.acquire()
    assert time.now == LONGEST_WAIT, "nothing was waited for"
    time.now += LONGEST_WAIT + 1
    await gate.acquire()
