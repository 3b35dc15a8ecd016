"""A circuit breaker: when a venue fails, stop asking for a while. (M. Nygard, "Release It!", 2nd ed., chapter 5.)

                 failures in a row, or too large a share
        CLOSED ─────────────────────────────────────────▶ OPEN ◀─┐
          ▲                                                │      │ the trial fails:
          │ the trial succeeds               cooling time  │      │ twice the cooling time
          └──────────────────── HALF_OPEN ◀────────────────┘ ─────┘

What is a failure is the caller's to say. For a broker, a refusal is none: the venue was there and judged the order.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"  # calls go through
    OPEN = "open"  # they do not, until the cooling time is over
    HALF_OPEN = "half_open"  # it is over: one call at a time is a trial


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens, and for how long.

    Attributes:
        failures: so many in a row open it.
        share: such a share of the last `window` calls opens it too, for a venue that answers now and then.
        window: counts only when it is full.
        cooling: seconds until the first trial; each trial that fails doubles them.
        longest: seconds, at most.
        jitter: up to this fraction is added, so that processes do not come back together.
    """

    failures: int = 5
    share: float = 0.5
    window: int = 20
    cooling: float = 15.0
    longest: float = 300.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if min(self.failures, self.window, self.share, self.cooling) <= 0 or self.longest < self.cooling or self.jitter < 0:
            raise ValueError(f"a breaker cannot work by {self}")


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave for one call, to be handed back with its outcome.

    Attributes:
        era: how often the breaker had opened before. The outcome of a call from before the last time says nothing new.
        is_trial: it holds the half-open breaker's one place.
    """

    era: int
    is_trial: bool


class Breaker:
    """The breaker of one account.

    Args:
        monotonic: seconds that never step back.
        jitter: decides how much longer than the rules say it cools.

    Attributes:
        reason: of the last failure.
    """

    def __init__(self, *, monotonic: Callable[[], float], jitter: random.Random, rules: BreakerRules | None = None) -> None:
        self._monotonic, self._jitter, self._rules = monotonic, jitter, rules or BreakerRules()
        self._recent: deque[bool] = deque(maxlen=self._rules.window)
        self._in_a_row = 0
        self._era = 0
        self._cooled_at: float | None = None
        self._cooling = self._rules.cooling
        self._on_trial = False
        self.reason = ""

    @property
    def state(self) -> BreakerState:
        if self._cooled_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._monotonic() < self._cooled_at else BreakerState.HALF_OPEN

    @property
    def opens_again_in(self) -> float:
        """Seconds until the next trial; 0 when there is nothing to wait for."""
        return max(0.0, self._cooled_at - self._monotonic()) if self._cooled_at is not None else 0.0

    def ask(self) -> Pass | None:
        """Leave for a call; None for none."""
        state = self.state
        if state is BreakerState.CLOSED:
            return Pass(self._era, is_trial=False)
        if state is BreakerState.OPEN or self._on_trial:
            return None
        self._on_trial = True
        return Pass(self._era, is_trial=True)

    def insist(self) -> Pass:
        """Leave for a call that must be made whatever the state. Its outcome counts like a trial's."""
        return self.ask() or Pass(self._era, is_trial=False)

    def succeeded(self, leave: Pass) -> None:
        """The venue answered: from now on, if it was open, it is closed."""
        self.abandoned(leave)
        if leave.era != self._era:
            return
        if self._cooled_at is not None:
            self._close()
        self._in_a_row = 0
        self._recent.append(True)

    def failed(self, leave: Pass, reason: str) -> None:
        """The venue did not answer, or nobody knows what it did."""
        self.abandoned(leave)
        if leave.era != self._era:
            return
        self.reason = reason
        if self._cooled_at is not None:
            # One that was insisted on while it cools only shows what is known: the time is not made longer for it.
            if self.state is BreakerState.HALF_OPEN:
                self._cooling = min(2 * self._cooling, self._rules.longest)
                self._open()
            return
        self._in_a_row += 1
        self._recent.append(False)
        full = len(self._recent) == self._rules.window
        if self._in_a_row >= self._rules.failures or (full and self._failure_share() >= self._rules.share):
            self._open()

    def abandoned(self, leave: Pass) -> None:
        """The call was given up without an outcome: it says nothing, and a trial's place is free again."""
        if leave.is_trial and leave.era == self._era:
            self._on_trial = False

    def _failure_share(self) -> float:
        return self._recent.count(False) / len(self._recent)

    def _open(self) -> None:
        self._era += 1
        self._on_trial = False
        self._cooled_at = self._monotonic() + self._cooling * (1 + self._jitter.uniform(0, self._rules.jitter))

    def _close(self) -> None:
        self._era += 1
        self._on_trial = False
        self._cooled_at = None
        self._cooling = self._rules.cooling
        self._recent.clear()
        self.reason = ""
