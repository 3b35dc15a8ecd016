"""Transactions of one process that commit together.

SQLite has one writer, and a commit waits for the disk longer than all else that a transaction does. So whoever queued for the
write lock while somebody else had it joins that transaction, behind a savepoint of its own, and all of them share one commit.
Each is told only when the commit is on the disk; when it fails, each is told that, and nothing of any of them is kept.
(DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984, section 5.2: group commit.)
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from trading_core.domain.errors import StoreUnavailable
from trading_core.persistence.sqlite_driver import driver_of

QUEUE_SECONDS = 30.0  # how long a writer waits for others of its own process


@dataclass(slots=True)
class _Group:
    """One transaction of the database, and what became of it."""

    connection: AsyncConnection
    transaction: AsyncTransaction
    driver: sqlite3.Connection
    committed: asyncio.Future[None]
    memo: dict[str, object] = field(default_factory=dict)
    units: int = 0

    async def end(self, *, commit: bool) -> None:
        try:
            await (self.transaction.commit() if commit else self.transaction.rollback())
        except BaseException:
            # SQLAlchemy takes a transaction that failed to commit for ended. SQLite does not: the next one could not begin.
            await self.connection.invalidate()
            raise
        finally:
            await self.connection.close()

    def run(self, sql: str) -> None:
        """A statement about the transaction itself, past SQLAlchemy: it would take ten times as long, for each unit."""
        self.driver.execute(sql)

    def fail(self, error: BaseException) -> None:
        if not self.committed.done():
            self.committed.set_exception(error)
            self.committed.exception()  # seen: whoever waited may have been cancelled meanwhile


class GroupCommit:
    """The writing side of one database that has one writer at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()
        self._group: _Group | None = None
        self._commits: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[tuple[AsyncConnection, dict[str, object]]]:
        """One unit of work: all of it or nothing. The block is left when it is on the disk.

        Yields the connection, and what earlier units of the same commit left for later ones: it is lost with the commit.

        Raises:
            StoreUnavailable: no turn to write came in time.
        """
        async with self._my_turn():
            group = self._group or await self._begin()
            joins, left = group.units > 0, dict(group.memo)
            try:
                if joins:
                    group.run("SAVEPOINT unit")
                yield group.connection, group.memo
                if joins:
                    group.run("RELEASE unit")
            except BaseException as error:
                group.memo.clear()
                group.memo.update(left)
                await self._undo(group, joins, error)
                raise
            group.units += 1
            if group.units == 1:  # its turn comes behind everybody who waits by now, and they come along
                task = asyncio.create_task(self._commit(group))
                self._commits.add(task)
                task.add_done_callback(self._commits.discard)
        await asyncio.shield(group.committed)

    async def close(self) -> None:
        """Wait for commits that are under way."""
        await asyncio.gather(*self._commits, return_exceptions=True)

    async def _begin(self) -> _Group:
        connection = await self._engine.connect()
        try:
            transaction, driver = await connection.begin(), await driver_of(connection)
        except BaseException:
            await connection.close()
            raise
        self._group = _Group(connection, transaction, driver, asyncio.get_running_loop().create_future())
        return self._group

    async def _undo(self, group: _Group, joined: bool, error: BaseException) -> None:
        """Take back one unit. Where the database has taken back more (a full disk), the whole group is lost."""
        if joined:
            try:
                group.run("ROLLBACK TO unit")
                group.run("RELEASE unit")
            except sqlite3.Error as lost:
                error = lost
            else:
                return
        self._group = None
        group.fail(error)
        with suppress(SQLAlchemyError):
            await group.end(commit=False)

    async def _commit(self, group: _Group) -> None:
        async with self._turn:
            if self._group is not group:
                return  # lost meanwhile, and everybody was told
            self._group = None
            try:
                await group.end(commit=True)
            except BaseException as error:
                group.fail(error)
                if not isinstance(error, Exception):
                    raise
            else:
                if not group.committed.done():
                    group.committed.set_result(None)

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        try:
            if self._turn.locked():
                async with asyncio.timeout(QUEUE_SECONDS):
                    await self._turn.acquire()
            else:
                await self._turn.acquire()  # at once
        except TimeoutError:
            raise StoreUnavailable(
                f"no turn to write came within {QUEUE_SECONDS:g} s",
                not_done="Nothing was written",
                next_step="Look for a transaction that is held open, or one inside another",
            ) from None
        try:
            yield
        finally:
            self._turn.release()
