"""A process that keeps an account's schedules for a while and does none of its runs: LOCATION HOLDER SECONDS.

At its end it says how many ticks it has dealt with, and when it looked last.
"""

from __future__ import annotations

import asyncio
import sys

from graph.schedules.scheduler import Scheduler
from graph.schedules.service import Schedules
from tests.unit.schedule_cases import Works
from trading_core.domain.clock import SystemClock
from trading_core.persistence.session import Database


async def keep(location: str, holder: str, seconds: float) -> None:
    clock, dealt_with = SystemClock(), 0
    looked = clock.now()
    async with await Database.open(location) as database:
        scheduler = Scheduler(Schedules(database, clock), Works(), database, clock, holder)
        until = asyncio.get_running_loop().time() + seconds
        print("ready", flush=True)
        while asyncio.get_running_loop().time() < until:
            looked = clock.now()
            dealt_with += await scheduler.look()
            await asyncio.sleep(0.02)
    print(dealt_with, looked.isoformat(), flush=True)


if __name__ == "__main__":
    asyncio.run(keep(sys.argv[1], sys.argv[2], float(sys.argv[3])))
