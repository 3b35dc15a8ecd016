"""Processes that carry out the plan and kill themselves (SIGKILL) at a given point.

usage: python -m tests.crash.desk_process VENUE

Each line of standard input is a `Job`. For each the process forks: the child carries out the plan on that ledger and venue, and
the parent prints how it ended. Forking from a process that has everything imported and nothing running makes a kill cost a
tenth of a second instead of one and a half.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tests.crash.connections import At
from tests.crash.plan import carry_out, posted
from tests.crash.points import Moment, drive_tasks, driven


@dataclass(frozen=True)
class Job:
    """What one child does.

    Attributes:
        now: where its clock starts, in ISO 8601.
        point, moment: where it dies, at the first time it comes there; an empty point for nowhere.
        points: a file to which it writes the points it came to, if any.
    """

    ledger: str
    url: str
    now: str
    point: str = ""
    moment: Moment = Moment.BEGUN
    points: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


async def work(at: At, job: Job) -> list[str]:
    """The plan, from the opening of the ledger on. Returns the points it came to."""
    async with posted(at, Path(job.ledger), job.url, datetime.fromisoformat(job.now)) as post:
        seen: dict[str, None] = {}

        def tell(point: str, moment: Moment) -> None:
            seen.setdefault(point)
            if point == job.point and moment == job.moment:
                os.kill(os.getpid(), signal.SIGKILL)

        drive_tasks(asyncio.get_running_loop(), tell)
        await driven(carry_out(post), tell)
    return list(seen)


def main(at: At) -> None:
    if at is not At.PAPER:
        import ccxt.pro  # noqa: F401  # before the fork, for all children
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _be_the_child(at, Job(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be_the_child(at: At, job: Job) -> None:
    try:
        points = asyncio.run(work(at, job))
        if job.points:
            Path(job.points).write_text(json.dumps(points))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(At(sys.argv[1]))
