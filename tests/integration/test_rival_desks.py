"""Two processes propose and submit at once on one account, one ledger and one venue: together they never exceed a limit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.crash.http_broker import NO_CERTIFICATES, HttpBroker
from tests.integration.rival_desk import Job
from tests.unit.desk_cases import ACCOUNT, RUN, RUNNER
from tests.unit.paper_exchange import DEPOSIT, at
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

ROOT = Path(__file__).parents[2]
QUANTITY, PRICE = Decimal("50"), Decimal("96")  # rests below the market of 100, 4,800 each
FEE = Decimal("0.002")
EACH = 12
# What binds, and how many of the 18 different legs fit into 100,000. Three quarters of each rival's legs are its own.
LIMITS = {
    "cash": ({"cash_reserve": "0.7"}, 6),  # 30,000 are free, a leg takes 4,800 and its fee
    "exposure": ({"max_exposure": "0.25"}, 5),
    "open orders": ({"max_open_orders": "7"}, 7),
    "orders a minute": ({"orders_per_minute": "4"}, 4),
}


@dataclass(frozen=True)
class Processes:
    """The venue, and the two rivals."""

    venue: httpx.Client
    rivals: Sequence[subprocess.Popen[str]]
    accounts: Iterator[int]

    def account(self) -> str:
        """The address of a new account at the venue."""
        url = str(self.venue.base_url.join(f"/{next(self.accounts)}"))
        self.venue.post(url).raise_for_status()
        return url

    def compete(self, jobs: Sequence[Job]) -> list[dict[str, str]]:
        """Start all at one moment; what each says became of its legs."""
        for rival, job in zip(self.rivals, jobs, strict=True):
            _tell(rival, job.line())
        assert [_hear(rival) for rival in self.rivals] == ["ready"] * len(jobs)
        for rival in self.rivals:
            _tell(rival, "go\n")
        return [json.loads(_hear(rival)) for rival in self.rivals]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    venue = _start("tests.crash.paper_venue", str(tmp_path_factory.mktemp("venue")))
    rivals = [_start("tests.integration.rival_desk") for _ in range(2)]
    try:
        port = json.loads(_hear(venue))["port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_CERTIFICATES) as client:
            yield Processes(client, rivals, count(1))
    finally:
        for process in (*rivals, venue):  # each ends at the end of its input
            process.communicate(timeout=60)


@pytest.mark.parametrize("limit", LIMITS)
async def test_two_processes_never_exceed_a_limit_together(processes: Processes, location: str, limit: str) -> None:
    url = processes.account()
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), "paper", at(1))
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, at(1), at(1)))
        limits, fit = LIMITS[limit]
        shared = [f"shared{number}" for number in range(EACH // 2)]
        job = Job(location, url, limits, [], str(QUANTITY), str(PRICE))
        jobs = [replace(job, legs=[*shared, *(f"{name}{number}" for number in range(EACH // 2))]) for name in "ab"]

        answers = processes.compete(jobs)

        sent = {leg for answer in answers for leg, became in answer.items() if became == "sent"}
        assert len(sent) == fit, answers
        # Of an intent that both have, both say the same.
        assert [answers[0][leg] == "sent" for leg in shared] == [answers[1][leg] == "sent" for leg in shared]

        received = processes.venue.get(f"{url}/audit").json()["received"]
        assert list(received.values()) == [1] * fit, "an order was sent twice, or not at all"
        async with database.reading() as uow:
            live = await uow.orders.live(ACCOUNT)
            waiting = await uow.intents.waiting(ACCOUNT)
        assert {order.client_order_id for order in live} == set(received)
        assert waiting == ()
        taken = sum((order.remaining * (order.request.limit_price or ZERO) for order in live), ZERO)
        assert taken * (1 + FEE) <= DEPOSIT.amount * (1 - Decimal(limits.get("cash_reserve", "0")))
        assert taken <= DEPOSIT.amount * Decimal(limits.get("max_exposure", "1"))

        broker = HttpBroker(url, SimulatedClock(at(1)))
        findings = [
            *await verify_ledger(RUNNER, database, ACCOUNT),
            *await verify_venue(RUNNER, database, ACCOUNT, broker),
        ]
        await broker.close()
        assert not [finding for finding in findings if not finding.holds]


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
