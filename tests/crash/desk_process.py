"""Processes that carry out the plan and kill themselves (SIGKILL) at a given point.

usage: python -m tests.crash.desk_process

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

    at: At
    ledger: str
    url: str
    now: str
    point: str = ""
    moment: Moment = Moment.BEGUN
    points: str = ""

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


async def work(job: Job) -> list[str]:
    """The plan, from the opening of the ledger on. Returns the points it came to."""
    async with posted(At(job.at), Path(job.ledger), job.url, datetime.fromisoformat(job.now)) as post:
        loop, seen = asyncio.get_running_loop(), dict[str, None]()

        def tell(point: str, moment: Moment) -> None:
            seen.setdefault(point)
            if point == job.point and moment == job.moment:
                if moment is Moment.BEGUN:
                    loop.call_soon(_die)  # behind the tasks that are ready: aiohttp has one that sends the request
                else:
                    _die()

        drive_tasks(loop, tell)
        await driven(carry_out(post), tell)
    return list(seen)


def main() -> None:
    for line in sys.stdin:
        job = Job(**json.loads(line))
        if job.at != At.PAPER:
            import ccxt.pro  # noqa: F401  # before the fork, for all children
        child = os.fork()
        if child == 0:
            _be_the_child(job)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _be_the_child(job: Job) -> None:
    try:
        points = asyncio.run(work(job))
        if job.points:
            Path(job.points).write_text(json.dumps(points))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
