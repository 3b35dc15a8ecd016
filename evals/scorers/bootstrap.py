"""Means with bootstrap intervals. Seeded: the same numbers always give the same interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2_000
LEVEL = 0.95
SEED = 20_240_101


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and where it would lie in other samples of scenarios.

    Attributes:
        low, high: the ends of the 95 % interval; both are the mean when there is only one scenario, which says nothing of others.
        count: of values.
        scenarios: of which they are; it is these that are drawn again, not the values.
    """

    value: float
    low: float
    high: float
    count: int
    scenarios: int


def mean(values: Iterable[tuple[str, float]], *, seed: int = SEED) -> Mean | None:
    """Mean of `(scenario, value)` pairs with its percentile bootstrap interval (Efron, "Bootstrap methods: another look at the
    jackknife", Annals of Statistics 7, 1979); None of no values.

    Whole scenarios are drawn with replacement (the cluster bootstrap: Davison and Hinkley, *Bootstrap Methods and their
    Application*, 1997, section 3.8): the repeats of one scenario are alike, and to draw them one by one would make the interval
    too narrow.
    """
    clusters: defaultdict[str, list[float]] = defaultdict(list)
    for scenario, value in values:
        clusters[scenario].append(value)
    if not clusters:
        return None
    # By name, so that the order in which scenarios were finished does not matter.
    members = [sorted(clusters[name]) for name in sorted(clusters)]
    sums, counts = np.array([sum(each) for each in members]), np.array([len(each) for each in members])
    centre = float(sums.sum() / counts.sum())
    drawn = np.random.default_rng(seed).integers(0, len(members), (RESAMPLES, len(members)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = (float(end) for end in np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    # Sums in another order differ in the last bits; an interval holds its own mean.
    return Mean(centre, min(low, centre), max(high, centre), int(counts.sum()), len(members))
