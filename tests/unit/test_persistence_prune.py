"""Taking out what only helped to follow runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from tests.unit.desk_rows import LATER, open_account, run
from trading_core.domain.clock import SystemClock
from trading_core.persistence.desk_records import NewEvent
from trading_core.persistence.records import AnswerRecord, Outcome, RunState
from trading_core.persistence.session import Database

STEPS = ("run_started", "token", "run_done")


async def fill(database: Database, old: timedelta) -> None:
    """A run that is over, one that is not, two steps between runs, and two kinds of kept answers, told `old` ago."""
    at = SystemClock().now() - old
    async with database.transaction() as uow:
        await open_account(uow, "a")
        for name in ("over", "open"):
            await uow.runs.start(run(name))
        await uow.events.append_many([NewEvent("a", name, kind, at, {}) for name in ("over", "open") for kind in STEPS])
        await uow.events.append_many([NewEvent("a", "", "equity", moment, {}) for moment in (at, SystemClock().now())])
        await uow.runs.set_state("over", RunState.DONE, at=at)
        for key in ("turn:over:risk:1", "turn_key"):
            await uow.answers.put(AnswerRecord(key, "risk", "m", Outcome.ANSWERED, {}, {}, at))


async def test_what_is_over_and_old_goes_and_nothing_else(location: str) -> None:
    async with await Database.open(location) as database:
        await fill(database, timedelta(days=10))
        before = SystemClock().now() - timedelta(days=9)
        async with database.transaction() as uow:
            last = await uow.events.last_position()
            assert (await uow.events.prune(before), await uow.answers.prune("turn:", before)) == (len(STEPS) + 1, 1)
            assert (await uow.events.prune(before), await uow.answers.prune("turn:", before)) == (0, 0)
        async with database.transaction() as uow:
            assert await uow.events.of_run("over", 0, 10) == ()
            assert [event.kind for event in await uow.events.of_run("open", 0, 10)] == list(STEPS)
            assert await uow.answers.get("turn_key") is not None
            assert await uow.runs.get("over") is not None
            assert (await uow.events.append("a", "open", "token", LATER, {})).position > last


@pytest.mark.parametrize(("days", "told"), [("9", "4 events and 1 answers"), ("11", "0 events and 0 answers")])
def test_the_command(tmp_path: Path, days: str, told: str) -> None:

    async def made() -> None:
        async with await Database.open(tmp_path / "desk" / "ledger.db") as database:
            await fill(database, timedelta(days=10))

    asyncio.run(made())
    found = CliRunner().invoke(app, ["--home", str(tmp_path), "db", "prune", "--older-than", days])
    assert (found.exit_code, found.stdout.startswith(told)) == (0, True), found.output
    assert CliRunner().invoke(app, ["--home", str(tmp_path / "none"), "db", "prune"]).exit_code == 2
