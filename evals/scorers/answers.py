"""Schema and end: whether answers came, in the shape that was asked for, and at the first attempt."""

from __future__ import annotations

from evals.scorers.base import Score, judged
from evals.scorers.reading import faulted, words_of
from evals.trajectory import Asked, Trajectory

REPAIRED = 0.5  # an answer that came in shape at the second attempt


def schema(trajectory: Trajectory) -> Score:
    """Mean over answers: 1 for one in its schema at once, 0.5 for a repaired one, 0 for one that never came into shape.

    Passed when none was lost. Words to an operator have no schema. They are not judged, nor are agents whose model the scenario
    breaks and those that gave no answer at all.
    """
    told = [one for one in _judged(trajectory) if words_of(one) is None and (one.answer is not None or one.invalid)]
    if not told:
        return Score("schema", None, None)
    values = [0.0 if one.answer is None else REPAIRED if one.invalid else 1.0 for one in told]
    reasons = [_told(one) for one in told if one.invalid]
    return Score("schema", sum(values) / len(values), 0.0 not in values, tuple(reasons))


def finished(trajectory: Trajectory) -> Score:
    """The share of questions that came to an end: an answer, or at least one that was out of shape (`schema` tells of those).

    Too many calls, no answer in time and a model that refuses are no end. A trajectory that broke off is one more that did not,
    unless the scenario takes away the market or the venue, without which no cycle ends.
    """
    findings = [
        f"{one.agent} {one.subject}: {one.why}" if one.answer is None and not one.invalid else "" for one in _judged(trajectory)
    ]
    broke_off = trajectory.error and not any(fault.what in ("feed", "venue") for fault in trajectory.scenario.faults)
    return judged("finished", [*findings, *([trajectory.error] if broke_off else [])])


def _judged(trajectory: Trajectory) -> list[Asked]:
    return [one for one in trajectory.asked if not faulted(trajectory, "model", one.agent)]


def _told(one: Asked) -> str:
    outcome = "and was never right" if one.answer is None else "and was repaired"
    return f"{one.agent} {one.subject}: {one.invalid} out of shape, {outcome}"
