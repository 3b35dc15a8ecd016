"""The two processes of the crash tests: the venue, and the one whose children die."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.connections import At
from tests.crash.http_broker import NO_CERTIFICATES
from tests.crash.worlds import Worlds

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def desks() -> Iterator[subprocess.Popen[str]]:
    """The process whose children are desks, for all venues: what it imports for the first it has for the next."""
    process = _start("tests.crash.desk_process")
    yield process
    process.communicate(timeout=60)  # it ends at the end of its input


@pytest.fixture(scope="module")
def worlds(
    request: pytest.FixtureRequest, desks: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worlds]:
    """New ledgers and accounts, at a venue that lives as long as the test module.

    The venue is an indirect parameter; the paper venue where there is none.
    """
    at, folder = At(getattr(request, "param", At.PAPER)), tmp_path_factory.mktemp("crash")
    venue = _start(*at.process, str(folder))
    assert venue.stdout is not None
    try:
        port = json.loads(venue.stdout.readline())["port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=NO_CERTIFICATES) as client:
            yield Worlds(at, folder, client, desks)
    finally:
        venue.communicate(timeout=60)


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
