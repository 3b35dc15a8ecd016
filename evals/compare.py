"""Two runs of a suite beside each other: which differences are beyond noise, which scenarios flipped, and what was answered.

Only scenarios that both runs hold, with the very same content, are compared: they are pairs. The unit is the scenario, a mean
over its repeats, for repeats of one scenario are alike.

A difference is tested by flipping the signs of the paired differences (R. A. Fisher, *The Design of Experiments*, 1935, section
21): if nothing had changed, each would be as likely to be the other way round. Up to `EXACT` scenarios that differ every flip is
tried; above that `FLIPS` random ones, seeded, and the p-value counts the flip that was seen (B. Phipson and G. Smyth,
"Permutation P-values should never be zero", 2010). Several scorers are tested at once, so their p-values are adjusted by Holm's
method ("A simple sequentially rejective multiple test procedure", 1979): beyond noise means an adjusted one below `LEVEL`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evals.results import Result, Results
from evals.scorers.bootstrap import Mean, mean
from evals.scorers.reading import Act, acted
from trading_core.domain.errors import ConfigurationError

LEVEL = 0.05
EXACT = 14
FLIPS = 20_000
SEED = 20_240_102
MOST_SHOWN = 20  # flipped scenarios of which the answers are kept: trajectories are large
LOWER_IS_BETTER = frozenset({"latency", "model_calls", "tokens", "cost", "max_drawdown"})

_CHUNK = 1_000  # flips at a time, so that memory does not grow with their number
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """One scorer in both runs.

    Attributes:
        before, after: mean over the scenarios that were scored in both.
        change: mean of the paired differences with its bootstrap interval.
        p: of the sign-flip test; `adjusted` for the number of scorers.
    """

    scorer: str
    before: float
    after: float
    change: Mean
    p: float
    adjusted: float

    @property
    def beyond_noise(self) -> bool:
        return self.adjusted < LEVEL

    @property
    def is_better(self) -> bool:
        """Whether the change goes the way one wants, noise or not."""
        return (self.change.value < 0) is (self.scorer in LOWER_IS_BETTER) and self.change.value != 0


@dataclass(frozen=True, slots=True)
class Flip:
    """A scenario that every repeat passed in one run and not in the other, by one scorer's word: `(passed, repeats)` of each."""

    scenario: str
    scorer: str
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def broke(self) -> bool:
        return self.before[0] == self.before[1]


@dataclass(frozen=True, slots=True)
class Pair:
    """One scenario's repeat in both runs: where a scorer is unhappy, the first repeat that it is unhappy with."""

    scenario: str
    before: Result
    after: Result


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared.

    Attributes:
        before, after: their ids.
        scenarios: how many are in both.
        left_out: scenarios in one run only, or changed in between, each with the reason.
        differences: by scorer, in the order of the runs.
        flips: those that broke first.
        pairs: answers of the first `MOST_SHOWN` flipped scenarios.
        said: how often the signal agent said each word, in both.
    """

    before: str
    after: str
    scenarios: int
    left_out: Mapping[str, str]
    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]
    pairs: tuple[Pair, ...]
    said: tuple[Mapping[Act, int], Mapping[Act, int]]

    @property
    def worse(self) -> tuple[Difference, ...]:
        """What got worse beyond noise."""
        return tuple(one for one in self.differences if one.beyond_noise and not one.is_better)


@dataclass(slots=True)
class _Side:
    """What is left of one run: scores by scorer and scenario, passes by the same, and words."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    passed: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    said: dict[Act, int] = field(default_factory=lambda: defaultdict(int))


def compare(before: Results, after: Results, *, seed: int = SEED) -> Comparison:
    """Two runs of the same scenarios. Each is read twice, one result at a time.

    Raises:
        ConfigurationError: they have no scenario in common.
    """
    shared, left_out = _shared(before.header.scenarios, after.header.scenarios)
    sides = _read(before, shared), _read(after, shared)
    common = sorted({name for _, name in sides[0].passed} & {name for _, name in sides[1].passed})
    if not common:
        raise ConfigurationError(
            f"{before.header.id!r} and {after.header.id!r} have no finished scenario in common",
            not_done="Nothing was compared",
            next_step="Run the same suite with both",
        )
    flips = _flips(*sides)
    shown = dict.fromkeys(flip.scenario for flip in flips)
    named = {name: next(flip.scorer for flip in flips if flip.scenario == name) for name in list(shown)[:MOST_SHOWN]}
    picked = _picked(before, named), _picked(after, named)
    return Comparison(
        before=before.header.id,
        after=after.header.id,
        scenarios=len(common),
        left_out=left_out,
        differences=_adjusted(_differences(*sides, seed)),
        flips=flips,
        pairs=tuple(Pair(name, picked[0][name], picked[1][name]) for name in named),
        said=(dict(sides[0].said), dict(sides[1].said)),
    )


def _shared(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[set[str], dict[str, str]]:
    left_out = dict.fromkeys(before.keys() - after.keys(), "only before")
    left_out |= dict.fromkeys(after.keys() - before.keys(), "only after")
    both = before.keys() & after.keys()
    left_out |= {name: "its content has changed" for name in both if before[name] != after[name]}
    return {name for name in both if before[name] == after[name]}, dict(sorted(left_out.items()))


def _read(results: Results, shared: set[str]) -> _Side:
    side = _Side()
    for result in results:
        if result.scenario not in shared or result.trajectory is None:
            continue
        for act in acted(result.trajectory):
            side.said[act.said] += 1
        for score in result.scores:
            if score.value is not None:
                side.values[score.scorer][result.scenario].append(score.value)
            if score.passed is not None:
                side.passed[score.scorer, result.scenario].append(score.passed)
    return side


def _differences(before: _Side, after: _Side, seed: int) -> Iterable[Difference]:
    for scorer, by_scenario in before.values.items():
        others = after.values.get(scorer, {})
        names = sorted(by_scenario.keys() & others.keys())
        if not names:
            continue
        pairs = [(_average(by_scenario[name]), _average(others[name])) for name in names]
        moved = [now - then for then, now in pairs]
        change = mean(zip(names, moved, strict=True))
        if change is not None:
            p = sign_flip(moved, seed=seed)
            then, now = (_average(column) for column in zip(*pairs, strict=True))
            yield Difference(scorer, then, now, change, p, p)


def sign_flip(differences: Sequence[float], *, seed: int = SEED) -> float:
    """Two-sided p-value of paired differences under "each could as well have been the other way round"."""
    moved = np.array([one for one in differences if abs(one) > _TIE])
    if not len(moved):
        return 1.0
    seen = abs(moved.sum()) - _TIE
    if len(moved) <= EXACT:
        bits = (np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1
        return float((np.abs((1 - 2 * bits) @ moved) >= seen).mean())
    chance, as_far = np.random.default_rng(seed), 0
    for _ in range(FLIPS // _CHUNK):
        signs = 1 - 2 * chance.integers(0, 2, (_CHUNK, len(moved)), dtype=np.int8)
        as_far += int((np.abs(signs @ moved) >= seen).sum())
    return (1 + as_far) / (1 + FLIPS)


def _adjusted(found: Iterable[Difference]) -> tuple[Difference, ...]:
    """Holm's step-down adjustment; the order stays."""
    listed = list(found)
    by_p, highest, adjusted = sorted(range(len(listed)), key=lambda index: listed[index].p), 0.0, dict[int, float]()
    for rank, index in enumerate(by_p):
        highest = max(highest, min(1.0, listed[index].p * (len(listed) - rank)))
        adjusted[index] = highest
    return tuple(replace(one, adjusted=adjusted[index]) for index, one in enumerate(listed))


def _flips(before: _Side, after: _Side) -> tuple[Flip, ...]:
    found = []
    for (scorer, scenario), then in before.passed.items():
        now = after.passed.get((scorer, scenario))
        if now is not None and all(then) is not all(now):
            found.append(Flip(scenario, scorer, (sum(then), len(then)), (sum(now), len(now))))
    return tuple(sorted(found, key=lambda flip: (not flip.broke, flip.scenario, flip.scorer)))


def _picked(results: Results, named: Mapping[str, str]) -> dict[str, Result]:
    """For each scenario its first repeat, or the first that the scorer did not pass."""
    found: dict[str, Result] = {}
    for result in results:
        if result.scenario not in named or result.trajectory is None:
            continue
        known = found.get(result.scenario)
        if known is None or (_passes(known, named) and not _passes(result, named)):
            found[result.scenario] = result
    return found


def _passes(result: Result, named: Mapping[str, str]) -> bool:
    score = result.score(named[result.scenario])
    return score is None or score.passed is not False


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
