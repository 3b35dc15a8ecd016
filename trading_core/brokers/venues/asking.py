"""Reads, tried again after what may pass. Writes are never repeated."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from trading_core.brokers.venues.client import Exchange
from trading_core.brokers.venues.errors import is_clock_skew, is_passing, last_status
from trading_core.brokers.venues.profile import VenueProfile
from trading_core.domain.clock import Clock

_T = TypeVar("_T")
_ATTEMPTS = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 2.0  # seconds between them, at most


class Asking:
    """Asks one venue. A time that it did not accept is measured anew before the next try.

    Args:
        clock: to wait on between two tries.
        jitter: decides how long.
    """

    def __init__(self, profile: VenueProfile, exchange: Exchange, clock: Clock, jitter: random.Random) -> None:
        self._profile, self._exchange, self._clock, self._jitter = profile, exchange, clock, jitter
        self._is_about_time = partial(is_clock_skew, unnamed=profile.signs_seconds)

    async def __call__(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        async def once() -> _T:
            last_status.set(None)
            return await ask()

        tries = AsyncRetrying(
            retry=retry_if_exception(lambda error: is_passing(error) or self._is_about_time(error)),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            sleep=self._clock.sleep,
            before_sleep=self._before_next,
            reraise=True,
        )
        return await tries(once)

    async def _before_next(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None and self._is_about_time(error) and self._profile.measures_clock:
            await self._exchange.load_time_difference()

    def _wait(self, state: RetryCallState) -> float:
        """Full jitter: anything up to a bound that doubles (M. Brooker, "Exponential Backoff And Jitter", AWS, 2015)."""
        return self._jitter.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**state.attempt_number))
