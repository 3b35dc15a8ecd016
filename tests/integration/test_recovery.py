"""A restart in the middle of everything, on both databases: all is there, the desk reconciles before it trades, and goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from graph.system import TradingSystem
from tests.integration.interrupted import NEXT, SYMBOL, settings, wanted
from tests.integration.worlds import ENTRY, entry_feed, trail
from trading_core.auth.agents import agent, runner
from trading_core.auth.permissions import operator
from trading_core.domain.intents import ApprovalState, Verdict
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.execution.control import Control
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.reconcile import Difference
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.records import RunState
from trading_core.persistence.session import Database
from trading_core.risk.state import TradingState

ROOT = Path(__file__).parents[2]
OTHER, THIRD = "ETH/USDT", "SOL/USDT"
LATER = NEXT + timedelta(seconds=5)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """Where the ledger is: the session's own file, or PostgreSQL."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


async def interrupted(home: Path, database: str | None, how: str) -> None:
    """A process comes to the middle of everything, and is killed there or ends in order."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.interrupted", str(home), *([database] if database else [])),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    ready = await child.stdout.readline()
    if how == "killed" and ready:
        child.send_signal(signal.SIGKILL)
    _, errors = await child.communicate(b"")
    assert ready == b"ready\n", errors.decode()
    assert child.returncode == (-signal.SIGKILL if how == "killed" else 0), errors.decode()


@asynccontextmanager
async def restarted(home: Path, database: str | None) -> AsyncIterator[TradingSystem]:
    async with TradingSystem.open(settings(), home, feed=entry_feed(), at=LATER, database=database) as system:
        yield system


async def price(system: TradingSystem, symbol: str = SYMBOL) -> Decimal:
    ticker = await system.feed.ticker(symbol, as_of=system.clock.now())
    assert ticker is not None
    return ticker.last


async def assert_proven(system: TradingSystem) -> None:
    account = system.desk.account_id
    who = operator("olga", account)
    findings = [
        *await verify_ledger(who, system.database, account),
        *await verify_venue(who, system.database, account, system.broker),
    ]
    assert not [finding for finding in findings if not finding.holds]


@pytest.mark.parametrize(
    ("database", "how"),
    [
        ("sqlite", "killed"),
        ("postgresql", "killed"),
        ("sqlite", "closed"),
        pytest.param("postgresql", "closed", marks=pytest.mark.slow),
    ],
    indirect=["database"],
)
async def test_everything_is_there_after_a_restart_and_the_desk_goes_on(tmp_path: Path, database: str | None, how: str) -> None:
    await interrupted(tmp_path, database, how)
    async with restarted(tmp_path, database) as system:
        account = system.desk.account_id
        olga, waits, hung = operator("olga", account), system.runner.run_id(ENTRY), system.runner.run_id(NEXT)

        # It reconciled while it opened: the order that was on its way has filled meanwhile, and is booked and under its stop.
        assert system.opening.agrees
        assert [(row.kind, row.ledger, row.venue) for row in system.opening.rows] == [(Difference.ORDER_STATE, "open", "filled")]
        view = await system.desk.account(runner(account))
        assert [(order.symbol, order.purpose, order.state) for order in view.live_orders] == [
            (SYMBOL, Purpose.STOP, OrderState.OPEN)
        ]
        assert view.live_orders[0].remaining > 0

        # The halted state, the runs and the approval are as they were left.
        assert (view.risk.trading_state, view.risk.reason) == (TradingState.HALTED, "for the test")
        async with system.database.reading() as uow:
            runs = await uow.runs.in_state(system.config.session_id, RunState.RUNNING, RunState.WAITING)
            (approval,) = await uow.approvals.pending(account)
        assert [(run.id, run.state) for run in runs] == [(waits, RunState.WAITING), (hung, RunState.RUNNING)]

        # Halted is halted: the gate says no until somebody resumes.
        refused = await system.desk.propose(agent("risk", account), wanted(system, await price(system)))
        assert "trading_state" in refused.reason_codes
        await Control(account, system.database, system.clock).resume_trading(olga, "go on", {SYMBOL: await price(system)})

        # And then everything goes on where it was.
        answered = await system.desk.decide_approval(olga, approval.intent_id, approve=True, reason="told so")
        assert answered.state is ApprovalState.APPROVED
        assert (await system.runner.resume(waits)).state is RunState.DONE
        asks = await system.runner.resume(hung)
        assert asks.state is RunState.WAITING, "its model has answered, and what it wants needs an approval too"
        for intent_id in asks.waiting:
            await system.desk.decide_approval(olga, intent_id, approve=False, reason="once is enough")
        assert (await system.runner.resume(hung)).state is RunState.DONE
        (sent,) = (each.order for each in (await trail(system, waits)).orders if each.order.purpose is Purpose.ENTRY)
        assert (sent.intent_id, sent.state) == (approval.intent_id, OrderState.FILLED)
        stops = (await system.desk.account(runner(account))).live_orders
        assert sorted(order.symbol for order in stops if order.purpose is Purpose.STOP) == sorted({SYMBOL, sent.symbol})
        await assert_proven(system)


async def test_a_desk_whose_venue_differs_after_a_restart_enters_nothing_until_it_agrees(
    tmp_path: Path, database: str | None
) -> None:
    await interrupted(tmp_path, database, "killed")
    async with restarted(tmp_path, database) as system:
        account, ledger = system.desk.account_id, system.database
        await Control(account, ledger, system.clock).resume_trading(
            operator("olga", account), "go on", {SYMBOL: await price(system)}
        )
        await change_balance(ledger, account, Decimal(1))
    async with restarted(tmp_path, database) as system:
        assert not system.opening.agrees
        risk, execution = agent("risk", account), agent("execution", account)
        refused = await system.desk.propose(risk, wanted(system, await price(system, OTHER), OTHER))
        assert (refused.verdict, refused.reason_codes) == (Verdict.DENIED, ("trading_state",))
        await change_balance(system.database, account, Decimal(-1))
        found, _ = await system.desk.reconcile(runner(account))
        assert found.agrees
        intent = wanted(system, await price(system, THIRD), THIRD)
        assert (await system.desk.propose(risk, intent)).verdict is Verdict.APPROVED
        assert isinstance(await system.desk.submit(execution, intent.intent_id, WorkingStyle.NOW), Order)


async def change_balance(database: Database, account: str, by: Decimal) -> None:
    """As somebody would who writes to the ledger past the desk."""
    async with database.transaction() as uow:
        before = await uow.portfolios.load(account)
        await uow.portfolios.save(
            type(before)(
                before.account_id,
                before.currency,
                before.deposited,
                {**before.balances, before.currency: before.cash + by},
                before.positions,
                before.fees,
            ),
            before,
        )
