"""SQLite connections that run statements where they are called.

aiosqlite runs each connection in a thread, and SQLAlchemy asks it four times for a statement: to make a cursor, to execute,
to fetch all rows, to close. Each is a queue, a wake-up of the event loop and a hand-over of the interpreter, and costs many
times the statement, which takes microseconds. Here a statement runs in the event loop's own thread, and only what may keep it
waiting leaves: a commit, which waits for the disk, and the rows of a long answer. Another process's write lock is waited for
without blocking anything.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiosqlite
from sqlalchemy.ext.asyncio import AsyncConnection

AT_ONCE = 256  # rows that are fetched where the statement was executed; the rest of a longer answer is fetched in the thread
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.025  # seconds between two attempts to get a lock


class _Cursor(aiosqlite.Cursor):
    """Fetches right after executing. Nothing is left open then, so that closing has nothing to do."""

    _rows: list[sqlite3.Row]
    _open = False
    _conn: _Connection

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _Cursor:
        cursor = self._cursor
        await self._unlocked(lambda: cursor.execute(sql, parameters or ()))  # type: ignore[arg-type]  # a sequence, or a mapping
        self._rows = cursor.fetchmany(AT_ONCE)
        if len(self._rows) == AT_ONCE:
            self._open = True  # until it is done: a caller that is cancelled meanwhile closes it behind the fetch
            trip = self._execute(cursor.fetchall)  # type: ignore[no-untyped-call]  # aiosqlite's own trip to the thread
            self._rows += await trip
            self._open = False
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _Cursor:
        rows = list(parameters)
        await self._unlocked(lambda: self._cursor.executemany(sql, rows))  # type: ignore[arg-type]  # as above
        return self

    async def _unlocked(self, attempt: Callable[[], object]) -> None:
        """Run a statement, again while another process holds the lock it needs: a statement refused for that did nothing."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
        deadline = loop.time() + self._conn.busy_seconds
        while True:
            try:
                attempt()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() >= deadline:
                    raise
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def fetchall(self) -> Iterable[sqlite3.Row]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        if self._open:
            await super().close()


class _Connection(aiosqlite.Connection):
    busy_seconds = 0.0

    def cursor(self) -> _Cursor:  # type: ignore[override]  # used as a context manager only, which a cursor is
        return _Cursor(self, self._conn.cursor())

    async def rollback(self) -> None:
        self._conn.rollback()  # touches no disk: what was not committed is in memory


def connector(path: str, busy_seconds: float) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """What opens connections to the file at `path`, for `create_async_engine(async_creator=...)`.

    Args:
        busy_seconds: how long a statement waits for another process's lock before it fails.
    """
    absolute = os.path.abspath(path)  # the same file for every connection, wherever the process goes

    def connect() -> sqlite3.Connection:
        # Two threads use it, never at the same time but behind a caller that was cancelled, where SQLite's own mutex serves.
        return sqlite3.connect(absolute, timeout=0, check_same_thread=False)

    async def create() -> aiosqlite.Connection:
        connection = _Connection(connect, iter_chunk_size=64)
        connection.busy_seconds = busy_seconds
        connection._thread.daemon = True  # a connection that nobody closed must not keep the process alive
        return await connection

    return create


async def driver_of(connection: AsyncConnection) -> sqlite3.Connection:
    """SQLite's own connection below one of an engine that was made with `connector`."""
    opened = (await connection.get_raw_connection()).driver_connection
    if not isinstance(opened, _Connection):
        raise TypeError(f"{type(opened).__name__} is no connection of this driver")
    return opened._conn
