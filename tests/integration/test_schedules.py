"""Several processes on one ledger, and a schedule: one run for each tick, also when one of them is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from graph.runs.ids import run_id_at
from graph.schedules.plan import Plan
from graph.schedules.timetable import ticks_after
from tests.unit.schedule_cases import open_timetable
from trading_core.persistence.desk_records import Overlap
from trading_core.persistence.session import Database

KEEPER = Path(__file__).with_name("schedule_keeper.py")
SECONDS = 4.0
MANY = 12  # schedules, so that there are ticks to quarrel about all the time


async def test_processes_on_one_ledger_make_one_run_for_each_tick(location: str) -> None:
    # Made so long ago that each ticks within the test, one every third of a second.
    now = datetime.now(UTC).replace(microsecond=0)
    async with await Database.open(location) as database:
        desk = await open_timetable(database, now - timedelta(minutes=10))
        made = []
        for number in range(MANY):
            desk.clock.at = now - timedelta(minutes=10) + timedelta(seconds=number * 10 / MANY)
            made.append(await desk.add(Plan(f"number {number}", every_seconds=10, overlap=Overlap.QUEUE)))
        keepers = await asyncio.gather(*(_start(location, str(number)) for number in range(3)))
        began = datetime.now(UTC)
        await asyncio.sleep(SECONDS / 2)
        keepers[0].send_signal(signal.SIGKILL)
        counts, looked = zip(*await asyncio.gather(*(_said(keeper) for keeper in keepers[1:])), strict=True)
        runs = {run.id for run in await desk.runs()}
        known = await desk.told("run_queued")
        skips = await desk.told()
    assert len(known) == len(runs) == len({event.run_id for event in known})
    for schedule in made:
        within = list(takewhile(lambda tick: tick < max(looked), ticks_after(schedule, began)))
        for tick in within:  # each has its run, or was skipped once because the run of the one before waits
            skipped = [event for event in skips if event.data["schedule"] == schedule.id and _same(event.data["tick"], tick)]
            assert (run_id_at(schedule.id, tick) in runs) + len(skipped) == 1
    assert 0 < sum(counts) <= len(runs) + len(skips)


def _same(text: object, tick: datetime) -> bool:
    return datetime.fromisoformat(str(text)) == tick


async def _start(location: str, holder: str) -> asyncio.subprocess.Process:
    root = Path(__file__).parents[2]
    command = (sys.executable, str(KEEPER), location, holder, str(SECONDS))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    return process


async def _said(process: asyncio.subprocess.Process) -> tuple[int, datetime]:
    out, _ = await process.communicate()
    assert process.returncode == 0
    count, looked = out.decode().split()[-2:]
    return int(count), datetime.fromisoformat(looked)
