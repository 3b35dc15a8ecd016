"""Opening, migrating, concurrent writers, and what is left after a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trading_core.domain.errors import ConfigurationError, LedgerError, StoreUnavailable
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence import engines, group_commit, session
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.migrate import downgrade
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, tzinfo=UTC)
ACCOUNT = Portfolio.opened("paper", "USDT", Decimal("0.10"))

CHILD = """
import asyncio, sys
from datetime import UTC, datetime
from decimal import Decimal
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, tzinfo=UTC)

async def main():
    async with await Database.open(sys.argv[1]) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened("paper", "USDT", Decimal("0.10")), "paper", AT)
        for number in range(int(sys.argv[2])):
            async with database.transaction() as uow:
                await uow.claims.take("paper")
                known = await uow.risk.load("paper") or {"count": 0}
                await uow.runs.start(RunRecord(f"{sys.argv[3]}{number}", "paper", RunKind.CYCLE, AT, AT))
                await uow.risk.save("paper", {"count": known["count"] + 1}, AT)
            print(number, flush=True)

asyncio.run(main())
"""


async def spawn(location: str, count: int, name: str) -> Process:
    code = textwrap.dedent(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(session.__file__).parents[2])}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, location, str(count), name, stdout=PIPE, stderr=PIPE, env=environment
    )


async def opened(location: str | Path) -> Database:
    database = await Database.open(location)
    async with database.transaction() as uow:
        await uow.portfolios.open_account(ACCOUNT, "paper", AT)
    return database


async def test_two_processes_open_create_and_write_one_database(empty_location: str) -> None:
    children = [await spawn(empty_location, 25, name) for name in ("a", "b")]
    for child in children:
        _, errors = await child.communicate()
        assert child.returncode == 0, errors.decode()
    async with await Database.open(empty_location) as database, database.reading() as uow:
        assert await uow.risk.load("paper") == {"count": 50}  # no update was lost
        assert len(await uow.runs.recent(100)) == 50


async def test_every_acknowledged_commit_survives_a_kill(location: str) -> None:
    child = await spawn(location, 1_000_000, "a")
    assert child.stdout is not None
    acknowledged = [int(await child.stdout.readline()) for _ in range(40)]
    child.send_signal(signal.SIGKILL)
    rest, _ = await child.communicate()
    acknowledged += [int(line) for line in rest.splitlines()]
    async with await Database.open(location) as database, database.reading() as uow:
        runs = {run.id for run in await uow.runs.recent(10_000_000)}
        assert {f"a{number}" for number in acknowledged} <= runs
        # The one in flight is there whole or not at all.
        assert await uow.risk.load("paper") == {"count": len(runs)}
        assert len(runs) - len(acknowledged) in {0, 1}


async def test_tasks_and_second_connections_queue_for_their_turn(location: str) -> None:
    one, two = await opened(location), await Database.open(location)

    async def count(database: Database) -> None:
        async with database.transaction() as uow:
            await uow.claims.take("paper")
            known = await uow.risk.load("paper") or {"count": 0}
            await asyncio.sleep(0)
            assert isinstance(known["count"], int)
            await uow.risk.save("paper", {"count": known["count"] + 1}, AT)

    async with one, two:
        await asyncio.gather(*(count(database) for database in (one, two) * 10))
        async with one.reading() as uow:
            assert await uow.risk.load("paper") == {"count": 20}


async def test_a_reader_sees_one_state_and_waits_for_nobody(location: str) -> None:
    async with await opened(location) as database:
        async with database.transaction() as writer:
            await writer.risk.save("paper", {"step": 1}, AT)
            async with database.reading() as reader:
                assert await reader.risk.load("paper") is None
        async with database.reading() as reader:
            assert await reader.risk.load("paper") == {"step": 1}
            async with database.transaction() as writer:
                await writer.risk.save("paper", {"step": 2}, AT)
            assert await reader.risk.load("paper") == {"step": 1}


async def test_what_is_written_while_reading_is_not_kept(location: str) -> None:
    async with await opened(location) as database:
        with suppress(StoreUnavailable):  # PostgreSQL refuses it
            async with database.reading() as uow:
                await uow.risk.save("paper", {"step": 1}, AT)
        async with database.reading() as uow:
            assert await uow.risk.load("paper") is None


async def test_a_transaction_inside_another_is_an_error_not_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "QUEUE_SECONDS", 0.05)
    async with await opened(tmp_path / "desk.db") as database:
        async with database.transaction():
            with pytest.raises(StoreUnavailable, match="no turn to write"):
                async with database.transaction():
                    pass
        async with database.transaction() as uow:
            await uow.risk.save("paper", {}, AT)


async def test_a_cancelled_transaction_leaves_nothing_and_frees_its_turn(location: str) -> None:
    async with await opened(location) as database:
        began = asyncio.Event()

        async def hang() -> None:
            async with database.transaction() as uow:
                await uow.risk.save("paper", {"step": 1}, AT)
                began.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(hang())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.transaction() as uow:
            assert await uow.risk.load("paper") is None


async def test_another_process_holding_the_lock_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "desk.db"
    await (await opened(path)).close()
    monkeypatch.setattr(engines, "BUSY_MS", 50)
    async with await Database.open(path) as database:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            async with database.transaction():
                pass
        holder.execute("ROLLBACK")
        holder.close()
        async with database.transaction() as uow:
            await uow.risk.save("paper", {}, AT)


async def test_connections_are_set_up_to_be_safe(tmp_path: Path) -> None:
    async with await Database.open(tmp_path / "desk.db") as database, database._engine.connect() as connection:
        found = {}
        for pragma in ("journal_mode", "synchronous", "foreign_keys"):
            found[pragma] = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar_one()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("location", ["sqlite:///:memory:", "sqlite://", "mysql://host/desk", "nonsense://", "://"])
async def test_places_that_cannot_keep_a_ledger_are_refused(location: str) -> None:
    with pytest.raises(ConfigurationError):
        await Database.open(location)


def test_locations_get_the_asynchronous_driver() -> None:
    assert parse_location("desk.db").render_as_string() == "sqlite+aiosqlite:///desk.db"
    assert parse_location("sqlite:////data/desk.db").render_as_string() == "sqlite+aiosqlite:////data/desk.db"
    assert parse_location("postgresql://desk@db/desk").drivername == "postgresql+asyncpg"


async def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes and no database at all\n" * 50)
    with pytest.raises(ConfigurationError, match="file is not a database") as caught:
        await Database.open(path)
    assert "\n" not in str(caught.value)
    assert path.read_text().startswith("these are notes")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await Database.open(path / "desk.db")


async def test_a_migration_that_leaves_a_broken_reference_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    await (await opened(path)).close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM accounts")  # foreign keys are off on this connection: the balance stays behind
    connection.commit()
    connection.close()
    engine = create_engine(parse_location(path), migrating=True)
    with pytest.raises(ConfigurationError, match="a row of 'balances' without its 'accounts'"):
        await downgrade(engine, "0001")
    await engine.dispose()


async def test_opening_again_changes_nothing(location: str) -> None:
    await (await opened(location)).close()
    async with await Database.open(location if "://" in location else f"sqlite:///{location}") as database:
        with pytest.raises(LedgerError, match="is open at 'paper'"):
            async with database.transaction() as uow:
                await uow.portfolios.open_account(ACCOUNT, "kraken", AT)
        async with database.reading() as uow:
            assert await uow.portfolios.load("paper") == ACCOUNT
