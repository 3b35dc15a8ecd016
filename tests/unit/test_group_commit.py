"""Transactions that commit together: each is kept whole or not at all, and is told which."""

from __future__ import annotations

import asyncio
import resource
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from trading_core.domain.errors import AlgoTrendyError, LedgerError, StoreUnavailable
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

AT = datetime(2025, 3, 1, tzinfo=UTC)
ACCOUNT = "paper"


class Boom(Exception):
    """Something in a block that has nothing to do with the database."""


class Fails(StrEnum):
    """How one unit of many ends."""

    NO = "it does not"
    RAISES = "the block raises"
    REPEATS = "it breaks a constraint"
    CANCELLED = "it is cancelled at work"
    CANCELLED_QUEUING = "it is cancelled while it waits for its turn"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    async with await Database.open(path) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", Decimal(1000)), "paper", AT)
        yield database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "desk.db") as database:
        yield database


def count_commits(database: Database) -> list[object]:
    """A list that gets longer with every commit from now on."""
    commits: list[object] = []
    event.listen(database._engine.sync_engine, "commit", commits.append)
    return commits


def begins_to_commit(database: Database) -> asyncio.Event:
    """Set when a commit is about to be given to the database."""
    committing = asyncio.Event()
    event.listen(database._engine.sync_engine, "commit", lambda _: committing.set())
    return committing


def run(name: str) -> RunRecord:
    return RunRecord(name, ACCOUNT, RunKind.CYCLE, AT, AT)


async def kept(database: Database) -> set[str]:
    async with database.reading() as uow:
        return {run.id for run in await uow.runs.recent(1000)}


async def write(database: Database, name: str, then: Callable[[UnitOfWork], Awaitable[object]] | None = None) -> None:
    """One unit: a run, and whatever else."""
    async with database.transaction() as uow:
        await uow.runs.start(run(name))
        if then is not None:
            await then(uow)


async def repeats(uow: UnitOfWork) -> None:
    """What breaks a constraint."""
    await uow._connection.exec_driver_sql("INSERT INTO runs SELECT * FROM runs LIMIT 1")


async def boom(_: UnitOfWork) -> None:
    raise Boom


async def nap(_: UnitOfWork) -> None:
    await asyncio.sleep(60)


async def break_the_commit(uow: UnitOfWork) -> None:
    """A reference to nothing that is looked at only when the transaction commits."""
    await uow._connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    await uow._connection.exec_driver_sql("UPDATE balances SET account_id = 'nobody'")


async def test_units_that_queue_share_one_commit(database: Database) -> None:
    commits = count_commits(database)
    await asyncio.gather(*(write(database, f"r{number}") for number in range(20)))
    assert len(commits) == 1
    await write(database, "alone")
    assert len(commits) == 2
    assert await kept(database) == {"alone", *(f"r{number}" for number in range(20))}


async def test_nobody_is_told_before_it_is_on_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path / "desk.db") as database, await Database.open(tmp_path / "desk.db") as elsewhere:

        async def check(name: str) -> None:
            await write(database, name)
            assert name in await kept(elsewhere)

        await asyncio.gather(*(check(f"r{number}") for number in range(10)))


async def test_who_comes_while_a_commit_waits_for_its_turn_is_in_the_next(database: Database) -> None:
    async def twice(name: str) -> None:
        await write(database, f"{name}.1")
        await write(database, f"{name}.2")

    commits = count_commits(database)
    await asyncio.gather(*(twice(f"r{number}") for number in range(5)))
    assert len(commits) == 2
    assert len(await kept(database)) == 10


@pytest.mark.parametrize(("ends", "error"), [(boom, Boom), (repeats, LedgerError)])
@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_unit_that_fails_takes_back_its_own_writes_and_nothing_else(
    database: Database, ends: Callable[[UnitOfWork], Awaitable[None]], error: type[Exception], position: int
) -> None:
    await write(database, "before")
    units = [write(database, f"r{number}", ends if number == position else None) for number in range(3)]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert [type(result) for result in results] == [error if number == position else type(None) for number in range(3)]
    assert await kept(database) == {"before", *(f"r{number}" for number in range(3) if number != position)}


@pytest.mark.parametrize("position", [0, 1])
async def test_a_unit_that_is_cancelled_at_work_takes_back_its_own_writes(database: Database, position: int) -> None:
    tasks = [asyncio.create_task(write(database, f"r{number}", nap if number == position else None)) for number in range(3)]
    await asyncio.sleep(0.05)
    tasks[position].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[position], asyncio.CancelledError)
    assert await kept(database) == {f"r{number}" for number in range(3) if number != position}


async def test_who_is_cancelled_while_waiting_for_the_disk_does_not_stop_the_commit(database: Database) -> None:
    committing = begins_to_commit(database)
    tasks = [asyncio.create_task(write(database, f"r{number}")) for number in range(3)]
    await committing.wait()
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert await kept(database) == {"r0", "r1", "r2"}


async def test_when_the_commit_fails_everybody_is_told_and_nothing_is_kept(database: Database) -> None:
    units = [write(database, "r0"), write(database, "r1", break_the_commit), write(database, "r2")]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert [type(result) for result in results] == [LedgerError] * 3
    assert await kept(database) == set()
    await write(database, "after")
    assert await kept(database) == {"after"}


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """As on a full disk: a write beyond it fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_at_the_commit_is_told_to_everybody(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with opened(path) as database:
        await write(database, "before")
        with no_file_grows_beyond(path.with_name("desk.db-wal").stat().st_size):
            results = await asyncio.gather(*(write(database, f"r{number}") for number in range(4)), return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 4
        assert await kept(database) == {"before"}
        await write(database, "after")
        assert await kept(database) == {"before", "after"}


async def test_a_disk_that_fills_up_at_work_loses_no_more_than_it_says(database: Database) -> None:
    async def fill(uow: UnitOfWork) -> None:
        await uow._connection.exec_driver_sql("PRAGMA max_page_count = 1")  # the database may not grow any more
        try:
            for number in range(1000):
                await uow.runs.start(run(f"filling{number}"))
        finally:
            await uow._connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

    units = [write(database, "r0"), write(database, "r1", fill), write(database, "r2")]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert isinstance(results[1], StoreUnavailable)
    assert await kept(database) == {f"r{number}" for number in (0, 2) if results[number] is None}


async def test_where_the_database_has_taken_back_more_than_one_unit_all_are_told(database: Database) -> None:
    async def lose_everything(uow: UnitOfWork) -> None:
        await uow._connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself after some errors of the disk
        raise Boom

    units = [write(database, "r0"), write(database, "r1", lose_everything), write(database, "r2")]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable, Boom, type(None)]
    assert await kept(database) == {"r2"}


async def test_what_a_unit_leaves_for_later_ones_is_lost_with_it(database: Database) -> None:
    found: dict[str, object] = {}

    def leave(name: str, ends: Callable[[UnitOfWork], Awaitable[None]] | None = None) -> Awaitable[None]:
        async def work(uow: UnitOfWork) -> None:
            found[name] = uow.memo.get("last")
            uow.memo["last"] = name
            if ends is not None:
                await ends(uow)

        return write(database, name, work)

    await asyncio.gather(leave("a"), leave("b", boom), leave("c"), return_exceptions=True)
    assert found == {"a": None, "b": "a", "c": "a"}
    await asyncio.gather(leave("d"), leave("e", break_the_commit), return_exceptions=True)
    await leave("f")
    assert (found["e"], found["f"]) == ("d", None)


async def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "desk.db")
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", Decimal(1000)), "paper", AT)
    committing = begins_to_commit(database)
    writing = asyncio.create_task(write(database, "r0"))
    await committing.wait()
    await database.close()
    await writing
    async with await Database.open(tmp_path / "desk.db") as again:
        assert await kept(again) == {"r0"}


_units = st.lists(st.tuples(st.sampled_from(Fails), st.integers(0, 3)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with an account in it."""
    path = tmp_path_factory.mktemp("template") / "desk.db"

    async def make() -> None:
        async with opened(path):
            pass

    asyncio.run(make())
    return path


@settings(max_examples=60, deadline=None)
@given(_units)
def test_exactly_the_units_that_succeeded_are_kept(template: Path, units: list[tuple[Fails, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(shutil.copy(template, folder)), units))


async def _play(path: Path, units: list[tuple[Fails, int]]) -> None:
    database = Database(create_engine(parse_location(path)))  # without a migration, which takes longer than all else
    async with database:
        go_on, at_work = asyncio.Event(), [asyncio.Event() for _ in units]
        first = asyncio.create_task(write(database, "first", lambda _: go_on.wait()))
        units_at = zip(units, at_work, strict=True)
        tasks = [asyncio.create_task(_unit(database, f"r{n}", *unit, at)) for n, (unit, at) in enumerate(units_at)]
        await asyncio.sleep(0.001)  # the first has the turn, and everybody else waits for it
        for task, (ends, _) in zip(tasks, units, strict=True):
            if ends is Fails.CANCELLED_QUEUING:
                task.cancel()
        go_on.set()
        for task, began, (ends, _) in zip(tasks, at_work, units, strict=True):
            if ends is Fails.CANCELLED:
                await began.wait()
                task.cancel()
        await first
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, Boom | AlgoTrendyError | asyncio.CancelledError) for result in results)
        told = {f"r{number}" for number, result in enumerate(results) if result is None}
        assert told == {f"r{number}" for number, (ends, _) in enumerate(units) if ends is Fails.NO}
        assert await kept(database) == {"first", *told}


async def _unit(database: Database, name: str, ends: Fails, pause: int, at_work: asyncio.Event) -> None:
    async def work(uow: UnitOfWork) -> None:
        for _ in range(pause):
            await asyncio.sleep(0)
        at_work.set()
        match ends:
            case Fails.RAISES:
                raise Boom
            case Fails.REPEATS:
                await repeats(uow)
            case Fails.CANCELLED:
                await asyncio.sleep(60)

    await write(database, name, work)
