"""Volume: on-balance volume and z-score."""

from __future__ import annotations

import numpy as np

from trading_core.indicators.series import (
    FloatArray,
    Series,
    as_series,
    check_lengths,
    check_period,
    ratio,
    rolling_mean_deviation,
)


def obv(close: Series, volume: Series) -> FloatArray:
    """On-balance volume in base units (Granville, New Key to Stock Market Profits, 1963).

    The running sum of volume, added on a rise of the close, taken off on a fall, 0 at the first bar. Only its changes mean
    anything: the level depends on where the series starts.
    """
    closes, volumes = as_series(close), as_series(volume)
    check_lengths(closes, volumes)
    direction = np.sign(np.diff(closes, prepend=closes[:1]))
    return np.cumsum(direction * volumes)


def zscore(values: Series, period: int = 20) -> FloatArray:
    """Population standard deviations by which a value differs from the mean of the last `period`, itself among them.

    Bounded by ±sqrt(period-1) (Samuelson, How Deviant Can You Be?, 1968), 0 in a constant window, NaN before index
    `period - 1`.
    """
    check_period(period)
    series = as_series(values)
    mean, deviation = rolling_mean_deviation(series, period)
    return ratio(series - mean, deviation, if_zero=0.0)
