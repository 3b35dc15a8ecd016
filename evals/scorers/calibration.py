"""Whether confidence means what it says.

A confidence is read as the probability that the price goes the way the agent says. Only a claim of direction is judged: a view
of `up` or `down`, and a signal to `enter` or `exit`. It is right when the price at the end of the scenario's horizon lies above
(`up`, `enter`) or below (`down`, `exit`) that of the last decision; a price that did not move proves nobody right or wrong.
`sideways` and `hold` claim no direction, an abstention claims nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agents.answers import MarketView, Signal
from evals.scorers.base import Score, measured
from evals.scorers.bootstrap import Mean, mean
from evals.scorers.reading import answer_of
from evals.trajectory import Asked, Trajectory

BINS = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """A direction, how sure the agent was of it (0 to 1), and whether it came so."""

    agent: str
    symbol: str
    confidence: float
    right: bool

    @property
    def brier(self) -> float:
        """Squared error of the confidence: 0 is best, 0.25 is what a coin's 0.5 always gets, 1 is certain and wrong."""
        return (self.confidence - self.right) ** 2


@dataclass(frozen=True, slots=True)
class Bin:
    """One step of the reliability curve: claims with a confidence from `low` up to `high`; the last bin holds 1 as well.

    Attributes:
        confidence: mean of the claims; None in an empty bin.
        right: share of the claims that came so; None in an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    right: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration over a suite.

    Attributes:
        brier: mean squared error of confidence (Brier, "Verification of forecasts expressed in terms of probability", Monthly
            Weather Review 78, 1950).
        overconfidence: mean confidence less the share that was right; above zero, the agents are surer than they may be.
        expected_error: mean distance between confidence and share right over the bins, weighted by their counts (expected
            calibration error: Naeini, Cooper and Hauskrecht, AAAI 2015).
        curve: the reliability curve; all ten bins, empty ones too.
    """

    brier: Mean
    overconfidence: Mean
    expected_error: float
    curve: tuple[Bin, ...]


def claims(trajectory: Trajectory) -> tuple[Claim, ...]:
    """The claims of the last cycle that can be judged: the horizon begins there."""
    if trajectory.aftermath is None or not trajectory.runs:
        return ()
    last = trajectory.runs[-1].run.id
    found = []
    for one in trajectory.asked:
        moved = trajectory.aftermath.moves.get(one.subject)
        claim = claimed(one) if one.run_id == last and moved else None
        if claim is not None and moved:
            up, confidence = claim
            found.append(Claim(one.agent, one.subject, confidence, (moved > 0) is up))
    return tuple(found)


def claimed(one: Asked) -> tuple[bool, float] | None:
    """Whether an answer claims that the price will rise, and how surely; None when it claims no direction."""
    answer = answer_of(one)
    if isinstance(answer, MarketView) and not answer.abstain and answer.trend != "sideways":
        return answer.trend == "up", answer.confidence
    if isinstance(answer, Signal) and answer.action in ("enter", "exit"):
        return answer.action == "enter", answer.conviction
    return None


def calibration(trajectory: Trajectory) -> Score:
    """1 less the mean Brier score of the trajectory's claims: 1 is best, 0.75 is what always saying 0.5 gets."""
    found = claims(trajectory)
    return measured("calibration", 1 - sum(claim.brier for claim in found) / len(found) if found else None)


def calibrate(told: Sequence[tuple[str, Claim]]) -> Calibration | None:
    """Calibration of `(scenario, claim)` pairs; None of no claims."""
    brier = mean((scenario, claim.brier) for scenario, claim in told)
    over = mean((scenario, claim.confidence - claim.right) for scenario, claim in told)
    if brier is None or over is None:
        return None
    curve = reliability(claim for _, claim in told)
    error = sum(b.count * abs(b.confidence - b.right) for b in curve if b.confidence is not None and b.right is not None)
    return Calibration(brier, over, error / len(told), curve)


def reliability(told: Iterable[Claim]) -> tuple[Bin, ...]:
    """The reliability curve over ten bins of equal width."""
    edges = [step / BINS for step in range(BINS + 1)]
    binned: list[list[Claim]] = [[] for _ in range(BINS)]
    for claim in told:
        binned[min(bisect_right(edges, claim.confidence), BINS) - 1].append(claim)
    return tuple(_bin(low, high, members) for (low, high), members in zip(pairwise(edges), binned, strict=True))


def _bin(low: float, high: float, members: Sequence[Claim]) -> Bin:
    count = len(members)
    if not count:
        return Bin(low, high, 0, None, None)
    return Bin(low, high, count, sum(c.confidence for c in members) / count, sum(c.right for c in members) / count)
