"""Volatility and price channels: true range, ATR, Bollinger bands, Donchian channel, realised volatility."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from trading_core.domain.errors import InvalidInput
from trading_core.indicators.series import (
    FloatArray,
    Series,
    as_prices,
    as_series,
    check_lengths,
    check_period,
    ratio,
    rolling_mean_deviation,
    smooth,
    undefined,
    windows,
)


@dataclass(frozen=True, slots=True)
class BollingerBands:
    """Bands in the unit of price; %b is 0 at the lower and 1 at the upper band; bandwidth is a fraction of the middle."""

    upper: FloatArray
    middle: FloatArray
    lower: FloatArray
    percent_b: FloatArray
    bandwidth: FloatArray


@dataclass(frozen=True, slots=True)
class Channel:
    """The highest high and the lowest low of the bars before each bar."""

    upper: FloatArray
    lower: FloatArray


def true_range(high: Series, low: Series, close: Series) -> FloatArray:
    """True range in the unit of price: max(high, previous close) - min(low, previous close) (Wilder, 1978).

    NaN at index 0, which has no previous close.
    """
    highs, lows, closes = as_series(high), as_series(low), as_series(close)
    check_lengths(highs, lows, closes)
    result = undefined(len(closes))
    result[1:] = np.maximum(highs[1:], closes[:-1]) - np.minimum(lows[1:], closes[:-1])
    return result


def atr(high: Series, low: Series, close: Series, period: int = 14) -> FloatArray:
    """Average true range in the unit of price (Wilder, New Concepts in Technical Trading Systems, 1978).

    atr[i] = atr[i-1] + (true_range[i] - atr[i-1]) / period, seeded at index `period` with the mean of the first `period`
    true ranges; NaN before. With a period of 20 it is the N of Faith, Way of the Turtle (2007).
    """
    check_period(period)
    return smooth(true_range(high, low, close), period, 1 / period, start=1)


def bollinger(close: Series, period: int = 20, width: float = 2.0) -> BollingerBands:
    """Bollinger bands, %b and bandwidth (Bollinger, Bollinger on Bollinger Bands, 2001).

    middle = mean of the last `period` closes; upper and lower = middle ± width · their population standard deviation;
    %b = (close - lower) / (upper - lower); bandwidth = (upper - lower) / middle. NaN before index `period - 1`.
    Where the bands fall together the close is on the middle one, and %b is 0.5.

    Raises:
        InvalidInput: for a width or a price that is not above zero.
    """
    check_period(period)
    if not width > 0:
        raise InvalidInput(f"a band width of {width} standard deviations is not above zero", not_done="No bands were computed")
    closes = as_prices(close)
    middle, deviation = rolling_mean_deviation(closes, period)
    reach = width * deviation
    upper, lower = middle + reach, middle - reach
    spread = upper - lower
    return BollingerBands(upper, middle, lower, ratio(closes - lower, spread, if_zero=0.5), spread / middle)


def donchian(high: Series, low: Series, period: int = 20) -> Channel:
    """Donchian channel of the `period` bars before each bar, in the unit of price.

    upper[i] = max(high[i-period : i]), lower[i] = min(low[i-period : i]): the bar itself is left out, so that a breakout is
    `close[i] > upper[i]` (the entry of Faith, Way of the Turtle, 2007: 20 in, 10 out). NaN before index `period`.
    """
    check_period(period)
    highs, lows = as_series(high), as_series(low)
    check_lengths(highs, lows)
    upper, lower = undefined(len(highs)), undefined(len(lows))
    if len(highs) > period:
        upper[period:] = windows(highs[:-1], period).max(axis=0)
        lower[period:] = windows(lows[:-1], period).min(axis=0)
    return Channel(upper, lower)


def realised_volatility(close: Series, period: int, per_year: float) -> FloatArray:
    """Annualised close-to-close volatility in percent (Hull, Options, Futures, and Other Derivatives, chapter 15).

    100 · sqrt(per_year) · sample standard deviation of the last `period` log returns. NaN before index `period`.
    A gap in the bars counts as one bar.

    Args:
        close: prices, above zero.
        period: number of returns, at least 2.
        per_year: bars in a year (`Timeframe.per_year`).

    Raises:
        InvalidInput: for a period, price or `per_year` out of range.
    """
    check_period(period, least=2)
    if not per_year > 0:
        raise InvalidInput(f"{per_year} bars in a year is not above zero", not_done="No volatility was computed")
    closes = as_prices(close)
    result = undefined(len(closes))
    if len(closes) > period:
        returns = np.diff(np.log(closes))
        _, deviation = rolling_mean_deviation(returns, period, lost=1)
        result[1:] = 100 * sqrt(per_year) * deviation
    return result
