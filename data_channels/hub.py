"""The hub: starts the sources, watches over them, remembers what they said, and tells it as channels.

    async with ChannelHub(sources, ["BTC/USDT"], clock=clock, chance=random.Random(seed), sink=store) as hub:
        report = await hub.channel(Kind.ONCHAIN).report("BTC/USDT", as_of=clock.now())

Each source has a task of its own. A watcher looks whether they beat; one that crashed or fell silent is named and started anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from data_channels.base import Kind, Source
from data_channels.crosscheck import PRICE, Finding, contradictions, last_price
from data_channels.hub_channel import HubChannel
from data_channels.pacing import HubRules
from data_channels.sink import Outbox, ReadingSink
from data_channels.status import SourceStatus
from data_channels.worker import Worker
from trading_core.domain.clock import Clock, iso, utc
from trading_core.domain.errors import AlgoTrendyError, ConfigurationError
from trading_core.domain.market import MarketFeed, Reading, Ticker

PRICE_AGE = timedelta(minutes=5)
"""How old a venue's last price may be to be compared with others."""

_FEED_TIMEOUT = 5.0
_log = logging.getLogger(__name__)


class ChannelHub:
    """All sources of a desk.

    Args:
        symbols: what the sources are asked about.
        clock: tells when to ask, and waits.
        chance: spreads the asking; two hubs with the same one ask at the same times.
        sink: gets every new reading.
        feeds: venues whose last prices are checked against those of the sources, and the other way round.
        rules: how to ask and to watch.

    Attributes:
        outbox: the way to the sink, with its counts; None without a sink.

    Raises:
        ConfigurationError: two sources have the same name.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        symbols: Sequence[str],
        *,
        clock: Clock,
        chance: random.Random,
        sink: ReadingSink | None = None,
        feeds: Sequence[MarketFeed] = (),
        rules: HubRules | None = None,
    ) -> None:
        names = [source.name for source in sources]
        if len(names) != len(set(names)):
            raise ConfigurationError(f"two sources have the same name: {', '.join(sorted(names))}")
        self._clock, self._rules = clock, rules or HubRules()
        self._symbols = tuple(dict.fromkeys(symbols))
        # A feed that invents its prices contradicts everybody.
        self._feeds = [feed for feed in feeds if not feed.generated]
        self.outbox = Outbox(sink) if sink else None
        self._workers = [
            Worker(
                source,
                self._symbols,
                clock=clock,
                chance=random.Random(chance.getrandbits(64)),  # noqa: S311 — it spreads load and guards nothing
                rules=self._rules,
                taken=self._take,
            )
            for source in sources
        ]
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._helpers: list[asyncio.Task[None]] = []
        self._given_up: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start asking. A source that wants something it does not have stays off."""
        if self._helpers:
            return
        for worker in self._workers:
            if not worker.off:
                self._launch(worker)
        self._helpers.append(asyncio.create_task(self._watch(), name="channels: watcher"))
        if self.outbox:
            self._helpers.append(asyncio.create_task(self.outbox.run(), name="channels: outbox"))

    async def stop(self) -> None:
        """Stop all tasks, put what still waits for the sink, and close the sources."""
        tasks = {*self._tasks.values(), *self._helpers, *self._given_up}
        self._tasks.clear()
        self._helpers.clear()
        self._given_up.clear()
        for worker in self._workers:
            worker.retire()
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=self._rules.stop_within)
            for task in left:
                _log.error("%s did not stop", task.get_name())
        if self.outbox:
            await self._within(self.outbox.flush(), "the sink")
        for worker in self._workers:
            await self._within(worker.source.close(), worker.source.name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def asked(self) -> None:
        """Wait until every source was asked once, whatever came of it."""
        await asyncio.gather(*(worker.asked_once.wait() for worker in self._workers))

    def channel(self, kind: Kind) -> HubChannel | None:
        """The channel of a kind; None when no source is of it."""
        workers = [worker for worker in self._workers if worker.source.kind is kind]
        return HubChannel(kind, workers, self._symbols, self._of_kind(kind)) if workers else None

    def statuses(self) -> tuple[SourceStatus, ...]:
        """How each source stands now, in the order they were given."""
        now = self._clock.now()
        return tuple(worker.status(now) for worker in self._workers)

    async def contradicted(self, symbol: str, as_of: datetime, ticker: Ticker | None = None) -> tuple[Finding, ...]:
        """The prices of a symbol that the others contradict, at an instant: of sources and of venues, by their names.

        Args:
            ticker: what the first venue told already, and is about to be traded on; it is not asked again.
        """
        instant = utc(as_of)
        told = [
            reading
            for worker in self._workers
            if not worker.off
            for reading in worker.memory.known(symbol, instant)
            if reading.name == PRICE and instant - reading.published_at <= worker.source.pace.stale_after
        ]
        if not told and len(self._feeds) < 2:
            return ()
        known = self._feeds[:1] if ticker is not None else []
        asked = self._feeds[len(known) :]
        venues = [*await asyncio.gather(*(self._last_price(feed, symbol, instant) for feed in asked))]
        if ticker is not None and known and ticker.last > 0:
            venues.append(last_price(known[0].name, ticker))
        return contradictions([*told, *(price for price in venues if price is not None)])

    async def _last_price(self, feed: MarketFeed, symbol: str, as_of: datetime) -> Reading | None:
        try:
            async with asyncio.timeout(_FEED_TIMEOUT):
                ticker = await feed.ticker(symbol, as_of=as_of)
        except (AlgoTrendyError, TimeoutError):
            return None
        if ticker is None or ticker.last <= 0 or as_of - ticker.at > PRICE_AGE:
            return None
        return last_price(feed.name, ticker)

    def _of_kind(self, kind: Kind) -> Callable[[str, datetime], Awaitable[Sequence[Finding]]]:
        workers = [worker for worker in self._workers if worker.source.kind is kind]
        names = {worker.source.name for worker in workers}

        async def contradicted(symbol: str, as_of: datetime) -> Sequence[Finding]:
            # Venues are asked only where there is a price to compare theirs with.
            if not any(reading.name == PRICE for worker in workers for reading in worker.memory.known(symbol, as_of)):
                return ()
            findings = await self.contradicted(symbol, as_of)
            return [finding for finding in findings if kind is Kind.AGGREGATE or finding.source in names]

        return contradicted

    def _take(self, readings: Sequence[Reading]) -> None:
        if self.outbox:
            self.outbox.offer(readings)

    def _launch(self, worker: Worker) -> None:
        name = worker.source.name
        self._tasks[name] = asyncio.create_task(worker.run(), name=f"channels: {name}")

    async def _watch(self) -> None:
        seen: dict[str, int] = {}
        while True:
            await self._clock.sleep(self._rules.beat.total_seconds())
            await asyncio.sleep(0)
            for worker in self._workers:
                name = worker.source.name
                if worker.off or name not in self._tasks:
                    continue
                if self._tasks[name].done():
                    self._restart(worker, f"the task of {name} crashed")
                # One look is not enough: a machine that slept makes every task late at once, and all of them wake up.
                elif self._clock.now() > worker.due_by and seen.get(name) == worker.beats:
                    self._restart(worker, f"the task of {name} has been silent since {iso(worker.due_by)}")
                seen[name] = worker.beats

    def _restart(self, worker: Worker, reason: str) -> None:
        task = self._tasks[worker.source.name]
        error = task.exception() if task.done() and not task.cancelled() else None
        _log.error("%s; it is started again", reason, exc_info=error)
        if not task.done():
            task.cancel()
            # It may not heed that; what it would still say does not count, and stopping waits for it once more.
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)
        worker.restarted(reason)
        self._launch(worker)

    async def _within(self, ending: Awaitable[None], whose: str) -> None:
        """Let something end, in its time; stopping goes on whatever comes of it."""
        try:
            async with asyncio.timeout(self._rules.stop_within):
                await ending
        except Exception as error:  # one that cannot be closed must not keep the others open
            _log.warning("%s did not end well", whose, exc_info=error)
