"""The made-up crypto market behind the synthetic feed: regimes, their switching, and volatility that comes in clusters.

Floats, because it is a simulation; prices become exact where bars are made of it. The parts are standard ones: Markov regime
switching (Hamilton, Econometrica 57, 1989), log-volatility as an AR(1) process (Taylor, Modelling Financial Time Series, 1986),
one common factor (Sharpe, Management Science 9, 1963). The numbers are plausible for crypto and fitted to nothing.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DAYS_PER_YEAR = 365.0
_CLUSTER_HALF_LIFE = 2.0  # days
_CLUSTER_SPREAD = 0.35  # standard deviation of log-volatility


@dataclass(frozen=True, slots=True)
class Regime:
    """A mood of the market.

    Attributes:
        drift: expected log return per year.
        volatility: standard deviation of the log return per square root of a year.
        days: how long it lasts on average.
        leads_to: chances of what follows, by index into `REGIMES`.
    """

    name: str
    drift: float
    volatility: float
    days: float
    leads_to: tuple[float, float, float, float, float]


REGIMES = (
    Regime("bull trend", 1.6, 0.50, 30, (0.0, 0.2, 0.6, 0.2, 0.0)),
    Regime("bear trend", -1.6, 0.60, 25, (0.1, 0.0, 0.5, 0.2, 0.2)),
    Regime("chop", 0.0, 0.35, 20, (0.5, 0.4, 0.0, 0.1, 0.0)),
    Regime("crash", -22.0, 1.60, 3, (0.0, 0.3, 0.2, 0.0, 0.5)),
    Regime("recovery", 5.0, 0.85, 12, (0.5, 0.1, 0.4, 0.0, 0.0)),
)
TYPICAL_VOLATILITY = 0.55


@dataclass(frozen=True, slots=True)
class Factor:
    """The market as a whole, bar by bar.

    Attributes:
        returns: log returns.
        volatility: standard deviation of each of them.
        stress: the regime's volatility against the typical one; single coins move more when it is high.
        regimes: index into `REGIMES`.
    """

    returns: Floats
    volatility: Floats
    stress: Floats
    regimes: list[int]


def stream(*key: str) -> np.random.Generator:
    """A random stream of its own for this key; numbers of one kind drawn from it have the same prefix whatever their count."""
    digest = hashlib.sha256("|".join(key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def make_factor(key: str, bars: int, days_per_bar: float) -> Factor:
    """The market under `key`; a longer one starts with exactly the shorter one."""
    regimes = _regimes(stream(key, "leave").random(bars), stream(key, "next").random(bars), days_per_bar)
    years = days_per_bar / _DAYS_PER_YEAR
    level = np.array([regime.volatility for regime in REGIMES])[regimes]
    volatility = level * math.sqrt(years) * clusters(stream(key, "clusters"), bars, days_per_bar)
    drift = np.array([regime.drift for regime in REGIMES])[regimes] * years
    returns = drift + volatility * stream(key, "shocks").standard_normal(bars)
    return Factor(returns, volatility, level / TYPICAL_VOLATILITY, regimes)


def clusters(random: np.random.Generator, bars: int, days_per_bar: float) -> Floats:
    """Multipliers of volatility with a mean square of one: calm follows calm, storm follows storm."""
    keep = 0.5 ** (days_per_bar / _CLUSTER_HALF_LIFE)
    innovation = _CLUSTER_SPREAD * math.sqrt(1 - keep * keep)
    shocks = random.standard_normal(bars).tolist()
    levels: list[float] = []
    level = _CLUSTER_SPREAD * shocks[0]
    for shock in shocks:
        level = keep * level + innovation * shock
        levels.append(level)
    return np.exp(np.array(levels) - _CLUSTER_SPREAD**2)


def _regimes(leave: Floats, following: Floats, days_per_bar: float) -> list[int]:
    """The regime of every bar. It starts in a chop, so that the first bars favour nobody."""
    chances = [1 - math.exp(-days_per_bar / regime.days) for regime in REGIMES]
    steps = [np.cumsum(regime.leads_to) for regime in REGIMES]
    current, path = 2, []
    for leaving, where in zip(leave.tolist(), following.tolist(), strict=True):
        if leaving < chances[current]:
            current = min(int(np.searchsorted(steps[current], where, side="right")), len(REGIMES) - 1)
        path.append(current)
    return path
