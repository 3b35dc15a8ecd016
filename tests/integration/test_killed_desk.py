"""A desk killed among a thousand orders, on both databases: what it acknowledged is there, and everything adds up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.http_broker import NO_CERTIFICATES, HttpBroker
from tests.crash.paper_venue import market
from tests.integration.rival_desk import Job
from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUN, RUNNER, TRADER
from tests.unit.paper_exchange import DEPOSIT, at
from trading_core.audit.verify import verify_audit
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.orders import OrderState
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.desk import Desk
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

ROOT = Path(__file__).parents[2]
ORDERS = 1_000


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An account at a paper exchange of its own process."""
    folder = tmp_path / "venue"
    folder.mkdir()
    venue = start("tests.crash.paper_venue", str(folder))
    try:
        assert venue.stdout is not None
        url = f"http://127.0.0.1:{json.loads(venue.stdout.readline())['port']}/1"
        with httpx.Client(trust_env=False, verify=NO_CERTIFICATES) as client:
            client.post(url).raise_for_status()
        yield url
    finally:
        venue.communicate(timeout=60)


def killed(job: Job, after: int) -> set[str]:
    """Run the job and kill it when `after` orders are acknowledged; the ids of all that were."""
    process = start("tests.integration.rival_desk")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(job.line())
    process.stdin.flush()
    assert process.stdout.readline().strip() == "ready"
    process.stdin.write("go\n")
    process.stdin.flush()
    told = {process.stdout.readline().strip() for _ in range(after)}
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    return told | {line for line in rest.splitlines() if line.startswith("at") and len(line) == len(next(iter(told)))}


@pytest.mark.parametrize("after", [1, pytest.param(150, marks=pytest.mark.slow)])
async def test_what_a_killed_desk_acknowledged_is_there_and_everything_adds_up(location: str, url: str, after: int) -> None:
    clock, feed = SimulatedClock(at(1)), market()
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), "paper", at(1))
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, at(1), at(1)))
        wide = {"max_open_orders": str(2 * ORDERS), "orders_per_minute": "9999", "orders_per_minute_per_actor": "9999"}
        legs = [str(number) for number in range(ORDERS)]
        acknowledged = killed(Job(location, url, wide, legs, "0.5", "96", tells=True, at_once=50), after)
        assert after <= len(acknowledged) < ORDERS

        broker = HttpBroker(url, clock)
        desk = Desk(
            account_id=ACCOUNT,
            database=database,
            broker=broker,
            feed=feed,
            clock=clock,
            limits=LimitsBook(desk=LIMITS),
            instruments=await feed.instruments(),
            principals={who.name: who for who in (TRADER, OPERATOR)},
        )
        try:
            await clock.sleep(ABSENT_AFTER.total_seconds())
            found, _ = await desk.reconcile(RUNNER)
            assert found.agrees, found.disagreement
            async with database.reading() as uow:
                orders = {order.client_order_id: order for order in await uow.orders.all(ACCOUNT)}
            assert acknowledged <= orders.keys()
            assert all(orders[key].state is OrderState.OPEN for key in acknowledged)
            assert {order.state for order in orders.values()} <= {OrderState.OPEN, OrderState.REFUSED}

            findings = [
                *await verify_ledger(RUNNER, database, ACCOUNT),
                *await verify_venue(RUNNER, database, ACCOUNT, broker),
            ]
            assert not [finding for finding in findings if not finding.holds]
            async with database.reading() as uow:
                submitted = [row async for row in uow.audit.walk() if row.action == "order.submitted"]
            assert {row.subject_id for row in submitted} == orders.keys()
            assert (await verify_audit(OPERATOR, database, print)).holds
        finally:
            await broker.close()
