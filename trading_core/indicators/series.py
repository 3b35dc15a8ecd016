"""What every indicator is built from: checked float64 series, bar columns and the two kinds of smoothing.

Rolling sums are taken term by term in a fixed order, so a value does not depend, not even in its last bit, on how many
bars come after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar

FloatArray = npt.NDArray[np.float64]
Series = FloatArray | Sequence[float]


@dataclass(frozen=True, slots=True)
class BarColumns:
    """The columns of a run of bars as float64, oldest first. Prices are quote per base, volume is base."""

    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> BarColumns:
        """The columns of `bars`.

        Raises:
            InvalidInput: when the bars are not in strictly rising order of time.
        """
        for before, after in pairwise(bars):
            if after.opened_at <= before.opened_at:
                raise InvalidInput(
                    f"the bar of {after.opened_at} follows the bar of {before.opened_at}",
                    not_done="No indicator was computed",
                    next_step="Give bars oldest first, each once",
                )
        return cls(
            high=np.array([float(bar.high) for bar in bars]),
            low=np.array([float(bar.low) for bar in bars]),
            close=np.array([float(bar.close) for bar in bars]),
            volume=np.array([float(bar.volume) for bar in bars]),
        )


def as_series(values: Series) -> FloatArray:
    """`values` as a one-dimensional float64 array.

    Raises:
        InvalidInput: for another shape or for a value that is not finite.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise InvalidInput(f"an indicator takes one series, not an array of shape {series.shape}")
    if not np.isfinite(series).all():
        at = int(np.flatnonzero(~np.isfinite(series))[0])
        raise InvalidInput(f"value {at} of the series is {series[at]}", not_done="No indicator was computed")
    return series


def as_prices(values: Series) -> FloatArray:
    """`values` as a series of prices.

    Raises:
        InvalidInput: as `as_series`, and for a price that is not above zero.
    """
    prices = as_series(values)
    if not (prices > 0).all():
        at = int(np.flatnonzero(prices <= 0)[0])
        raise InvalidInput(f"price {at} of the series is {prices[at]}, not above zero", not_done="No indicator was computed")
    return prices


def check_period(period: int, *, least: int = 1) -> None:
    """Refuse a look-back that has no meaning.

    Raises:
        InvalidInput: when `period` is below `least`.
    """
    if period < least:
        raise InvalidInput(f"a period of {period} bars is below {least}", not_done="No indicator was computed")


def check_lengths(*series: FloatArray) -> None:
    """Refuse series that do not belong to the same bars.

    Raises:
        InvalidInput: when the lengths differ.
    """
    lengths = [len(one) for one in series]
    if len(set(lengths)) > 1:
        raise InvalidInput(f"the series have different lengths: {lengths}", not_done="No indicator was computed")


def undefined(length: int) -> FloatArray:
    """`length` times NaN."""
    return np.full(length, np.nan)


def ratio(part: FloatArray, whole: FloatArray, *, if_zero: float) -> FloatArray:
    """`part / whole`, `if_zero` where `whole` is not above zero, NaN where `whole` is NaN."""
    result = np.where(np.isnan(whole), np.nan, if_zero)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def smooth(values: FloatArray, period: int, weight: float, *, start: int = 0) -> FloatArray:
    """Exponential smoothing from index `start`, seeded with the mean of the first `period` values.

    s[i] = s[i-1] + weight · (x[i] - s[i-1]). Weight 2/(period+1) is the usual exponential average, 1/period is Wilder's.
    The first value stands at `start + period - 1`.
    """
    result = undefined(len(values))
    first = start + period - 1
    if len(values) > first:
        window = values[start : first + 1]
        level = float(window[0] + np.sum(window - window[0]) / period)
        levels = [level]
        for value in values[first + 1 :].tolist():
            level += weight * (value - level)
            levels.append(level)
        result[first:] = levels
    return result


def rolling_mean(values: FloatArray, period: int) -> FloatArray:
    """Mean of the last `period` values; exact for a constant window, because deviations from its newest value are summed."""
    result = undefined(len(values))
    if len(values) >= period:
        result[period - 1 :] = _column_means(windows(values, period))
    return result


def rolling_mean_deviation(values: FloatArray, period: int, *, lost: int = 0) -> tuple[FloatArray, FloatArray]:
    """`rolling_mean` and the standard deviation around it, dividing by `period - lost`; exactly 0 for a constant window."""
    mean, deviation = undefined(len(values)), undefined(len(values))
    if len(values) >= period:
        columns = windows(values, period)
        centre = _column_means(columns)
        distance = columns - centre
        mean[period - 1 :] = centre
        deviation[period - 1 :] = np.sqrt(_column_sums(distance * distance) / (period - lost))
    return mean, deviation


def windows(values: FloatArray, period: int) -> FloatArray:
    """Every window of `period` values as a column, its oldest value on top; a read-only view."""
    return np.lib.stride_tricks.sliding_window_view(values, len(values) - period + 1)


def _column_means(columns: FloatArray) -> FloatArray:
    newest: FloatArray = columns[-1]
    return newest + _column_sums(columns - newest) / len(columns)


def _column_sums(columns: FloatArray) -> FloatArray:
    # Not `sum`: NumPy chooses its order of addition by the shape of the array, hence by how many bars there are.
    totals: FloatArray = np.add.accumulate(columns, axis=0)[-1]
    return totals
