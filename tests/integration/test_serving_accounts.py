"""Opening accounts in a process that serves: a right that is lost on the way begins nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from graph import serving as module
from graph.config import SessionConfig
from graph.runs.leases import LeaseTimes, LostLease, holding, lease_of
from graph.serving import ServingOptions, serving
from trading_core.auth.permissions import operator
from trading_core.domain.clock import Clock, SystemClock
from trading_core.persistence.session import Database

CLOCK = SystemClock()


async def test_a_right_that_is_lost_while_the_account_is_opened_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SessionConfig.parse({"market": "practice", "symbols": ("BTC/USDT",), "start": CLOCK.now() - timedelta(hours=2)})
    real = module.TradingSystem.open

    async with await Database.open(tmp_path / "desk.db") as database:
        noticed = asyncio.Event()

        @asynccontextmanager
        async def slow(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            async with real(*arguments, **named) as system:
                now = CLOCK.now()
                async with database.transaction() as uow:
                    name = lease_of(system.desk.account_id)
                    assert await uow.leases.take(name, "other", now + timedelta(days=1), now + timedelta(days=2))
                await noticed.wait()
                yield system

        def noticing(
            ledger: Database, clock: Clock, account: str, holder: str, lost: Callable[[LostLease], None], *rest: Any, **named: Any
        ) -> Any:
            def lose(error: LostLease) -> None:
                lost(error)
                noticed.set()

            return holding(ledger, clock, account, holder, lose, *rest, **named)

        monkeypatch.setattr(module.TradingSystem, "open", slow)
        monkeypatch.setattr(module, "holding", noticing)
        options = ServingOptions(str(tmp_path / "desk.db"), times=LeaseTimes(renewed=0.1))
        with pytest.raises(LostLease, match="other took it over"):
            async with serving([config], tmp_path, database, CLOCK, "one", options):
                pytest.fail("it began to work")


async def test_runs_that_a_dead_process_had_are_done_whatever_its_clock_said(tmp_path: Path) -> None:
    """Its claims are of a machine whose clock was hours ahead: nobody else would take its runs until then."""
    config = SessionConfig.parse({"market": "practice", "symbols": ("BTC/USDT",), "start": CLOCK.now() - timedelta(hours=2)})
    options = ServingOptions(str(tmp_path / "desk.db"), schedules_kept=False)
    async with await Database.open(tmp_path / "desk.db") as database:
        async with serving([config], tmp_path, database, CLOCK, "one", options) as served:
            (account,) = served.runs.accounts
        async with serving([], tmp_path, database, CLOCK, "door", options) as served:
            await served.runs.request_cycle(operator("olga", account), account, run_id="c")
        now, hours = CLOCK.now(), timedelta(hours=5)
        async with database.transaction() as uow:
            assert await uow.run_requests.claim(account, "one", now + hours, now + hours, 10)
        async with serving([config], tmp_path, database, CLOCK, "two", options) as served:
            record = await served.runs.wait("c", 30)
    assert record.ended_at is not None
