"""SQLite connections that cross to their thread once for a statement.

aiosqlite runs each connection in a thread, and SQLAlchemy asks it four times for a statement: to make a cursor, to execute,
to fetch all rows, to close. Each is a queue, a wake-up of the event loop and a hand-over of the interpreter, which costs more
than the statement. Here all four are one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiosqlite


class _Cursor(aiosqlite.Cursor):
    """Fetches in the thread, right after executing. Nothing is left open then, so that closing has nothing to do."""

    _rows: list[sqlite3.Row]
    _open = False

    async def execute(self, sql: str, parameters: Iterable[Any] | None = None) -> _Cursor:
        self._open = True  # until it is done: a caller that is cancelled meanwhile closes it behind the statement
        trip = self._execute(_run, self._cursor, sql, parameters or ())  # type: ignore[no-untyped-call]
        self._rows = await trip
        self._open = False
        return self

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> _Cursor:
        self._open = True
        await super().executemany(sql, parameters)
        self._open = False
        return self

    async def fetchall(self) -> Iterable[sqlite3.Row]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        if self._open:
            await super().close()


class _Connection(aiosqlite.Connection):
    def cursor(self) -> _Cursor:  # type: ignore[override]  # used as a context manager only, which a cursor is
        return _Cursor(self, self._conn.cursor())


def connector(path: str) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """What opens connections to the file at `path`, for `create_async_engine(async_creator=...)`."""
    absolute = os.path.abspath(path)  # the same file for every connection, wherever the process goes

    def connect() -> sqlite3.Connection:
        # aiosqlite calls a connection from its thread alone, except for making cursors, which touches no file.
        return sqlite3.connect(absolute, check_same_thread=False)

    async def create() -> aiosqlite.Connection:
        connection = _Connection(connect, iter_chunk_size=64)
        connection._thread.daemon = True  # a connection that nobody closed must not keep the process alive
        return await connection

    return create


def _run(cursor: sqlite3.Cursor, sql: str, parameters: Iterable[Any]) -> list[sqlite3.Row]:
    cursor.execute(sql, parameters)  # type: ignore[arg-type]
    return cursor.fetchall()
