"""A desk with its event log and its run manager, over a ledger that several processes could share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_channels.market.synthetic import SyntheticFeed
from graph.config import SessionConfig
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from graph.runs.worker import Pace
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, config, entry_feed
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.clock import SystemClock
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.session import Database

QUICK = Pace(look=0.05, claim=2.0, drain=5.0)


@dataclass(frozen=True, slots=True)
class Manned:
    """One process of the desk, whole."""

    system: TradingSystem
    database: Database
    log: EventLog
    desks: Desks
    runs: RunManager

    @property
    def account(self) -> str:
        return self.system.desk.account_id

    @property
    def olga(self) -> Principal:
        return operator("olga", self.account)

    async def events(self, run_id: str) -> list[StoredEvent]:
        """What a run has told so far."""
        await self.log.flush()
        async with self.database.reading() as uow:
            return list(await uow.events.of_run(run_id, 0, 1_000))

    async def kinds(self, run_id: str) -> list[str]:
        return [event.kind for event in await self.events(run_id)]

    async def ends(self, run_id: str) -> RunRecord:
        """The run when it is over."""
        async with asyncio.timeout(60):
            while True:
                record = await self.record(run_id)
                if record.ended_at is not None:
                    return record
                await asyncio.sleep(0.02)

    async def begins(self, run_id: str) -> None:
        """Return when the run is under way."""
        async with asyncio.timeout(60):
            while True:
                if (await self.record(run_id)).state is not RunState.QUEUED:
                    return
                await asyncio.sleep(0.01)

    @property
    def held(self) -> frozenset[str]:
        """The runs that this process works on, or keeps for when their turn comes."""
        return frozenset(self.runs._worker._jobs)

    def is_to_stop(self, run_id: str) -> bool:
        """Whether it is known here that the run was cancelled."""
        return self.runs._worker._jobs[run_id].work._is_cancelled

    async def record(self, run_id: str) -> RunRecord:
        async with self.database.reading() as uow:
            found = await uow.runs.get(run_id)
        assert found is not None, run_id
        return found


@asynccontextmanager
async def manned(
    home: Path,
    settings: SessionConfig | None = None,
    *,
    holder: str = "one",
    pace: Pace = QUICK,
    working: bool = True,
    feed: SyntheticFeed | None = None,
    location: str | None = None,
    **how: Any,
) -> AsyncIterator[Manned]:
    """A desk over `entry_feed` whose clock stands at `ENTRY`, at work on what is asked for."""
    chosen, path = settings or config(), location or str(home / "desk.db")
    clock = SystemClock()
    async with await Database.open(path) as database, EventLog(database, clock).open() as log:
        # The account's id is not known before the system is there.
        account = f"paper-{chosen.session_id}"
        given = {"at": ENTRY, "database": path, "listener": log.listener(account), **how}
        async with TradingSystem.open(chosen, home, feed=feed or entry_feed(), **given) as system:
            assert system.desk.account_id == account
            desks = Desks()
            desks.add(system)
            runs = RunManager(database, clock, log, desks, holder, pace)
            here = Manned(system, database, log, desks, runs)
            if not working:
                yield here
                return
            async with runs.working():
                yield here
