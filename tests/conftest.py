"""Shared fixtures."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
import typer.testing
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.postgres import Databases, TestRun, databases, template_lock
from tests.postgres_server import NoPostgres

# Locally every run looks at new examples; CI looks at the same ones, so that it says what changed and not what luck found.
# A shared machine has no deadline to keep.
# The same code is told the same, here and in CI. `--hypothesis-profile search` looks for examples that nobody has tried yet.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("repeatable")

SLOW_MAY_TAKE = 4 * 3_600  # seconds of one test: what takes minutes here takes an hour where the machine is slow
_RUN = pytest.StashKey[TestRun]()


def pytest_configure(config: pytest.Config) -> None:
    """The main process holds what tells the PostgreSQL server of the tests that it is still wanted."""
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = TestRun()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUN in config.stash:
        config.stash[_RUN].close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_MAY_TAKE))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded real data; skips where it is absent."""
    root = Path(os.environ.get("ALGOTRENDY_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not root.is_dir():
        pytest.skip("recorded real data is not here: set ALGOTRENDY_DATA to its folder")
    return root


@pytest.fixture(scope="session")
def postgres() -> Databases:
    """The PostgreSQL server of this test run, on which databases can be made; skips where there is none."""
    try:
        return databases()
    except NoPostgres as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_template(postgres: Databases) -> str:
    """The name of a database that the real migrations were run on, once for all workers."""
    with template_lock() as known:
        if not known.exists():
            name, url = postgres.create_named("template")
            _migrate(url)
            known.write_text(name)
        return known.read_text()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that the real migrations were run on, made once by each worker; tests take copies of it."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(str(path))
    return path


@pytest.fixture(scope="session", autouse=True)
def _new_files_are_copies(sqlite_template: Path) -> Iterator[None]:
    """A SQLite ledger that `Database.open` makes is a copy of the template, which the same call made: hundreds of tests open one.

    Tests of the migrations call `upgrade` themselves, and processes of their own know nothing of this.
    """
    from trading_core.persistence import session

    migrated = session.upgrade

    async def upgrade(engine: AsyncEngine) -> None:
        if engine.dialect.name == "sqlite":
            with suppress(OSError):  # where it cannot be made the database says so itself
                _copy_at_once(sqlite_template, Path(str(engine.url.database)))
        await migrated(engine)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session, "upgrade", upgrade)
        yield


@pytest.fixture(scope="session", autouse=True)
def _authorities_are_read_once() -> Iterator[None]:
    """The certificates of the world's authorities are read once for each worker: each HTTP client would take 20 ms for them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """The command line is built from its functions once for each worker, and not for every command that a test runs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(typer.testing, "_get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def sqlite_copy(sqlite_template: Path, tmp_path: Path) -> Path:
    """A SQLite file of this test's own, with every migration applied and nothing in it."""
    return Path(shutil.copy(sqlite_template, tmp_path / "desk.db"))


@pytest.fixture
def postgres_url(postgres: Databases, postgres_template: str) -> Iterator[str]:
    """A PostgreSQL database of this test's own, with every migration applied and nothing in it."""
    url = postgres.create(template=postgres_template)
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_postgres_url(postgres: Databases) -> Iterator[str]:
    """A PostgreSQL database of this test's own, with nothing at all in it."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest) -> str:
    """Where `Database.open` finds a database of this test's own, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue("sqlite_copy" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`location`, before any migration."""
    return str(tmp_path / "desk.db") if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


def _copy_at_once(source: Path, target: Path) -> None:
    """Unless there is a file: nobody finds half of one, and of several who make the same the first does."""
    if target.exists():
        return
    with NamedTemporaryFile(dir=target.parent) as made:
        made.write(source.read_bytes())
        made.flush()
        os.link(made.name, target)


def _migrate(location: str) -> None:
    """Run the real migrations, in a thread: the test that comes first may have an event loop of its own."""
    from trading_core.persistence.session import Database

    async def migrate() -> None:
        await (await Database.open(location)).close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, migrate()).result()
