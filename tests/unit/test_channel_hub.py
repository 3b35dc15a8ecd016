"""The hub over simulated hours: when it asks, how it waits out failures, what it remembers, and how it ends."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from data_channels.base import Kind, Pace
from data_channels.hub import ChannelHub
from data_channels.pacing import BreakerState, HubRules
from data_channels.status import SourceStatus
from tests.channels.clock import SharedClock
from tests.channels.sources import BTC, MINUTE, PACE, START, Told, reading
from tests.waiting import until
from trading_core.domain.clock import SimulatedClock, SystemClock
from trading_core.domain.errors import ChannelRefused, ChannelUnavailable, ConfigurationError
from trading_core.domain.market import Reading, ReadingState

HOUR = timedelta(hours=1)


def opened(
    *sources: Told, clock: SimulatedClock | None = None, seed: int = 1, **more: object
) -> tuple[ChannelHub, SimulatedClock]:
    clock = clock or SharedClock(START)
    return ChannelHub(sources, [BTC], clock=clock, chance=random.Random(seed), **more), clock


async def after(hub: ChannelHub, clock: SimulatedClock, length: timedelta) -> tuple[SourceStatus, ...]:
    """How the sources stand after so long; the hub is stopped then."""
    async with hub:
        await clock.sleep(length.total_seconds())
        return hub.statuses()


def gaps(source: Told) -> list[float]:
    return [(later - earlier).total_seconds() for earlier, later in pairwise(source.asked)]


async def test_a_source_is_asked_at_once_and_then_at_its_pace_with_jitter() -> None:
    source = Told()
    [status] = await after(*opened(source), length=12 * HOUR)
    assert source.asked[0] == START
    assert all(270 <= gap <= 330 for gap in gaps(source))
    assert len(set(gaps(source))) > 20
    assert (status.state, status.reason, status.last_error) == (ReadingState.LIVE, "", "")
    assert 130 <= status.metrics.asked == status.metrics.answered == status.metrics.readings <= 160
    assert source.closed == 1


async def test_chance_alone_decides_when_and_one_source_changes_nothing_for_another() -> None:
    async def run(seed: int, other: Told) -> list[datetime]:
        source = Told()
        await after(*opened(source, other, seed=seed), length=3 * HOUR)
        return source.asked

    quiet = Told(name="other")
    failing = Told(lambda now: ChannelUnavailable("down"), name="other")
    assert await run(1, quiet) == await run(1, failing)
    assert await run(1, quiet) != await run(2, quiet)


async def test_failures_are_waited_out_longer_and_longer_with_full_jitter_and_the_breaker_opens() -> None:
    rules = HubRules(failures=4, cooling=10 * MINUTE, longest_cooling=40 * MINUTE)
    source = Told(lambda now: ChannelUnavailable("told /x: HTTP 500"))
    [status] = await after(*opened(source, rules=rules), length=6 * HOUR)
    waits = gaps(source)
    assert all(wait <= limit for wait, limit in zip(waits[:3], (5, 10, 20), strict=True))
    assert min(waits[:3]) < max(waits[:3])
    assert [wait >= least for wait, least in zip(waits[3:7], (600, 1200, 2400, 2400), strict=True)] == [True] * 4
    assert max(waits) < 2400 + 600
    assert status.breaker is not BreakerState.CLOSED
    assert status.state is ReadingState.DEGRADED
    assert "told /x: HTTP 500; left alone; asked again at 2026-03-01T" in status.reason
    assert status.metrics.failed == status.metrics.asked == len(source.asked)


async def test_a_first_failure_is_waited_out_anywhere_up_to_the_backoff() -> None:
    first = []
    for seed in range(40):
        source = Told(lambda now: ChannelUnavailable("down"))
        await after(*opened(source, seed=seed), length=timedelta(seconds=6))
        first.append(gaps(source)[0])
    assert min(first) < 1
    assert max(first) > 4
    assert all(0 <= wait <= 5 for wait in first)


async def test_retry_after_is_honoured_to_the_second_and_a_recovery_counts_as_a_reconnect() -> None:
    def says(now: datetime) -> Sequence[Reading] | Exception:
        return ChannelUnavailable("429", retry_after=600) if now < START + MINUTE else [reading(at=now)]

    source = Told(says)
    [status] = await after(*opened(source), length=HOUR)
    assert gaps(source)[0] == 600
    assert (status.metrics.failed, status.metrics.reconnects) == (1, 1)
    assert (status.state, status.breaker, status.last_error) == (ReadingState.LIVE, BreakerState.CLOSED, "429")
    assert status.last_error_at == START


async def test_no_source_is_left_alone_for_ever_because_it_said_so() -> None:
    source = Told(lambda now: ChannelUnavailable("429", retry_after=1e15))
    await after(*opened(source), length=30 * HOUR)
    assert gaps(source) == [86_400]


async def test_a_refusal_turns_the_source_off_until_somebody_acts() -> None:
    source = Told(lambda now: ChannelRefused("told refused /x: the key is not accepted (HTTP 401)"))
    hub, clock = opened(source)
    [status] = await after(hub, clock, length=24 * HOUR)
    assert len(source.asked) == 1
    assert (status.state, status.next_ask_at) == (ReadingState.OFF, None)
    assert status.reason == "told refused /x: the key is not accepted (HTTP 401)"


async def test_a_source_without_its_key_is_off_and_names_it() -> None:
    source = Told(wants="glassnode-api-key")
    [status] = await after(*opened(source), length=HOUR)
    assert (source.asked, status.state, status.reason) == ([], ReadingState.OFF, "it wants glassnode-api-key")


async def test_an_error_in_a_source_is_a_failure_like_another_and_is_told_by_its_type(caplog: pytest.LogCaptureFixture) -> None:
    source = Told(lambda now: ValueError("text from outside"))
    other = Told(name="other")
    bad, good = await after(*opened(source, other), length=HOUR)
    assert bad.last_error == "told failed: ValueError"
    assert len(source.asked) > 3
    assert good.state is ReadingState.LIVE
    assert "the source told has an error, ValueError" in caplog.text
    assert "in fetch" in caplog.text
    assert "text from outside" not in caplog.text


async def test_a_source_that_takes_too_long_is_given_up() -> None:
    class Slow(Told):
        async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
            self.asked.append(now)
            await asyncio.sleep(60)
            return ()

    source = Slow(pace=Pace(every=MINUTE, stale_after=HOUR, per_minute=60, timeout=0.02))
    [status] = await after(*opened(source), length=timedelta(minutes=10))
    assert status.last_error == "told did not answer within 0.02 s"
    assert status.metrics.failed == len(source.asked) >= 3


async def test_the_rate_is_kept_well_below_what_the_source_takes_and_what_is_left_is_shown() -> None:
    class Greedy(Told):
        requests = 0

        async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
            self.requests += 7
            return await super().fetch(symbols, now=now)

    source = Greedy(pace=Pace(every=timedelta(seconds=1), stale_after=HOUR, per_minute=10))
    [status] = await after(*opened(source), length=HOUR)
    assert source.requests <= 0.5 * 10 * 60 + 10
    assert source.requests >= 0.5 * 10 * 60 - 10
    assert status.rate_left < 5


async def test_silence_makes_a_source_stale_and_says_since_when() -> None:
    def says(now: datetime) -> Sequence[Reading] | Exception:
        return [reading(at=now)] if now < START + 10 * MINUTE else ChannelUnavailable("down")

    [status] = await after(*opened(Told(says)), length=HOUR)
    assert status.state is ReadingState.STALE
    assert status.reason.startswith("its newest reading is ")
    assert "min old; down" in status.reason
    assert status.age is not None
    assert status.age > PACE.stale_after


async def test_the_same_answer_again_is_nothing_new_and_does_not_look_fresh() -> None:
    source = Told(lambda now: [reading(at=START, published=START)])
    [status] = await after(*opened(source), length=HOUR)
    assert status.metrics.readings == 1
    assert (status.state, status.metrics.answered) == (ReadingState.STALE, len(source.asked))


async def test_it_runs_on_the_plain_simulated_clock_too() -> None:
    first, second = Told(), Told(name="second")
    hub, clock = opened(first, second, clock=SimulatedClock(START))
    async with hub:
        await hub.asked()
        for _ in range(1500):
            await asyncio.sleep(0)
        length = clock.now() - START
        statuses = hub.statuses()
    assert all(status.state is ReadingState.LIVE for status in statuses)
    # Each task that waits pushes that clock on, so that others come a few beats late.
    assert length > 3 * HOUR
    assert all(0.7 * length / PACE.every <= len(source.asked) <= 1.1 * length / PACE.every for source in (first, second))


async def test_it_runs_on_real_time_and_ends_at_once() -> None:
    source = Told(pace=Pace(every=timedelta(milliseconds=20), stale_after=HOUR, per_minute=60_000))
    before, began = asyncio.all_tasks(), time.monotonic()
    async with ChannelHub([source], [BTC], clock=SystemClock(), chance=random.Random(1)) as hub:
        await until(lambda: len(source.asked) >= 5)
        [status] = hub.statuses()
        assert time.monotonic() - began > 0.05, "it was asked with pauses"
    assert asyncio.all_tasks() == before
    assert status.metrics.latency is not None
    assert 0 <= status.metrics.latency.p50 <= status.metrics.latency.p99


async def test_stopping_twice_and_starting_twice_is_harmless() -> None:
    source = Told()
    hub, _ = opened(source)
    await hub.start()
    await hub.start()
    await hub.asked()
    await hub.stop()
    await hub.stop()
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("channels")] == []


def test_two_sources_of_one_name_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="two sources have the same name: told, told"):
        opened(Told(), Told())


def test_a_kind_without_sources_has_no_channel() -> None:
    hub, _ = opened(Told())
    assert hub.channel(Kind.ONCHAIN) is None
