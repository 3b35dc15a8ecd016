"""What the hub does when its own tasks, its sink or a source's end go wrong, and a whole day of feed with faults."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from data_channels.aggregates.coingecko import CoinGecko
from data_channels.aggregates.defillama import DefiLlama
from data_channels.base import Pace
from data_channels.hub import ChannelHub
from data_channels.pacing import HubRules
from data_channels.sink import BACKLOG, Outbox
from tests.channels import faults
from tests.channels.clock import SharedClock
from tests.channels.server import Call, ServiceServer
from tests.channels.sources import BTC, START, Told, reading
from tests.waiting import until
from trading_core.domain.clock import SystemClock
from trading_core.domain.market import Reading, ReadingState

HOUR = timedelta(hours=1)
QUICK = HubRules(
    backoff=timedelta(milliseconds=1), beat=timedelta(milliseconds=10), grace=timedelta(milliseconds=400), stop_within=0.2
)
OFTEN = Pace(every=timedelta(milliseconds=10), stale_after=HOUR, per_minute=1_000_000, timeout=0.02)


class Kept:
    """A sink in memory that can fail."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.error: Exception | None = None
        self.calls = 0

    async def put(self, readings: Sequence[Reading]) -> int:
        self.calls += 1
        if self.error:
            raise self.error
        self.readings.extend(readings)
        return len(readings)


class Deaf(Told):
    """Hangs once and does not heed that it is cancelled, until it is let go."""

    def __init__(self) -> None:
        super().__init__(name="deaf", pace=OFTEN)
        self.let_go = asyncio.Event()

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        if not self.asked:
            self.asked.append(now)
            while not self.let_go.is_set():
                try:
                    await self.let_go.wait()
                except asyncio.CancelledError:
                    continue
            return [reading(666, source="deaf", at=now)]
        return await super().fetch(symbols, now=now)


async def test_a_task_that_fell_silent_is_named_and_started_again_and_its_late_word_does_not_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, kept = Deaf(), Kept()
    async with ChannelHub([source], [BTC], clock=SystemClock(), chance=random.Random(1), rules=QUICK, sink=kept) as hub:
        await until(lambda: len(source.asked) > 3, lambda: "it answers again")
        [status] = hub.statuses()
        assert status.metrics.restarts == 1
        assert "the task of deaf has been silent since" in status.last_error
        assert status.state is ReadingState.LIVE
        source.let_go.set()
        await asyncio.sleep(0.05)
    assert "the task of deaf has been silent since" in caplog.text
    assert kept.readings
    assert Decimal(666) not in {reading.value for reading in kept.readings}
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("channels")]


async def test_a_task_that_does_not_stop_is_named_and_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    source = Deaf()
    hub = ChannelHub([source], [BTC], clock=SystemClock(), chance=random.Random(1), rules=QUICK)
    await hub.start()
    await until(lambda: source.asked)
    async with asyncio.timeout(30):
        await hub.stop()
    assert "channels: deaf did not stop" in caplog.text
    source.let_go.set()
    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "channels: deaf"], lambda: "it ends")


async def test_a_task_that_crashes_is_started_again_and_waits_like_after_any_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crashes = iter([True, True, False])
    source, other = Told(), Told(name="other")
    hub = ChannelHub([source, other], [BTC], clock=(clock := SharedClock(START)), chance=random.Random(1))
    worker = hub._workers[0]
    add = worker.memory.add

    def crashing(reading: Reading) -> bool:
        if next(crashes, False):
            raise RuntimeError("a bug of ours")
        return add(reading)

    monkeypatch.setattr(worker.memory, "add", crashing)
    async with hub:
        await clock.sleep(3600)
        crashed, well = hub.statuses()
    assert crashed.metrics.restarts == 2
    assert crashed.last_error == "the task of told crashed"
    assert crashed.state is ReadingState.LIVE
    assert crashed.metrics.reconnects == 1
    assert "a bug of ours" in caplog.text
    assert well.metrics.restarts == 0


async def test_a_machine_that_slept_does_not_make_every_task_look_silent() -> None:
    class Leaping(SharedClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            task = asyncio.current_task()
            # The watcher wakes up before those that it watches.
            if self.now() - START > HOUR and not self.leapt and task and task.get_name() == "channels: watcher":
                self.leapt = True
                self.advance_to(self.now() + 8 * HOUR)

        leapt = False

    sources = [Told(name=f"s{index}") for index in range(5)]
    hub = ChannelHub(sources, [BTC], clock=(clock := Leaping(START)), chance=random.Random(1))
    async with hub:
        await clock.sleep(12 * 3600)
        assert clock.leapt
        assert [status.metrics.restarts for status in hub.statuses()] == [0] * 5


async def test_the_sink_gets_each_new_reading_once_and_its_failure_costs_none() -> None:
    kept = Kept()
    sources = [Told(), Told(lambda now: [reading(at=START, source="still")], name="still")]
    hub = ChannelHub(sources, [BTC], clock=(clock := SharedClock(START)), chance=random.Random(1), sink=kept)
    assert hub.outbox is not None
    async with hub:
        await clock.sleep(3600)
        kept.error = OSError("disk full")
        await clock.sleep(3600)
        assert hub.outbox.last_error == "OSError: disk full"
        assert hub.outbox.waiting > 5
        assert all(status.state is ReadingState.LIVE for status in hub.statuses()[:1])
        kept.error = None
        await clock.sleep(3600)
        assert hub.outbox.last_error == ""
    told = [entry.observed_at for entry in kept.readings if entry.source == "told"]
    assert told == sorted(set(told))
    assert told == sources[0].asked
    assert [entry.source for entry in kept.readings].count("still") == 1
    assert (hub.outbox.waiting, hub.outbox.lost) == (0, 0)


async def test_what_waits_when_the_hub_stops_is_still_put() -> None:
    kept = Kept()
    kept.error = OSError("locked")
    hub = ChannelHub([Told()], [BTC], clock=SystemClock(), chance=random.Random(1), sink=kept)
    await hub.start()
    await until(lambda: kept.calls == 1, lambda: "the sink has failed")
    kept.error = None
    await hub.stop()
    assert len(kept.readings) == 1


async def test_what_is_dropped_while_the_sink_takes_its_time_is_counted_and_nothing_else_is() -> None:
    class Slow(Kept):
        async def put(self, readings: Sequence[Reading]) -> int:
            if not self.readings:
                outbox.offer([reading(index) for index in range(3, BACKLOG + 2)])
            return await super().put(readings)

    kept = Slow()
    outbox = Outbox(kept)
    outbox.offer([reading(1), reading(2)])
    await outbox.flush()
    assert [entry.value for entry in kept.readings] == list(range(1, BACKLOG + 2))
    assert (outbox.waiting, outbox.lost) == (0, 1)


async def test_a_sink_that_never_comes_back_costs_the_oldest_and_counts_them() -> None:
    kept = Kept()
    kept.error = OSError("gone")
    outbox = Outbox(kept)
    for index in range(BACKLOG + 10):
        outbox.offer([reading(index + 1)])
    await outbox.flush()
    assert (outbox.waiting, outbox.lost, outbox.failures) == (BACKLOG, 10, 1)
    kept.error = None
    await outbox.flush()
    assert [entry.value for entry in kept.readings] == list(range(11, BACKLOG + 11))
    assert (outbox.put, outbox.waiting) == (BACKLOG, 0)


async def test_a_sink_that_hangs_is_given_up_for_now() -> None:
    class Hanging(Kept):
        async def put(self, readings: Sequence[Reading]) -> int:
            if self.error:
                await asyncio.sleep(60)
            return await super().put(readings)

    kept = Hanging()
    kept.error = OSError()
    outbox = Outbox(kept, within=0.02)
    outbox.offer([reading(1)])
    await outbox.flush()
    assert outbox.last_error.startswith("TimeoutError")
    kept.error = None
    await outbox.flush()
    assert len(kept.readings) == 1


async def test_a_source_that_cannot_be_closed_keeps_no_other_open() -> None:
    class Stuck(Told):
        async def close(self) -> None:
            raise OSError("cannot")

    last = Told(name="last")
    async with ChannelHub([Stuck(), last], [BTC], clock=SystemClock(), chance=random.Random(1)) as hub:
        await hub.asked()
    assert last.closed == 1


async def test_a_day_of_feed_with_faults_leaks_no_task_and_no_memory_and_counts_every_reconnect() -> None:
    clock = SharedClock(START)
    chance = random.Random(24)
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]

    def price(call: Call) -> object:
        coin = {"usd": chance.randint(100, 110), "usd_market_cap": 1e12, "last_updated_at": int(clock.now().timestamp())}
        return dict.fromkeys(call.params["ids"].split(","), coin)

    def chains(call: Call) -> object:
        return [{"name": name, "tvl": chance.random() * 1e9} for name in ("Bitcoin", "Ethereum", "Solana")]

    def stablecoins(call: Call) -> object:
        return [{"name": "Ethereum", "totalCirculatingUSD": {"peggedUSD": chance.random() * 1e9}}]

    troubles = [fault for fault in faults.OUTAGES if fault is not faults.OVERSIZED]
    outages = {name: [False] for name in ("coingecko", "defillama")}

    class Watched:
        """What became of each round, from the outside: by it the hub's own count is checked."""

        def __init__(self, source: CoinGecko | DefiLlama) -> None:
            self.name, self.kind, self.pace, self.wants = source.name, source.kind, source.pace, source.wants
            self._source = source

        async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
            log = outages[self.name]
            log.append(True)
            readings = await self._source.fetch(symbols, now=now)
            log[-1] = False
            return readings

        async def close(self) -> None:
            await self._source.close()

    before = asyncio.all_tasks()
    kept = Kept()
    with ServiceServer({"/simple/price": price, "/v2/chains": chains, "/stablecoinchains": stablecoins}) as server:
        sources = [
            Watched(CoinGecko(base_url=server.base_url)),
            Watched(DefiLlama(base_url=server.base_url, stablecoins_url=server.base_url)),
        ]
        rules = HubRules(beat=timedelta(minutes=1))
        hub = ChannelHub(sources, symbols, clock=clock, chance=chance, sink=kept, rules=rules)
        sizes = []
        async with hub:
            for hour in range(24):
                if hour == 8:  # what is remembered has its full size by now; from here on nothing grows
                    tracemalloc.start()
                if hour % 2:
                    path = chance.choice(list(server.answers))
                    server.spoil(chance.choice(troubles), path=path, times=chance.randint(1, 4))
                await clock.sleep(3600)
                kept.readings.clear()
                server.seen.clear()
                if hour > 8 and hour % 4 == 3:
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
            statuses = hub.statuses()
            running = {task.get_name() for task in asyncio.all_tasks() - before}
        tracemalloc.stop()
    assert running == {"channels: coingecko", "channels: defillama", "channels: watcher", "channels: outbox"}
    assert asyncio.all_tasks() == before
    for status in statuses:
        log = outages[status.source]
        assert status.metrics.reconnects == sum(was and not is_ for was, is_ in pairwise(log)) > 0
        assert status.metrics.failed == sum(log)
        assert status.metrics.asked == len(log) - 1
        assert status.metrics.restarts == 0
    assert max(sizes) - min(sizes) < 200_000, sizes
    assert sum(status.metrics.asked for status in statuses) > 24 * 12
