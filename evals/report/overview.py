"""What a report says of a run beside its trajectories: read in one pass, and small."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from evals.results import Header, Result, Results
from evals.scorers.base import Score
from evals.scorers.reading import Act, acted
from evals.scorers.suite import Judgement, Suite, summarise


@dataclass(frozen=True, slots=True)
class Row:
    """One repeat of one scenario in a line. Returns are fractions over the horizon, None where nothing followed."""

    scenario: str
    title: str
    category: str
    repeat: int
    scores: tuple[Score, ...]
    desk: float | None
    held: float | None
    rules: float | None
    drawdown: float | None
    seconds: float
    error: str
    skipped: str

    @property
    def failed(self) -> tuple[Score, ...]:
        return tuple(score for score in self.scores if score.passed is False)

    @property
    def passed(self) -> bool:
        return not self.failed and not self.skipped


@dataclass(frozen=True, slots=True)
class Overview:
    """A run without its trajectories.

    Attributes:
        suite: the sums; None when nothing was judged.
        expected: what is acceptable, and what was done, counted over symbols, cycles and repeats.
        versus_rules: what the embedded model did, and what this one did in the same place; empty without results of it.
    """

    header: Header
    rows: tuple[Row, ...]
    suite: Suite | None
    expected: Counter[tuple[tuple[str, ...], Act]] = field(default_factory=Counter)
    versus_rules: Counter[tuple[Act, Act]] = field(default_factory=Counter)

    @classmethod
    def of(cls, results: Results) -> Overview:
        """Read a run once, one result at a time."""
        rows, judgements = list[Row](), list[Judgement]()
        expected, versus = Counter[tuple[tuple[str, ...], Act]](), Counter[tuple[Act, Act]]()
        did_rules = {result.scenario: _did(result) for result in results.rules()}
        for result in results:
            rows.append(_row(result))
            if result.trajectory is None:
                continue
            judgements.append(Judgement.of(result.trajectory, result.scores))
            for act in judgements[-1].acts:
                expected[tuple(result.trajectory.scenario.acceptable[act.symbol].actions), act.did] += 1
            versus.update(zip(did_rules.get(result.scenario, ()), (act.did for act in judgements[-1].acts), strict=False))
        rows.sort(key=lambda row: (row.scenario, row.repeat))
        return cls(results.header, tuple(rows), summarise(judgements) if judgements else None, expected, versus)

    @property
    def judged(self) -> int:
        return sum(not row.skipped for row in self.rows)


def _did(result: Result) -> tuple[Act, ...]:
    return () if result.trajectory is None else tuple(act.did for act in acted(result.trajectory))


def _row(result: Result) -> Row:
    found = result.trajectory
    after = None if found is None else found.aftermath
    return Row(
        scenario=result.scenario,
        title="" if found is None else found.scenario.title,
        category=result.category,
        repeat=result.repeat,
        scores=result.scores,
        desk=None if after is None else after.desk - 1,
        held=None if after is None else after.held - 1,
        rules=None if after is None or after.rules is None else after.rules - 1,
        drawdown=None if after is None else after.drawdown,
        seconds=0.0 if found is None else found.seconds,
        error="" if found is None else found.error,
        skipped=result.skipped,
    )
