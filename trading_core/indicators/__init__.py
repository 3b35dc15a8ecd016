"""Technical indicators over NumPy float64 series, oldest first.

They inform decisions and never book money, which is why they are floats. Each value depends only on the bars up to its own
index; until an indicator has seen enough bars it is NaN.
"""

from trading_core.indicators.correlation import correlation_matrix, correlations
from trading_core.indicators.momentum import drawdown, rate_of_change, rsi
from trading_core.indicators.series import BarColumns, FloatArray, Series
from trading_core.indicators.summary import IndicatorSummary, summarise
from trading_core.indicators.trend import DirectionalMovement, Macd, adx, ema, macd, sma
from trading_core.indicators.volatility import (
    BollingerBands,
    Channel,
    atr,
    bollinger,
    donchian,
    realised_volatility,
    true_range,
)
from trading_core.indicators.volume import obv, zscore

__all__ = [
    "BarColumns",
    "BollingerBands",
    "Channel",
    "DirectionalMovement",
    "FloatArray",
    "IndicatorSummary",
    "Macd",
    "Series",
    "adx",
    "atr",
    "bollinger",
    "correlation_matrix",
    "correlations",
    "donchian",
    "drawdown",
    "ema",
    "macd",
    "obv",
    "rate_of_change",
    "realised_volatility",
    "rsi",
    "sma",
    "summarise",
    "true_range",
    "zscore",
]
