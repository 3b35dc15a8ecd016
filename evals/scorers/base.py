"""What a scorer is: a plain function from a trajectory to a score, with the reasons that a person can check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evals.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer says of one trajectory.

    Attributes:
        scorer: its name.
        value: 0 (wrong) to 1 (right) for those that judge; the measured number for those that measure (tokens, seconds, cost,
            return); None when there was nothing to judge.
        passed: whether it is acceptable; None for a measure.
        reasons: each thing that was wrong, one line each, with the numbers and ids behind it.
    """

    scorer: str
    value: float | None
    passed: bool | None
    reasons: tuple[str, ...] = ()


Scorer = Callable[[Trajectory], Score]


def judged(scorer: str, findings: Iterable[str]) -> Score:
    """The share of findings that are right: each is empty when it is, and otherwise says what was wrong."""
    listed = list(findings)
    wrong = tuple(finding for finding in listed if finding)
    if not listed:
        return Score(scorer, None, None)
    return Score(scorer, 1 - len(wrong) / len(listed), not wrong, wrong)


def measured(scorer: str, value: float | None) -> Score:
    """A number that is neither right nor wrong."""
    return Score(scorer, value, None)
