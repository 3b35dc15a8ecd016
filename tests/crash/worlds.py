"""Fresh pairs of a ledger and an account at the venue, and what a kill leaves of them."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from tests.crash.checks import Audit, outcome, violations
from tests.crash.connections import At
from tests.crash.desk_process import Job
from tests.crash.paper_venue import LinkFault
from tests.crash.plan import carry_out, posted, prepare
from tests.crash.points import Moment
from tests.unit.desk_cases import ACCOUNT
from trading_core.domain.clock import iso
from trading_core.persistence.session import Database

# A wait is no wait when the answer is already there, which on a busy machine happens: then the desk never comes to that point.
ATTEMPTS = 3
# Whether the body of an answer comes with its head is up to the machine. A death there is one behind the answer.
BY_CHANCE = "StreamReader._wait"
Faults = Mapping[str, Sequence[LinkFault | None]]


@dataclass(frozen=True)
class Ended:
    """What came of one world: what is wrong, and how the plan went."""

    violations: Sequence[str]
    outcome: str


@dataclass
class Worlds:
    """Makes worlds. Ledger files are copies of one that was prepared, as a migration takes longer than a kill."""

    at: At
    folder: Path
    venue: httpx.Client
    desks: subprocess.Popen[str]
    made: int = field(default=0, init=False)
    _usual: list[str] = field(default_factory=list, init=False)

    def points(self, faults: Faults | None = None) -> list[str]:
        """Every point of the plan at which a desk waits each time, in the order in which it first comes there."""
        if faults is None and self._usual:
            return self._usual
        found = [self._drive(faults) for _ in range(self.at.drives)]
        points = [point for point in found[0] if all(point in other for other in found)]
        if faults is None:
            self._usual = points
        return points

    def _drive(self, faults: Faults | None) -> list[str]:
        job, found = self._fresh(faults), self.folder / "points.json"
        exit_code = self._run(replace(job, points=str(found)))
        assert exit_code == 0, "the plan fails by itself"
        points: list[str] = json.loads(found.read_text())
        return [point for point in points if not point.endswith(BY_CHANCE)]

    def kill_at(self, point: str, moment: Moment, faults: Faults | None = None, *, again_at: str = "") -> Ended:
        """Kill a desk there, let another one finish its work, and look at what the ledger and the venue then say.

        With `again_at` the one that finishes is killed too, and a third has to. Without a point nothing is killed.
        """
        for _ in range(ATTEMPTS):
            job = self._fresh(faults)
            exit_codes = [self._run(replace(job, point=point, moment=moment))]
            self.venue.post(f"{job.url}/faults", json={}).raise_for_status()
            if again_at:
                later = iso(asyncio.run(self._later(job)))
                exit_codes.append(self._run(replace(job, now=later, point=again_at, moment=moment)))
            if all(code == -signal.SIGKILL for code in exit_codes) if point else exit_codes == [0]:
                return asyncio.run(self._finish(job))
            if any(code not in (0, -signal.SIGKILL) for code in exit_codes):
                break
        return Ended([f"the desk process was not killed there and ended with {exit_codes}"], "")

    def account(self, faults: Faults | None = None) -> str:
        """The address of a new account, whose next calls go wrong as `faults` says."""
        self.made += 1
        url = str(self.venue.base_url.join(f"/{self.made}"))
        self.venue.post(url).raise_for_status()
        self.venue.post(f"{url}/faults", json=faults or {}).raise_for_status()
        return url

    def _fresh(self, faults: Faults | None) -> Job:
        template = self.folder / "template.db"
        if not template.exists():
            asyncio.run(prepare(template, self.at, Audit.of(self.venue, self.account()).now))
        url = self.account(faults)
        ledger = self.folder / f"{self.made}.ledger.db"
        shutil.copy(template, ledger)
        return Job(self.at, str(ledger), url, iso(Audit.of(self.venue, url).now))

    def _run(self, job: Job) -> int:
        assert self.desks.stdin is not None
        assert self.desks.stdout is not None
        self.desks.stdin.write(job.line())
        self.desks.stdin.flush()
        return int(self.desks.stdout.readline())

    async def _later(self, job: Job) -> datetime:
        """A restart takes a second. The dead desk's clock may have been ahead of the venue's: time does not step back."""
        async with await Database.open(Path(job.ledger)) as ledger, ledger.reading() as uow:
            orders = await uow.orders.all(ACCOUNT)
        on_record = [order.updated_at or order.created_at for order in orders]
        return max([Audit.of(self.venue, job.url).now, *on_record]) + timedelta(seconds=1)

    async def _finish(self, job: Job) -> Ended:
        async with posted(self.at, Path(job.ledger), job.url, await self._later(job)) as post:
            await carry_out(post)
            return Ended(await violations(post, Audit.of(self.venue, job.url)), await outcome(post))
