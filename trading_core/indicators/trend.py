"""Trend: moving averages, MACD and directional movement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading_core.domain.errors import InvalidInput
from trading_core.indicators.series import FloatArray, Series, as_series, check_lengths, check_period, ratio, rolling_mean, smooth
from trading_core.indicators.volatility import true_range


@dataclass(frozen=True, slots=True)
class Macd:
    """MACD in the unit of its input: line, signal and their difference."""

    line: FloatArray
    signal: FloatArray
    histogram: FloatArray


@dataclass(frozen=True, slots=True)
class DirectionalMovement:
    """ADX, +DI and −DI, each 0 to 100."""

    adx: FloatArray
    plus_di: FloatArray
    minus_di: FloatArray


def sma(values: Series, period: int) -> FloatArray:
    """Simple moving average: the mean of the last `period` values, in their unit. NaN before index `period - 1`."""
    check_period(period)
    return rolling_mean(as_series(values), period)


def ema(values: Series, period: int) -> FloatArray:
    """Exponential moving average, in the unit of `values`.

    ema[i] = ema[i-1] + 2/(period+1) · (x[i] - ema[i-1]), seeded at index `period - 1` with the simple mean; NaN before.
    The smoothing constant is that of Appel, Technical Analysis: Power Tools for Active Investors (2005).
    """
    check_period(period)
    return smooth(as_series(values), period, 2 / (period + 1))


def macd(close: Series, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence divergence (Appel, 1979), in the unit of `close`.

    line = ema(close, fast) - ema(close, slow); signal = exponential average of the line; histogram = line - signal
    (Aspray, 1986). Each average is seeded with the simple mean of its own first bars. The line is NaN before index
    `slow - 1`, signal and histogram before `slow + signal - 2`.

    Raises:
        InvalidInput: when `fast` is not below `slow`.
    """
    check_period(fast)
    check_period(signal)
    if fast >= slow:
        raise InvalidInput(f"the fast period {fast} is not below the slow period {slow}", not_done="No MACD was computed")
    closes = as_series(close)
    line = ema(closes, fast) - ema(closes, slow)
    average = smooth(line, signal, 2 / (signal + 1), start=slow - 1)
    return Macd(line, average, line - average)


def adx(high: Series, low: Series, close: Series, period: int = 14) -> DirectionalMovement:
    """Average directional index with +DI and −DI, 0 to 100 (Wilder, New Concepts in Technical Trading Systems, 1978).

    +DM is the rise of the high when it exceeds the fall of the low, else 0; −DM the mirror image.
    ±DI = 100 · wilder(±DM) / wilder(true range); DX = 100 · |+DI − −DI| / (+DI + −DI); ADX = wilder(DX).
    The DIs are NaN before index `period`, ADX before `2·period - 1`. A market that does not move has DIs and DX of 0.
    """
    check_period(period)
    highs, lows = as_series(high), as_series(low)
    ranges = true_range(highs, lows, close)
    check_lengths(highs, lows, ranges)
    rise = np.diff(highs, prepend=highs[:1])
    fall = -np.diff(lows, prepend=lows[:1])
    plus_dm = np.where((rise > fall) & (rise > 0), rise, 0.0)
    minus_dm = np.where((fall > rise) & (fall > 0), fall, 0.0)

    # Index 0 has no bar before it, hence no movement: smoothing starts at 1.
    average_range = smooth(ranges, period, 1 / period, start=1)
    plus_di = 100 * ratio(smooth(plus_dm, period, 1 / period, start=1), average_range, if_zero=0.0)
    minus_di = 100 * ratio(smooth(minus_dm, period, 1 / period, start=1), average_range, if_zero=0.0)
    dx = 100 * ratio(np.abs(plus_di - minus_di), plus_di + minus_di, if_zero=0.0)
    return DirectionalMovement(smooth(dx, period, 1 / period, start=period), plus_di, minus_di)
