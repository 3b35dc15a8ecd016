"""The facts about a symbol's bars that agents read: the last value of each indicator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from trading_core.domain.market import Bar
from trading_core.indicators.momentum import drawdown, rate_of_change, rsi
from trading_core.indicators.series import BarColumns, FloatArray
from trading_core.indicators.trend import adx, ema, macd
from trading_core.indicators.volatility import atr, bollinger, donchian, realised_volatility
from trading_core.indicators.volume import zscore

_PRICE_DIGITS = 8  # keeps the tick of a six-figure price
_RATIO_DIGITS = 6
_LEAST_HISTORY = 20  # earlier volatilities below which a rank among them says nothing


@dataclass(frozen=True, slots=True)
class IndicatorSummary:
    """Indicators at the last bar; None while one is still warming up.

    Prices (closes, averages, ATR, MACD, bands, channels) are quote per base at 8 significant digits, everything else is at 6.
    Names ending in `percent` or `percentile`, and volatility, are in percent.

    Attributes:
        bars: how many bars the summary was made from.
        atr_percent: ATR as a percentage of the last close.
        bollinger_percent_b: 0 at the lower band, 1 at the upper band; below or above when the close is outside them.
        bollinger_bandwidth: distance of the bands as a fraction of the middle.
        donchian_20_high: highest high of the 20 bars before the last; a close above it is a breakout.
        realised_volatility_20: annualised, from the last 20 log returns.
        volatility_percentile: share of the earlier 20-bar volatilities in the window that lie below the present one.
        volume_z_20: standard deviations by which the last volume differs from its 20-bar mean.
        change_5_percent: change of the close over 5 bars.
        drawdown_percent: how far the last close lies below the highest high of the window, 0 or more.
    """

    bars: int
    last_close: float
    ema_20: float | None
    ema_50: float | None
    ema_200: float | None
    rsi_14: float | None
    atr_14: float | None
    atr_percent: float | None
    adx_14: float | None
    plus_di_14: float | None
    minus_di_14: float | None
    macd_line: float | None
    macd_signal: float | None
    macd_histogram: float | None
    bollinger_upper: float | None
    bollinger_middle: float | None
    bollinger_lower: float | None
    bollinger_percent_b: float | None
    bollinger_bandwidth: float | None
    donchian_20_high: float | None
    donchian_20_low: float | None
    donchian_10_low: float | None
    realised_volatility_20: float | None
    volatility_percentile: float | None
    volume_z_20: float | None
    change_1_percent: float | None
    change_5_percent: float | None
    change_20_percent: float | None
    drawdown_percent: float | None


def summarise(bars: Sequence[Bar], per_year: float) -> IndicatorSummary | None:
    """The indicators at the last of `bars`.

    Args:
        bars: closed bars of one symbol and timeframe, oldest first. Gaps are not filled: each bar counts as one.
        per_year: bars in a year (`Timeframe.per_year`), to annualise volatility.

    Returns:
        The summary, or None for fewer than two bars.

    Raises:
        InvalidInput: for bars out of order or a price that is not finite and above zero.
    """
    if len(bars) < 2:
        return None
    columns = BarColumns.of(bars)
    high, low, close = columns.high, columns.low, columns.close
    average_range = atr(high, low, close, 14)
    movement = adx(high, low, close, 14)
    convergence = macd(close, 12, 26, 9)
    bands = bollinger(close, 20)
    channel_20, channel_10 = donchian(high, low, 20), donchian(high, low, 10)
    volatility = realised_volatility(close, 20, per_year)
    return IndicatorSummary(
        bars=len(bars),
        last_close=_significant(float(close[-1]), _PRICE_DIGITS),
        ema_20=_price(ema(close, 20)),
        ema_50=_price(ema(close, 50)),
        ema_200=_price(ema(close, 200)),
        rsi_14=_ratio(rsi(close, 14)),
        atr_14=_price(average_range),
        atr_percent=_ratio(100 * average_range / close),
        adx_14=_ratio(movement.adx),
        plus_di_14=_ratio(movement.plus_di),
        minus_di_14=_ratio(movement.minus_di),
        macd_line=_price(convergence.line),
        macd_signal=_price(convergence.signal),
        macd_histogram=_price(convergence.histogram),
        bollinger_upper=_price(bands.upper),
        bollinger_middle=_price(bands.middle),
        bollinger_lower=_price(bands.lower),
        bollinger_percent_b=_ratio(bands.percent_b),
        bollinger_bandwidth=_ratio(bands.bandwidth),
        donchian_20_high=_price(channel_20.upper),
        donchian_20_low=_price(channel_20.lower),
        donchian_10_low=_price(channel_10.lower),
        realised_volatility_20=_ratio(volatility),
        volatility_percentile=_last_percentile(volatility),
        volume_z_20=_ratio(zscore(columns.volume, 20)),
        change_1_percent=_ratio(rate_of_change(close, 1)),
        change_5_percent=_ratio(rate_of_change(close, 5)),
        change_20_percent=_ratio(rate_of_change(close, 20)),
        drawdown_percent=_ratio(drawdown(close, high)),
    )


def _last_percentile(values: FloatArray) -> float | None:
    """Percentage of the earlier values that lie below the last one, ties counted half; None when they are too few."""
    defined = values[~np.isnan(values)]
    if len(defined) <= _LEAST_HISTORY:
        return None
    earlier, last = defined[:-1], defined[-1]
    below = np.count_nonzero(earlier < last) + np.count_nonzero(earlier == last) / 2
    return _significant(100 * below / len(earlier), _RATIO_DIGITS)


def _price(series: FloatArray) -> float | None:
    return _last(series, _PRICE_DIGITS)


def _ratio(series: FloatArray) -> float | None:
    return _last(series, _RATIO_DIGITS)


def _last(series: FloatArray, digits: int) -> float | None:
    value = float(series[-1])
    return None if isnan(value) else _significant(value, digits)


def _significant(value: float, digits: int) -> float:
    """`value` at so many significant digits; a negative zero loses its sign."""
    return float(f"{value:.{digits}g}") + 0.0
