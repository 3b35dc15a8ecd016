"""Opening accounts in a process that serves: a right that is lost on the way begins nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from graph import serving as module
from graph.config import SessionConfig
from graph.runs.leases import LeaseTimes, LostLease, lease_of
from graph.serving import ServingOptions, serving
from trading_core.domain.clock import SystemClock
from trading_core.persistence.session import Database

CLOCK = SystemClock()


async def test_a_right_that_is_lost_while_the_account_is_opened_begins_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SessionConfig.parse({"market": "practice", "symbols": ("BTC/USDT",), "start": CLOCK.now() - timedelta(hours=2)})
    real = module.TradingSystem.open

    async with await Database.open(tmp_path / "desk.db") as database:

        @asynccontextmanager
        async def slow(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            async with real(*arguments, **named) as system:
                now = CLOCK.now()
                async with database.transaction() as uow:
                    name = lease_of(system.desk.account_id)
                    assert await uow.leases.take(name, "other", now + timedelta(days=1), now + timedelta(days=2))
                await CLOCK.sleep(0.5)
                yield system

        monkeypatch.setattr(module.TradingSystem, "open", slow)
        options = ServingOptions(str(tmp_path / "desk.db"), times=LeaseTimes(lasts=0.6, renewed=0.1))
        with pytest.raises(LostLease, match="other took it over"):
            async with serving([config], tmp_path, database, CLOCK, "one", options):
                pytest.fail("it began to work")
