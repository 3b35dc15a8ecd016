"""One source at work: asked in its time, waited out when it fails, turned off when it refuses."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from data_channels.base import Source
from data_channels.crosscheck import Finding, examined
from data_channels.memory import Memory
from data_channels.pacing import Breaker, BreakerState, Budget, HubRules, backoff, next_time
from data_channels.status import Counters, SourceStatus, age_text
from trading_core.domain.clock import Clock, iso
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable
from trading_core.domain.market import Reading, ReadingState

_log = logging.getLogger(__name__)


@runtime_checkable
class Counted(Protocol):
    """A source that takes several requests for one round says how many it has sent. Another one counts as one a round."""

    @property
    def requests(self) -> int: ...


class Worker:
    """Asks one source, and knows how it stands with it. The hub runs it in a task, and in another one if that falls silent.

    Args:
        symbols: what it is asked about.
        chance: of its own, so that what one source draws changes nothing for another.
        taken: gets every new reading.

    Attributes:
        off: why it is off; empty while it is not.
        asked_once: set after the first round, whatever came of it, and for a source that is off.
        beats: grows while it lives.
        due_by: when it beats next at the latest.
        findings: what was rejected in the last round.
    """

    def __init__(
        self,
        source: Source,
        symbols: Sequence[str],
        *,
        clock: Clock,
        chance: random.Random,
        rules: HubRules,
        taken: Callable[[Sequence[Reading]], None],
    ) -> None:
        self.source = source
        self.memory = Memory(rules.remembered)
        self.counters = Counters()
        self.breaker = Breaker(rules)
        self.off = f"it wants {source.wants}" if source.wants else ""
        self.last_error = ""
        self.last_error_at: datetime | None = None
        self.findings: tuple[Finding, ...] = ()
        self.asked_once = asyncio.Event()
        self.beats = 0
        self._symbols, self._clock, self._chance, self._rules, self._taken = symbols, clock, chance, rules, taken
        now = clock.now()
        self.due_by = self.next_ask_at = now
        self._budget = Budget(source.pace.per_minute * rules.rate_share, now)
        self._era = 0
        if self.off:
            self.asked_once.set()

    @property
    def failing(self) -> bool:
        return self.breaker.failures > 0

    async def run(self) -> None:
        """Ask until it refuses, or until cancelled. A second run ends what the first one has left."""
        self._era += 1
        era = self._era
        while not self.off and era == self._era:
            await self._wait()
            await self._ask(era)

    def retire(self) -> None:
        """Nothing that is still running counts any more, and it ends after its round."""
        self._era += 1

    def restarted(self, reason: str) -> None:
        """The task was given up, which is a failure like another: what it would still say does not count."""
        self.retire()
        self.counters.restarts += 1
        self._failed(reason, self._clock.now(), None)
        self._beat(timedelta(0))

    async def _wait(self) -> None:
        while (left := (self.next_ask_at - self._clock.now()).total_seconds()) > 0:
            self._beat(self._rules.beat)
            await self._clock.sleep(min(left, self._rules.beat.total_seconds()))
            # A simulated clock sleeps without letting anyone else on.
            await asyncio.sleep(0)

    async def _ask(self, era: int) -> None:
        asked_at = self._clock.now()
        self._beat(timedelta(seconds=self.source.pace.timeout))
        self.counters.asked += 1
        before = self._requests()
        time = asyncio.get_running_loop().time
        started = time()
        retry_after: float | None = None
        readings: Sequence[Reading] = ()
        error = refused = ""
        try:
            async with asyncio.timeout(self.source.pace.timeout):
                readings = await self.source.fetch(self._symbols, now=asked_at)
        except ChannelRefused as refusal:
            error = refused = refusal.what
        except ChannelUnavailable as outage:
            error, retry_after = outage.what, outage.retry_after
        except TimeoutError:
            error = f"{self.source.name} did not answer within {self.source.pace.timeout:g} s"
        except Exception as bug:  # a source with an error in it must not take its task along
            error = f"{self.source.name} failed: {type(bug).__name__}"
            # Where, and not with what: the message may hold a key, or text from outside.
            where = "".join(traceback.format_tb(bug.__traceback__))
            _log.error("the source %s has an error, %s\n%s", self.source.name, type(bug).__name__, where)
        if era != self._era:
            return
        self.counters.took(time() - started)
        now = self._clock.now()
        self._budget.spend(max(1, self._requests() - before), now)
        if error:
            self._failed(error, now, retry_after)
            self.off = refused
        else:
            self._answered(readings, asked_at, now)
        self.asked_once.set()

    def _answered(self, readings: Sequence[Reading], asked_at: datetime, now: datetime) -> None:
        found, new = [], []
        for reading in readings:
            # What a source could only date by the question was known when the answer was here.
            told = replace(reading, published_at=now) if reading.published_at == asked_at else reading
            if finding := examined(told, now=now, stale_after=self.source.pace.stale_after):
                found.append(finding)
            elif self.memory.add(told):
                new.append(told)
        self.counters.answered += 1
        self.counters.reconnects += self.failing
        self.breaker.succeeded()
        self.findings = tuple(found)
        self.counters.rejected += len(found)
        self.counters.readings += len(new)
        if new:
            self._taken(new)
        self._ask_at(now + next_time(self.source.pace.every, self._rules, self._chance), now)

    def _failed(self, error: str, now: datetime, retry_after: float | None) -> None:
        self.counters.failed += 1
        self.last_error, self.last_error_at = error, now
        self.breaker.failed(now)
        wait = backoff(self.breaker.failures, self._rules, self._chance)
        longest = self._rules.longest_retry_after.total_seconds()
        told = timedelta(seconds=max(0.0, min(retry_after or 0.0, longest)))
        self._ask_at(max(now + max(wait, told), self.breaker.opens_again_at(now)), now)

    def _ask_at(self, at: datetime, now: datetime) -> None:
        self.next_ask_at = max(at, self._budget.free_at(now))

    def _beat(self, until_next: timedelta) -> None:
        self.beats += 1
        self.due_by = self._clock.now() + until_next + self._rules.grace

    def _requests(self) -> int:
        return self.source.requests if isinstance(self.source, Counted) else 0

    def status(self, now: datetime) -> SourceStatus:
        """How it stands, for people."""
        newest = self.memory.newest
        age = None if newest is None else now - newest.published_at
        state, reason = self._state(age)
        return SourceStatus(
            source=self.source.name,
            kind=self.source.kind,
            state=state,
            reason=reason,
            age=age,
            last_error=self.last_error,
            last_error_at=self.last_error_at,
            rate_left=max(0.0, self._budget.left(now)),
            next_ask_at=None if self.off else self.next_ask_at,
            breaker=self.breaker.state(now),
            findings=self.findings,
            metrics=self.counters.metrics(),
        )

    def _state(self, age: timedelta | None) -> tuple[ReadingState, str]:
        if self.off:
            return ReadingState.OFF, self.off
        if age is None and not self.asked_once.is_set():
            return ReadingState.DEGRADED, "it has not answered yet"
        troubles = [self.trouble] if self.trouble else []
        if age is not None and age > self.source.pace.stale_after:
            troubles.insert(0, f"its newest reading is {age_text(age)} old")
            return ReadingState.STALE, "; ".join(troubles)
        if age is None and not troubles:
            troubles.append("it says nothing of these symbols")
        return (ReadingState.DEGRADED, "; ".join(troubles)) if troubles else (ReadingState.LIVE, "")

    @property
    def trouble(self) -> str:
        """What is wrong with it apart from age; empty when nothing is."""
        if self.failing:
            until = "" if self.breaker.state(self._clock.now()) is BreakerState.CLOSED else "; left alone"
            return f"{self.last_error}{until}; asked again at {iso(self.next_ask_at)}"
        return "; ".join(str(finding) for finding in self.findings[:3])
