"""Which scenarios are run: those that come with the desk, a part of them, or a person's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from evals.schema import Category, Scenario, load_scenario
from trading_core.domain.errors import ConfigurationError

ALL = "all"


def load_suite(name: str) -> list[Scenario]:
    """Scenarios by `all`, a category, a tag, an id, or the path of a file or a folder; in the order of their ids.

    Raises:
        ConfigurationError: nothing is found, or a file is wrong.
    """
    path = Path(name)
    if path.is_dir():
        return _from(path, name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return [load_scenario(path)]
    every = _from(Path(str(resources.files("evals") / "scenarios")), name)
    if name == ALL:
        return every
    found = [one for one in every if name in (one.id, one.category.value, *one.tags)]
    if not found:
        tags = sorted({tag for one in every for tag in one.tags})
        raise ConfigurationError(
            f"there is no suite {name!r}",
            not_done="Nothing was run",
            next_step=f"Give {ALL}, a path, an id, a category ({', '.join(Category)}) or a tag ({', '.join(tags)})",
        )
    return found


def _from(folder: Path, name: str) -> list[Scenario]:
    found = sorted((load_scenario(path) for path in folder.glob("*.yaml")), key=lambda one: one.id)
    if not found:
        raise ConfigurationError(f"suite {name!r} is empty", not_done="Nothing was run", next_step="Put scenarios into it")
    return found
