"""A desk in one process with its doors: a short session on the paper exchange, counted, and read through the real endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from api.app import create_app
from api.http.rate_limits import RateLimits
from api.http.settings import ApiSettings
from api.observability.metrics import Metrics
from api.state import ApiState
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from graph.runs.queue import queue_run
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, HOUR, config, entry_feed
from tests.unit import auth_cases
from trading_core.domain.clock import SimulatedClock
from trading_core.persistence.desk_records import RunRequest, Trigger
from trading_core.persistence.records import RunKind

TOKEN = "a-token-for-the-collector"  # noqa: S105 - of nobody
ROOT_ACCOUNTS = ("paper", "live")


@dataclass(slots=True)
class ObservedDesk:
    world: auth_cases.World
    system: TradingSystem
    log: EventLog
    metrics: Metrics
    client: httpx.AsyncClient

    @property
    def account(self) -> str:
        return self.system.desk.account_id

    async def cycle(self, as_of: datetime) -> str:
        """A cycle that was asked for, as a desk's process does it."""
        run_id, database, clock = f"cycle-{as_of:%H}", self.world.database, self.system.clock
        assert isinstance(clock, SimulatedClock)
        clock.advance_to(as_of)
        async with database.transaction() as uow:
            request = RunRequest(run_id, self.account, "test", Trigger.OPERATOR, {}, clock.now())
            await queue_run(uow, RunKind.CYCLE, request)
            record = await uow.runs.begin(run_id, as_of, clock.now(), session_id=self.system.config.session_id)
        await self.system.runner.go(record, settled=self.log.flush)
        await self.log.flush()
        self.log.wake()
        return run_id

    async def scraped(self, accept: str = "", **headers: str) -> httpx.Response:
        return await self.client.get("/metrics", headers={"accept": accept, "authorization": f"Bearer {TOKEN}", **headers})


@asynccontextmanager
async def observed(
    home: Path, *, client: tuple[str, int] = ("203.0.113.9", 5000), **settings: Any
) -> AsyncIterator[ObservedDesk]:
    """Three cycles can be run on it from `ENTRY - HOUR` on; at `ENTRY` the rules buy, and are stopped out two hours later."""
    location = str(home / "desk.db")
    async with auth_cases.opened(location) as world:
        log = EventLog(world.database, world.clock)
        heard = []

        def listener(event: Any) -> None:
            heard[0](event)

        opened = TradingSystem.open(
            config(), home, feed=entry_feed(), listener=listener, database=location, opened=world.database
        )
        async with log.open(), opened as system:
            heard.append(log.listener(system.desk.account_id))
            desks, metrics = Desks(), Metrics()
            desks.add(system)
            api_settings = ApiSettings.model_validate({"metrics_token": TOKEN, **settings})
            state = ApiState(
                settings=api_settings,
                database=world.database,
                clock=world.clock,
                auth=world.auth,
                runs=RunManager(world.database, world.clock, log, desks, "test"),
                log=log,
                desks=desks,
                limits=RateLimits(api_settings),
                observer=metrics,
            )
            app = create_app(state)
            transport = httpx.ASGITransport(app=app, client=client)
            async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://desk") as http:
                yield ObservedDesk(world, system, log, metrics, http)


HOURS = [ENTRY - HOUR + timedelta(hours=number) for number in range(4)]
