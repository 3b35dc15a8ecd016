"""Inside a generated bar: where the price was at each second of it, and the minutes that makes.

A path goes from the bar's open to its close and touches its high and its low, each at an instant of its own; between those
it is a Brownian bridge (Glasserman, Monte Carlo Methods in Financial Engineering, 2003, section 3.1), folded back where
it would leave the bar. It depends on its key and the bar alone.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from data_channels.market.factor import Floats, stream
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar

Ticks = npt.NDArray[np.int64]

MINUTE = timedelta(minutes=1)
_MINUTE_SECONDS = 60


def path_of(key: str, bar: Bar, instrument: Instrument, seconds: int) -> Ticks:
    """The price in ticks at the start of the bar and after each of its seconds: `seconds` + 1 values, the last is the close.

    Args:
        key: of the random stream; no two bars should share one.
        seconds: length of the bar, 4 or more.
    """
    opened, high, low, close = (int(price / instrument.tick_size) for price in (bar.open, bar.high, bar.low, bar.close))
    if high == low:
        return np.full(seconds + 1, opened, dtype=np.int64)
    random = stream(key)
    one, other = 1 + int(random.integers(seconds - 1)), 1 + int(random.integers(seconds - 2))
    pins = {0: opened, seconds: close}
    if high > max(opened, close):
        pins[one] = high
    if low < min(opened, close):
        pins[other + (other >= one)] = low  # the two never fall on one second
    steps = random.standard_normal(seconds) * (high - low) / (2 * math.sqrt(seconds))
    places = sorted(pins)
    path = np.empty(seconds + 1, dtype=np.int64)
    path[0] = opened
    for start, end in pairwise(places):
        bridge = _bridge(steps[start:end], pins[start], pins[end])
        path[start + 1 : end + 1] = np.rint(_folded(bridge, low, high)).astype(np.int64)
        path[end] = pins[end]
    return path


def minutes_of(path: Ticks, bar: Bar, instrument: Instrument) -> list[Bar]:
    """The minutes of a bar whose price took that path. Their volumes add up to the bar's; a minute of moves trades more."""
    tick, lot = instrument.tick_size, instrument.lot_size
    count = (len(path) - 1) // _MINUTE_SECONDS
    moved = np.abs(np.diff(path)).reshape(count, _MINUTE_SECONDS).sum(axis=1) + 1.0
    traded = np.floor(np.cumsum(moved) / moved.sum() * float(bar.volume / lot))
    lots = [int(after - before) for before, after in zip([0.0, *traded[:-1].tolist()], traded.tolist(), strict=True)]
    lots[-1] = int(bar.volume / lot) - sum(lots[:-1])
    made = []
    for number, volume in enumerate(lots):
        part = path[number * _MINUTE_SECONDS : (number + 1) * _MINUTE_SECONDS + 1]
        opened, high, low, close = (int(value) * tick for value in (part[0], part.max(), part.min(), part[-1]))
        made.append(Bar(bar.opened_at + number * MINUTE, opened, high, low, close, volume * lot))
    return made


def _bridge(steps: Floats, start: float, end: float) -> Floats:
    """A walk of these steps, bent so that it ends where it should."""
    walk = start + np.cumsum(steps)
    bent: Floats = walk + np.arange(1, len(steps) + 1) / len(steps) * (end - walk[-1])
    return bent


def _folded(values: Floats, low: int, high: int) -> Floats:
    """Values beyond a bound are reflected at it, as often as it takes."""
    span = high - low
    beyond = np.mod(values - low, 2 * span)
    folded: Floats = low + np.where(beyond > span, 2 * span - beyond, beyond)
    return folded
