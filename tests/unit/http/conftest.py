"""The doors, open over a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.http.doors import Doors, doors


@pytest.fixture
async def desk(sqlite_copy: Path) -> AsyncIterator[Doors]:
    async with doors(sqlite_copy) as opened:
        yield opened
