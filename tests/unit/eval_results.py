"""Results of made-up runs: a folder of trajectories made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.results import RESULTS, RULES, Header, Result, Results
from evals.schema import Scenario
from evals.scorers.base import Score
from evals.trajectory import Trajectory
from tests.unit.scorer_cases import scenario, trajectory

STARTED = datetime(2025, 6, 1, tzinfo=UTC)


def named(number: int, **changes: Any) -> Scenario:
    return scenario(id=f"made-up-{number:03d}", **changes)


def passed(scorer: str, *, ok: bool, reasons: Sequence[str] = ("it was wrong",)) -> Score:
    return Score(scorer, 1.0 if ok else 0.0, ok, () if ok else tuple(reasons))


def made(
    folder: Path,
    scores: Mapping[int, Sequence[Sequence[Score]]],
    *,
    changes: Mapping[str, Any] | None = None,
    hashes: Mapping[int, str] | None = None,
    repeats: int = 1,
    rules: Iterable[Result] = (),
) -> Results:
    """A run's folder: for each scenario by number, the scores of each of its repeats."""
    ids = {number: named(number).id for number in scores}
    header = Header(
        id=folder.name,
        suite="made up",
        model="by hand",
        repeats=repeats,
        scenarios={name: (hashes or {}).get(number, "same") for number, name in ids.items()},
        started_at=STARTED,
    )
    results = Results.create(folder, header)
    add(
        results,
        (result(number, repeat, each, **(changes or {})) for number, told in scores.items() for repeat, each in enumerate(told)),
    )
    add(results, rules, RULES)
    return results


def add(results: Results, added: Iterable[Result], name: str = RESULTS) -> None:
    writer = results.writer(name)
    for one in added:
        writer.append(one)
    writer.close()


def result(number: int, repeat: int, scores: Sequence[Score], **changes: Any) -> Result:
    found: Trajectory = trajectory(**{"scenario": named(number), "repeat": repeat, **changes})
    return Result(found.scenario.id, found.scenario.category.value, repeat, found, tuple(scores))
