"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Locally every run looks at new examples; CI looks at the same ones, so that it says what changed and not what luck found.
# A shared machine has no deadline to keep.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded real data; skips where it is absent."""
    root = Path(os.environ.get("ALGOTRENDY_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not root.is_dir():
        pytest.skip("recorded real data is not here: set ALGOTRENDY_DATA to its folder")
    return root
