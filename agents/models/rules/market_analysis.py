"""Trend by moving averages, regime by ADX (Wilder 1978) and volatility rank, levels by Donchian channels."""

from __future__ import annotations

from typing import Literal

from agents.answers import MarketView
from agents.models.rules.facts import Fact, Facts, finite

STRONG_TREND = 25.0  # ADX; Wilder
EXTREME_VOLATILITY, QUIET_VOLATILITY = 90.0, 20.0  # percentile
FURTHEST_IN_ATR = 10.0  # of the price from the last close: beyond it one of the two is wrong


def decide(facts: Facts) -> MarketView:
    indicators, ticker = facts.get("get_indicators"), facts.get("get_ticker")
    close, fast, slow = (indicators.number(name) for name in ("last_close", "ema_50", "ema_200"))
    adx = indicators.number("adx_14")
    if not (indicators.available and ticker.available) or close is None or fast is None or adx is None:
        return _abstain("Too few closed bars, or no price: EMA 50 and ADX 14 are needed for a view.")
    last, atr = ticker.number("last"), indicators.number("atr_14")
    if last is not None and atr is not None and abs(last - close) > FURTHEST_IN_ATR * atr:
        return _abstain(
            f"Price and bars contradict each other: {ticker.say('last price', 'last')} against "
            f"{indicators.say('close', 'last_close')} and {indicators.say('ATR(14)', 'atr_14')}."
        )
    slow_name = "ema_200" if slow is not None else "ema_50"
    if slow is None:
        fast, slow = indicators.number("ema_20"), fast
    if fast is None or slow is None:
        return _abstain("EMA 20 and EMA 50 are needed for a view.")
    fast_name = "ema_50" if slow_name == "ema_200" else "ema_20"
    trend, word = _trend(close, fast, slow)
    label = {"ema_20": "EMA 20", "ema_50": "EMA 50", "ema_200": "EMA 200"}
    percentile = indicators.number("volatility_percentile")
    reason = (
        f"Trend {trend}: {indicators.say('close', 'last_close')} {word} {indicators.say(label[fast_name], fast_name)} "
        f"and {indicators.say(label[slow_name], slow_name)}. "
        f"{indicators.say('ADX(14)', 'adx_14')} reads as {'a trend' if adx >= STRONG_TREND else 'no strong trend'}"
        + (f", {indicators.say('volatility percentile', 'volatility_percentile')}" if percentile is not None else "")
        + "."
    )
    sentiment, onchain = _channel(facts.get("get_sentiment")), _channel(facts.get("get_onchain"))
    if "unavailable" in (sentiment, onchain):
        reason += " Sentiment or on-chain readings are not available."
    return MarketView(
        abstain=False,
        trend=trend,
        regime=_regime(adx, percentile),
        sentiment=sentiment,
        onchain=onchain,
        support=_below(indicators.number("donchian_20_low"), close),
        resistance=_above(indicators.number("donchian_20_high"), close),
        confidence=_confidence(trend, adx, percentile, slow_name == "ema_200"),
        reason=reason,
    )


def _trend(close: float, fast: float, slow: float) -> tuple[Literal["up", "down", "sideways"], str]:
    if close > fast > slow:
        return "up", "above"
    if close < fast < slow:
        return "down", "below"
    return "sideways", "not in order with"


def _regime(adx: float, percentile: float | None) -> Literal["trending", "ranging", "volatile", "quiet"]:
    if percentile is not None and percentile >= EXTREME_VOLATILITY:
        return "volatile"
    if adx >= STRONG_TREND:
        return "trending"
    if percentile is not None and percentile <= QUIET_VOLATILITY:
        return "quiet"
    return "ranging"


def _confidence(trend: str, adx: float, percentile: float | None, long_history: bool) -> float:
    """0.5 at ADX 20, one point more for each 50 of ADX, less in extremes; a ruler, not a probability learned from data."""
    value = 0.5 + (adx - 20) / 50 if trend != "sideways" else 0.4
    if percentile is not None and percentile >= EXTREME_VOLATILITY:
        value -= 0.1
    if not long_history:
        value -= 0.1
    return round(min(max(value, 0.1), 0.8), 2)


def _channel(fact: Fact) -> Literal["positive", "negative", "neutral", "unavailable"]:
    """The mean of readings that are scaled to −1..1; anything else says nothing about direction."""
    readings = fact.values.get("readings", []) if fact.available else []
    scores = [score for r in readings if r.get("unit") == "score" and (score := finite(r.get("value"))) is not None]
    if not scores:
        return "unavailable"
    mean = sum(scores) / len(scores)
    return "positive" if mean > 0.1 else "negative" if mean < -0.1 else "neutral"


def _below(level: float | None, close: float) -> float | None:
    return level if level is not None and 0 < level < close else None


def _above(level: float | None, close: float) -> float | None:
    return level if level is not None and level > max(close, 0) else None


def _abstain(reason: str) -> MarketView:
    return MarketView(
        abstain=True,
        trend="sideways",
        regime="quiet",
        sentiment="unavailable",
        onchain="unavailable",
        support=None,
        resistance=None,
        confidence=0.0,
        reason=reason,
    )
