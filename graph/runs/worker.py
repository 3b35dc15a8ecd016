"""Doing the runs that were asked for: claimed from the ledger, each in its lane, told in the log, and left in good order."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.waking import wake
from graph.runs.work import Work
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

# Runs of one account that one process holds, begun or not.
_MOST_CLAIMED = {RunKind.ORDER: 100, RunKind.CYCLE: 20, RunKind.REBALANCE: 20, RunKind.CONVERSATION: 200}
_AGAIN_AFTER = 1.0  # seconds before a run is tried again that could not be worked on
_log = logging.getLogger("algotrendy.runs")


@dataclass(frozen=True, slots=True)
class Pace:
    """How runs are worked on; times in seconds.

    Attributes:
        turns, orders: most at once, over all accounts. Cycles run one at a time for each account.
        look: between two looks at the ledger for what other processes ask.
        claim: how long a claim lasts; another process may take the run when its holder has been silent for that long.
        drain: how long runs may go on to their next boundary when the process is to end.
    """

    turns: int = 16
    orders: int = 8
    look: float = 0.25
    claim: float = 10.0
    drain: float = 20.0


@dataclass(slots=True)
class _Lanes:
    """What may run beside what. Cycles of an account, and turns of a conversation, come one after another."""

    turns: asyncio.Semaphore
    orders: asyncio.Semaphore
    cycles: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    conversations: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @asynccontextmanager
    async def of(self, request: RunRequest, kind: RunKind) -> AsyncIterator[None]:
        if kind is RunKind.CONVERSATION:
            # Kept for as long as somebody has it, or waits for it.
            one_by_one = self.conversations.setdefault(request.conversation_id or request.run_id, asyncio.Lock())
            async with one_by_one, self.turns:
                yield
        elif kind is RunKind.ORDER:
            async with self.orders:
                yield
        else:
            async with self.cycles[request.account_id]:
                yield


@dataclass(slots=True)
class _Job:
    """One claimed run."""

    request: RunRequest
    work: Work
    task: asyncio.Task[None]


class RunWorker:
    """The runs of the desks of one process."""

    def __init__(self, database: Database, clock: Clock, log: EventLog, desks: Desks, holder: str, pace: Pace) -> None:
        self._database, self._clock, self._log, self._desks = database, clock, log, desks
        self._holder, self._pace = holder, pace
        self._jobs: dict[str, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._lanes = _Lanes(asyncio.Semaphore(pace.turns), asyncio.Semaphore(pace.orders))
        self._renewed = 0.0
        self._is_draining = False

    def wake(self) -> None:
        """Look now: something was asked for in this process."""
        self._wake.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """See `RunManager.working`."""
        self._is_draining = False
        looking = asyncio.create_task(self._look_on(), name="runs")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await self._drain()

    async def _look_on(self) -> None:
        while True:
            try:
                await self._look()
            except AlgoTrendyError as error:
                _log.warning("the ledger could not be asked for runs: %s", error)
            except Exception:  # or nothing would ever be worked on again, and nobody would know
                _log.exception("runs could not be looked for")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.look):
                    await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> None:
        await self._renew()
        accounts, now = self._desks.accounts, self._clock.now()
        room = {account: self._room(account) for account in accounts}
        async with self._database.reading() as uow:
            stopped = await uow.run_requests.cancelled(self._jobs)
            asked = {account for account in accounts if await uow.run_requests.claimable(account, now, room[account])}
            answered = [
                (system, run_id)
                for account in accounts
                if (system := self._desks.get(account)) is not None
                for run_id in await uow.run_requests.answered(account, system.clock.now())
            ]
        for run_id in stopped:
            if (job := self._jobs.get(run_id)) is not None:
                job.work.cancel(job.task)
        for job in list(self._jobs.values()):
            if job.request.account_id not in accounts:
                job.task.cancel()  # another process has the account: nothing more is done for it here
        for system, run_id in answered:
            account = system.desk.account_id
            if await wake(self._database, system.clock, self._log, account, run_id):
                asked.add(account)
        for account in accounts:
            if account in asked:
                await self._claim(account, room[account])

    def _room(self, account_id: str) -> dict[RunKind, int]:
        """How many more runs of each kind may be claimed, where there is room: many questions keep no order waiting."""
        held = Counter(job.work.kind for job in self._jobs.values() if job.request.account_id == account_id)
        return {kind: most - held[kind] for kind, most in _MOST_CLAIMED.items() if held[kind] < most}

    async def _claim(self, account_id: str, room: Mapping[RunKind, int]) -> None:
        now = self._clock.now()
        claimed: list[RunRequest] = []
        async with self._database.transaction() as uow:
            for kind, most in room.items():
                claimed += await uow.run_requests.claim(account_id, self._holder, now, now + self._lasts, most, [kind])
            records = {request.run_id: await uow.runs.get(request.run_id) for request in claimed}
        for request in claimed:
            record = records[request.run_id]
            if record is not None and request.run_id not in self._jobs:
                self._begin(request, record)

    def _begin(self, request: RunRequest, record: RunRecord) -> None:
        work = Work(self._database, self._clock, self._log, self._desks, request, record)
        task = asyncio.create_task(self._do(work, request, record), name=f"run {request.run_id}")
        self._jobs[request.run_id] = _Job(request, work, task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Work, request: RunRequest, record: RunRecord) -> None:
        try:
            async with self._lanes.of(request, record.kind):
                if not self._is_draining:
                    await work.run()
        except asyncio.CancelledError:
            pass  # it is left as it stands; the ledger has all that the next process needs
        except AlgoTrendyError as error:
            _log.warning("run %s is taken up again later: %s", request.run_id, error)
            await asyncio.sleep(_AGAIN_AFTER)
        except Exception:
            _log.exception("run %s could not be worked on; it is taken up again later", request.run_id)
            await asyncio.sleep(_AGAIN_AFTER)
        finally:
            # Before the claim is given back: from then on the run may be claimed again, here as well.
            self._jobs.pop(request.run_id, None)
            with suppress(AlgoTrendyError):
                async with self._database.transaction() as uow:
                    await uow.run_requests.release(request.run_id, self._holder)
            self._wake.set()

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._jobs or loop.time() - self._renewed < self._pace.claim / 3:
            return
        async with self._database.transaction() as uow:
            kept = await uow.run_requests.renew(self._jobs, self._holder, self._clock.now() + self._lasts)
        self._renewed = loop.time()
        for run_id in self._jobs.keys() - kept:
            _log.warning("run %s was taken by another process", run_id)
            self._jobs[run_id].task.cancel()

    async def _drain(self) -> None:
        """Let every run come to its next boundary, and leave those that do not come to one in time."""
        self._is_draining = True
        accounts = self._desks.accounts
        for job in list(self._jobs.values()):
            if job.request.account_id in accounts:
                job.work.drain()
            else:
                job.task.cancel()  # the account is another process's by now: not one step more is made for it here
        until = asyncio.get_running_loop().time() + self._pace.drain
        while self._tasks and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=min(left, self._pace.claim / 3))
            with suppress(AlgoTrendyError):
                await self._renew()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _lasts(self) -> timedelta:
        return timedelta(seconds=self._pace.claim)
