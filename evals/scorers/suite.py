"""Scores over many trajectories: means with intervals, by category, the distribution of actions, agreement, calibration.

A suite is summed up from its judgements, which are small: trajectories need not be kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evals.schema import Category
from evals.scorers.base import Score, Scorer
from evals.scorers.bootstrap import Mean, mean
from evals.scorers.calibration import Calibration, Claim, calibrate, claims
from evals.scorers.reading import Act, Acted, acted
from evals.scorers.registry import ALL
from evals.trajectory import Trajectory

ONE_SIDED = 0.95  # share of all words from which on a model says always the same
FEWEST_WORDS = 20  # below which nothing is said of that
_WORDS = (Act.ENTER, Act.EXIT, Act.HOLD, Act.ABSTAIN)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is left of a trajectory once it is scored."""

    scenario: str
    category: Category
    repeat: int
    scores: tuple[Score, ...]
    acts: tuple[Acted, ...]
    claims: tuple[Claim, ...]

    @classmethod
    def of(cls, trajectory: Trajectory, scores: Sequence[Score]) -> Judgement:
        """What is left of a trajectory that has been scored."""
        scenario = trajectory.scenario
        return cls(scenario.id, scenario.category, trajectory.repeat, tuple(scores), acted(trajectory), claims(trajectory))

    def score(self, scorer: str) -> Score | None:
        """What that scorer said, None when it was not asked."""
        return next((score for score in self.scores if score.scorer == scorer), None)


@dataclass(frozen=True, slots=True)
class Summary:
    """One scorer over a suite. None where it had nothing to judge.

    Attributes:
        passed: mean of 1 for each trajectory that passed and 0 for each that did not; None for a measure.
    """

    scorer: str
    value: Mean | None
    passed: Mean | None
    by_category: Mapping[Category, Mean]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How often each action was said and done, one count for each symbol, cycle and repeat.

    Attributes:
        one_sided: the word that makes up at least 95 % of at least 20 of the signal agent's own words; None when there is none.
    """

    said: Mapping[Act, int]
    did: Mapping[Act, int]
    by_category: Mapping[Category, Mapping[Act, int]]
    one_sided: Act | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether repeats of a scenario come to the same word for each symbol and cycle.

    Attributes:
        observed: share of pairs of repeats that agree, mean over symbols and cycles (Fleiss, "Measuring nominal scale agreement
            among many raters", Psychological Bulletin 76, 1971).
        kappa: the same beyond what chance would give (Fleiss' kappa): 1 for always, 0 for no more than chance; None when only one
            word was ever said, of which chance explains all, and when scenarios were repeated unequally often.
    """

    observed: Mean
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite summed up."""

    summaries: tuple[Summary, ...]
    distribution: Distribution
    agreement: Agreement | None
    calibration: Calibration | None

    def of(self, scorer: str) -> Summary | None:
        """The summary of one scorer, None when it was not asked."""
        return next((summary for summary in self.summaries if summary.scorer == scorer), None)


def judge(trajectory: Trajectory, scorers: Sequence[Scorer] = ALL) -> Judgement:
    """Every scorer on one trajectory."""
    return Judgement.of(trajectory, [scorer(trajectory) for scorer in scorers])


def summarise(judgements: Sequence[Judgement]) -> Suite:
    """A suite summed up; the order of its judgements does not matter."""
    names = dict.fromkeys(score.scorer for one in judgements for score in one.scores)
    return Suite(
        tuple(_summary(name, judgements) for name in names),
        distribution(judgements),
        agreement(judgements),
        calibrate([(one.scenario, claim) for one in judgements for claim in one.claims]),
    )


def _summary(name: str, judgements: Sequence[Judgement]) -> Summary:
    scored = [(one, score) for one in judgements if (score := one.score(name)) is not None]
    values = [(one, score.value) for one, score in scored if score.value is not None]
    by_category: defaultdict[Category, list[tuple[str, float]]] = defaultdict(list)
    for one, value in values:
        by_category[one.category].append((one.scenario, value))
    means = ((category, mean(by_category[category])) for category in sorted(by_category))
    return Summary(
        name,
        mean((one.scenario, value) for one, value in values),
        mean((one.scenario, float(score.passed)) for one, score in scored if score.passed is not None),
        {category: found for category, found in means if found is not None},
    )


def distribution(judgements: Iterable[Judgement]) -> Distribution:
    """How often each action was said and done."""
    said, did = Counter[Act](), Counter[Act]()
    by_category: defaultdict[Category, Counter[Act]] = defaultdict(Counter)
    for one in judgements:
        said.update(act.said for act in one.acts)
        did.update(act.did for act in one.acts)
        by_category[one.category].update(act.said for act in one.acts)
    words = sum(said[word] for word in _WORDS)
    often = [word for word in _WORDS if words >= FEWEST_WORDS and said[word] >= ONE_SIDED * words]
    return Distribution(
        dict(said), dict(did), {name: dict(by_category[name]) for name in sorted(by_category)}, next(iter(often), None)
    )


def agreement(judgements: Iterable[Judgement]) -> Agreement | None:
    """Agreement of the signal agent's words over repeats; None without a scenario that was repeated."""
    words: defaultdict[tuple[str, int], Counter[Act]] = defaultdict(Counter)
    for one in judgements:
        for place, act in enumerate(one.acts):
            words[one.scenario, place][act.said] += 1
    repeated = {key: counts for key, counts in words.items() if counts.total() > 1}
    observed = mean((scenario, _pairs_that_agree(counts)) for (scenario, _), counts in repeated.items())
    return None if observed is None else Agreement(observed, _kappa(observed.value, list(repeated.values())))


def _pairs_that_agree(counts: Counter[Act]) -> float:
    repeats = counts.total()
    return sum(times * (times - 1) for times in counts.values()) / (repeats * (repeats - 1))


def _kappa(observed: float, counts: Sequence[Counter[Act]]) -> float | None:
    if len({each.total() for each in counts}) != 1:
        return None
    together: Counter[Act] = sum(counts, Counter())
    by_chance = sum((times / together.total()) ** 2 for times in together.values())
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)
