"""Momentum: relative strength, rate of change and drawdown."""

from __future__ import annotations

import numpy as np

from trading_core.indicators.series import (
    FloatArray,
    Series,
    as_prices,
    as_series,
    check_lengths,
    check_period,
    ratio,
    smooth,
    undefined,
)


def rsi(close: Series, period: int = 14) -> FloatArray:
    """Relative strength index, 0 to 100 (Wilder, New Concepts in Technical Trading Systems, 1978).

    100 · gain / (gain + loss), which is Wilder's 100 - 100 / (1 + gain/loss): gain and loss are Wilder averages of the
    rises and falls from bar to bar, seeded with the mean of the first `period`. NaN before index `period`.
    While nothing has moved at all there is no ratio to take, and the value is 50: neither side is stronger.
    """
    check_period(period)
    change = np.diff(as_series(close), prepend=np.nan)
    gain = smooth(np.maximum(change, 0.0), period, 1 / period, start=1)
    loss = smooth(np.maximum(-change, 0.0), period, 1 / period, start=1)
    return 100 * ratio(gain, gain + loss, if_zero=0.5)


def rate_of_change(close: Series, period: int) -> FloatArray:
    """Change over `period` bars in percent: 100 · (close[i] / close[i-period] - 1). NaN before index `period`.

    Raises:
        InvalidInput: for a price that is not above zero.
    """
    check_period(period)
    closes = as_prices(close)
    result = undefined(len(closes))
    result[period:] = 100 * (closes[period:] / closes[:-period] - 1)
    return result


def drawdown(values: Series, highs: Series | None = None) -> FloatArray:
    """How far each value lies below the highest so far, in percent: 0 at the top, 12.5 for an eighth below it.

    Args:
        values: closes or equity, above zero.
        highs: where the tops are taken from, such as bar highs; `values` themselves by default.

    Raises:
        InvalidInput: for a value that is not above zero.
    """
    levels = as_prices(values)
    tops = levels if highs is None else as_prices(highs)
    check_lengths(levels, tops)
    peaks = np.maximum.accumulate(np.maximum(levels, tops))
    return 100 * (1 - levels / peaks)
