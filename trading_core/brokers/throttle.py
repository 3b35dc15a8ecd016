"""One throttle for each account at a venue, shared by everything that talks to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trading_core.domain.errors import BrokerUnavailable

LONGEST_WAIT = 30.0
"""Seconds that a request waits for while the venue lets nothing through. Later it would be about a market that has moved."""


class HeldOff(BrokerUnavailable):
    """The venue lets nothing through for longer than a request may wait. Nothing was sent."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the venue asked to be left alone for {seconds:.0f} s more, after too many requests",
            not_done="Nothing was sent to it",
            next_step="Wait, and run the account in one process only",
        )


class Throttle:
    """Spaces requests out so that a venue's limit is kept. Whoever asks first goes first.

    The generic cell rate algorithm (ITU-T I.371, annex A): one instant is kept, at which the account would be idle again.

    Args:
        per_second: how much weight the venue takes each second.
        burst: how much weight may go at once after a pause.
        monotonic: seconds that never step back.
        sleep: lets seconds pass on the same time.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        if per_second <= 0 or burst <= 0:
            raise ValueError(f"a throttle of {per_second} a second with a burst of {burst} lets nothing through")
        self._seconds_each = 1 / per_second
        self._tolerance = burst / per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._idle_at = monotonic()
        self._shut_until = self._idle_at

    async def acquire(self, weight: float | None = None) -> None:
        """Wait for a turn. A request that names no weight, or less than one, weighs one.

        Raises:
            HeldOff: the venue lets nothing through for long. No turn was taken.
        """
        if (shut := self._shut_until - self._monotonic()) > LONGEST_WAIT:
            raise HeldOff(shut)
        weight = 1.0 if weight is None else max(1.0, float(weight))
        begin = max(self._idle_at, self._monotonic())
        # Taken before the wait: whoever asks meanwhile comes after.
        self._idle_at = begin + weight * self._seconds_each
        free_at = self._idle_at - self._tolerance
        while (wait := max(free_at, self._shut_until) - self._monotonic()) > 0:
            await self._sleep(wait)

    def hold_off(self, seconds: float) -> None:
        """Let nothing through for so long: the venue said that it had too many requests."""
        self._shut_until = max(self._shut_until, self._monotonic() + max(0.0, seconds))

    @property
    def wait(self) -> float:
        """Seconds that a request of weight one would wait now."""
        now = self._monotonic()
        free_at = max(self._idle_at, now) + self._seconds_each - self._tolerance
        return max(0.0, free_at - now, self._shut_until - now)

    @property
    def left(self) -> float:
        """The fraction of the burst that could go at once now; 0 while the venue holds everything off."""
        now = self._monotonic()
        if now < self._shut_until:
            return 0.0
        return min(1.0, max(0.0, 1 - (self._idle_at - now) / self._tolerance))


class Throttles:
    """The throttles of a process, one for each venue and account: a second client begins with nobody's budget but theirs."""

    def __init__(self, *, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._throttles: dict[tuple[str, str], Throttle] = {}

    def of(self, venue: str, account_id: str, *, per_second: float, burst: float) -> Throttle:
        """The throttle of an account at a venue. The rates count when it is first asked for."""
        key = (venue, account_id)
        if key not in self._throttles:
            self._throttles[key] = Throttle(per_second, burst=burst, monotonic=self._monotonic, sleep=self._sleep)
        return self._throttles[key]
