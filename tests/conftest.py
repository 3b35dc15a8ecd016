"""Shared fixtures."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres import Databases, TestRun, databases, template_lock
from tests.postgres_server import NoPostgres

# Locally every run looks at new examples; CI looks at the same ones, so that it says what changed and not what luck found.
# A shared machine has no deadline to keep.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

_RUN = pytest.StashKey[TestRun]()


def pytest_configure(config: pytest.Config) -> None:
    """The main process holds what tells the PostgreSQL server of the tests that it is still wanted."""
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = TestRun()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUN in config.stash:
        config.stash[_RUN].close()


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
            from trading_core.persistence.session import Database

            async def migrate(url: str) -> None:
                await (await Database.open(url)).close()

            name, url = postgres.create_named("template")
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, migrate(url)).result()
            known.write_text(name)
        return known.read_text()


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
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where `Database.open` finds a database of this test's own, once on SQLite and once on PostgreSQL."""
    return _location(request, tmp_path, "postgres_url")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """`location`, before any migration."""
    return _location(request, tmp_path, "empty_postgres_url")


def _location(request: pytest.FixtureRequest, tmp_path: Path, fixture: str) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "desk.db")
    url: str = request.getfixturevalue(fixture)
    return url
