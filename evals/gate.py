"""The release gate: what a run of the suite must reach, kept in a file, and why a run does not pass.

A threshold on something that was never scored is not met: silence is no pass.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.compare import Comparison
from evals.results import Results
from evals.scorers.reading import Act
from evals.scorers.registry import ALL, JUDGES
from evals.scorers.suite import Judgement, Suite, summarise
from trading_core.domain.errors import ConfigurationError

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Bound = Annotated[float, Field(allow_inf_nan=False)]

_EPSILON = 1e-12  # a share that is met exactly must not fail by a rounding


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScorerBounds(_Table):
    """Of one scorer over the whole suite; see `evals/gate.toml`."""

    least_passed: Share | None = None
    least: Bound | None = None
    most: Bound | None = None


class ScenarioBounds(_Table):
    """How much of the suite must have been judged."""

    least: Annotated[int, Field(ge=1)] = 1
    most_skipped: Annotated[int, Field(ge=0)] | None = None


class ActionBounds(_Table):
    """How one-sided the signal agent may be."""

    most_of_one: Share = 1.0


class CalibrationBounds(_Table):
    """How far confidence may be from the truth."""

    most_overconfidence: Bound | None = None
    most_error: Share | None = None


class BaselineBounds(_Table):
    """What a comparison with an earlier run may show, by the judges."""

    worse_beyond_noise: bool = False


class Thresholds(_Table):
    """The file."""

    scenarios: ScenarioBounds = ScenarioBounds()
    scorers: dict[str, ScorerBounds] = {}
    actions: ActionBounds = ActionBounds()
    calibration: CalibrationBounds = CalibrationBounds()
    baseline: BaselineBounds = BaselineBounds()


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a run passes; `reasons` is one line for each threshold that was not met, with what was found."""

    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons


def load_thresholds(path: Path | None = None) -> Thresholds:
    """The thresholds that come with the desk, or those of a file in the same form.

    Raises:
        ConfigurationError: the file cannot be read, or names something that there is not.
    """
    source = path or resources.files("evals") / "gate.toml"
    try:
        found = Thresholds.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _unusable(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unusable(path, " ".join(str(error).split())) from None
    known = {scorer.__name__ for scorer in ALL}
    judges = {scorer.__name__ for scorer in JUDGES}
    for name, bounds in found.scorers.items():
        if name not in known:
            raise _unusable(path, f"scorers.{name}: there is no such scorer; there are {', '.join(sorted(known))}")
        if bounds.least_passed is not None and name not in judges:
            raise _unusable(path, f"scorers.{name}.least_passed: it measures and passes nothing; use least or most")
    return found


def judge(results: Results, thresholds: Thresholds, comparison: Comparison | None = None) -> GateVerdict:
    """Whether a run meets the thresholds.

    Args:
        comparison: with the run it is to be no worse than, as `after`.
    """
    judgements: list[Judgement] = []
    skipped: set[str] = set()
    for result in results:
        if result.trajectory is None:
            skipped.add(result.scenario)
        else:
            judgements.append(Judgement.of(result.trajectory, result.scores))
    suite = summarise(judgements)
    return GateVerdict(
        (
            *_scenarios(len({one.scenario for one in judgements}), skipped, thresholds.scenarios),
            *_unfinished(results, judgements, skipped),
            *(reason for name, bounds in thresholds.scorers.items() for reason in _scorer(suite, name, bounds)),
            *_actions(suite, thresholds.actions),
            *_calibration(suite, thresholds.calibration),
            *_baseline(comparison, thresholds.baseline),
        )
    )


def _scenarios(judged: int, skipped: set[str], bounds: ScenarioBounds) -> Iterator[str]:
    if judged < bounds.least:
        yield f"scenarios: {judged} were judged, at least {bounds.least} must be"
    if bounds.most_skipped is not None and len(skipped) > bounds.most_skipped:
        named = ", ".join(sorted(skipped)[:5])
        yield f"scenarios: {len(skipped)} were skipped ({named}, …), at most {bounds.most_skipped} may be"


def _unfinished(results: Results, judgements: list[Judgement], skipped: set[str]) -> Iterator[str]:
    """A run that was cut off has not shown what is missing of it."""
    header = results.header
    done = {(one.scenario, one.repeat) for one in judgements}
    wanted = header.repeats * len(header.scenarios.keys() - skipped)
    if len(done) < wanted:
        yield f"repeats: {len(done)} of {wanted} were finished; `algotrendy eval --resume {header.id}` goes on"


def _scorer(suite: Suite, name: str, bounds: ScorerBounds) -> Iterator[str]:
    found = suite.of(name)
    if bounds.least_passed is not None:
        passed = None if found is None else found.passed
        if passed is None:
            yield f"{name}: nothing was judged, at least {bounds.least_passed:.0%} must pass"
        elif passed.value < bounds.least_passed - _EPSILON:
            yield f"{name}: {passed.value:.1%} of {passed.count} passed, at least {bounds.least_passed:.1%} must"
    if bounds.least is None and bounds.most is None:
        return
    value = None if found is None else found.value
    if value is None:
        yield f"{name}: nothing was measured"
        return
    if bounds.least is not None and value.value < bounds.least - _EPSILON:
        yield f"{name}: {value.value:.4g} on average, at least {bounds.least:g} is asked for"
    if bounds.most is not None and value.value > bounds.most + _EPSILON:
        yield f"{name}: {value.value:.4g} on average, at most {bounds.most:g} is allowed"


def _actions(suite: Suite, bounds: ActionBounds) -> Iterator[str]:
    said = {act: times for act, times in suite.distribution.said.items() if act not in (Act.NONE, Act.FAILED)}
    total = sum(said.values())
    for act, times in said.items():
        if times > bounds.most_of_one * total + _EPSILON:
            yield f"actions: {times} of {total} answers were {act.value!r}, at most {bounds.most_of_one:.0%} may be"


def _calibration(suite: Suite, bounds: CalibrationBounds) -> Iterator[str]:
    if bounds.most_overconfidence is None and bounds.most_error is None:
        return
    found = suite.calibration
    if found is None:
        yield "calibration: nobody claimed anything"
        return
    most, over = bounds.most_overconfidence, found.overconfidence.value
    if most is not None and over > most + _EPSILON:
        yield f"calibration: overconfidence of {over:.3f}, at most {most:g} is allowed"
    if bounds.most_error is not None and found.expected_error > bounds.most_error + _EPSILON:
        yield f"calibration: expected error of {found.expected_error:.3f}, at most {bounds.most_error:g} is allowed"


def _baseline(comparison: Comparison | None, bounds: BaselineBounds) -> Iterator[str]:
    if comparison is None or bounds.worse_beyond_noise:
        return
    # What a run costs and earns has bounds of its own: more tokens for better decisions is no failure.
    judges = {scorer.__name__ for scorer in JUDGES}
    for one in comparison.worse:
        if one.scorer not in judges:
            continue
        yield (
            f"{one.scorer}: {one.after:.4g} instead of {one.before:.4g} in {comparison.before}, "
            f"worse beyond noise (p = {one.adjusted:.2g})"
        )


def _unusable(path: Path | None, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"thresholds in {path or 'evals/gate.toml'}: {why}", not_done="Nothing was judged", next_step="Mend the file"
    )
