"""A killed run is finished by `resume`: finished agents are not asked again, and nothing is sent twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graph.report import report
from tests.integration.worlds import ENTRY, against, config, opened, trail
from tests.model_server import ModelServer
from tests.rules_brain import asked_of, rules_brain
from trading_core.domain.orders import OrderState, Purpose
from trading_core.persistence.records import RunState
from trading_core.persistence.session import Database

ROOT = Path(__file__).parents[2]
EVENTS = 23
"""How many events the cycle at `ENTRY` tells: a kill at each of them is a kill between any two steps a person could see."""

_SCHEMA = {"market_analysis": "MarketView", "signal": "Signal", "risk": "RiskPlan", "execution": "ExecutionPlan"}


async def _killed_at(event: int, home: Path) -> None:
    with ModelServer(brain=rules_brain) as server:
        settings = config(model=against(server.base_url), start=ENTRY, cycles=1)
        command = [sys.executable, "-m", "tests.integration.killed", str(home), server.base_url, str(event)]
        ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=150)  # noqa: ASYNC221 - nothing else is to run meanwhile
        if event <= EVENTS:
            assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        folder = home / "simulations" / settings.session_id
        run_id = f"{settings.session_id}-{ENTRY:%Y%m%dT%H%M%SZ}"
        async with await Database.open(folder / "ledger.db") as ledger, ledger.reading() as uow:
            finished = {(_SCHEMA[kept.agent], kept.subject) for kept in await uow.decisions.of_run(run_id)}
        before = len(server.requests)
        async with opened(home, settings, at=ENTRY) as system:
            result = await system.runner.resume(run_id)
            kept = await trail(system, run_id)
            told = await report(system)
        assert result.state is RunState.DONE, result.error
        again = [asked_of(request.body) for request in server.requests[before:]]
        assert not finished & set(again), "a finished agent was asked again"
        assert len(again) == len(set(again))
    everybody = {(decision.agent, decision.subject) for decision in kept.decisions}
    markets = {(agent, symbol) for agent in ("market_analysis", "signal") for symbol in settings.symbols}
    assert everybody == {*markets, ("risk", ""), ("execution", "")}
    entries = [order.order for order in kept.orders if order.order.purpose is Purpose.ENTRY]
    assert len(entries) == 1, "one intent, one order"
    # An order that was written down but never reached the exchange is not sent later: it ends as refused by absence.
    assert entries[0].state in (OrderState.FILLED, OrderState.REFUSED)
    assert told.fills == (1 if entries[0].state is OrderState.FILLED else 0)
    stops = [order.order for order in kept.orders if order.order.purpose is Purpose.STOP and order.order.is_live]
    assert len(stops) == told.fills, "what was bought has its stop"
    assert told.balances_agree


@pytest.mark.parametrize("event", [3, 21])
async def test_a_run_killed_at_an_event_is_finished_by_resume(event: int, tmp_path: Path) -> None:
    await _killed_at(event, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("event", range(1, EVENTS + 1))
async def test_a_run_killed_at_any_event_is_finished_by_resume(event: int, tmp_path: Path) -> None:
    await _killed_at(event, tmp_path)
