"""The SQLite driver: statements run where they are called, commits do not, and nothing is left open."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from trading_core.persistence import engines
from trading_core.persistence.engines import create_engine
from trading_core.persistence.sqlite_driver import AT_ONCE

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n"


@pytest.fixture
async def engine(tmp_path: Path) -> Any:
    engine = create_engine(make_url(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (i INTEGER PRIMARY KEY)"))
    yield engine
    await engine.dispose()


async def test_only_commits_and_long_answers_leave_the_loops_thread(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = 0
    original = aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, *args: Any, **kwargs: Any) -> Any:
        nonlocal trips
        trips += 1
        return await original(self, *args, **kwargs)

    async with engine.connect() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1), (2)"))
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        assert (await connection.execute(text("SELECT i FROM t ORDER BY i"))).scalars().all() == [1, 2]
        assert (await connection.execute(text("INSERT INTO t VALUES (3) RETURNING i"))).scalar_one() == 3
        assert (await connection.execute(text("UPDATE t SET i = i + 10"))).rowcount == 3
        assert trips == 0
        await connection.commit()
        assert trips == 1
        many = (await connection.execute(text(COUNT.format(AT_ONCE + 1)))).scalars().all()
        assert many == list(range(1, AT_ONCE + 2))
        assert trips == 2


async def test_a_lock_of_somebody_else_is_waited_for_without_blocking(engine: AsyncEngine, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t VALUES (1)")

    async def write() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (2)"))

    waiting = asyncio.create_task(write())
    ticks = 0
    while ticks < 5:
        await asyncio.sleep(0.01)
        ticks += 1
    assert not waiting.done()
    other.execute("COMMIT")
    await waiting
    assert other.execute("SELECT i FROM t ORDER BY i").fetchall() == [(1,), (2,)]
    other.close()


async def test_a_lock_that_stays_is_an_error_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_MS", 30)
    engine = create_engine(make_url(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}"))
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        async with engine.begin():
            pass
    other.close()
    await engine.dispose()


async def test_a_refused_statement_leaves_the_connection_usable(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("INSERT INTO t VALUES (1)"))
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO t VALUES (1)"))
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 1


async def test_a_caller_cancelled_within_a_statement_breaks_nothing(engine: AsyncEngine) -> None:
    async def slow() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO t VALUES (7)"))
            await connection.execute(text(COUNT.format(300_000)))

    for _ in range(3):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0


async def test_a_relative_path_stays_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = create_engine(make_url("sqlite+aiosqlite:///b.db"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (i INTEGER)"))
    await engine.dispose()
    assert (tmp_path / "b.db").exists()
