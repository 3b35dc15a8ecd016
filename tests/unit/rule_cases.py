"""Facts for the rules, as tools would give them, changed one at a time; and what every answer must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from agents.answers import Answer, reasons_of
from agents.grounding import problems
from agents.models.rules.facts import Fact, Facts
from tools.context import Evidence

INDICATORS: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "available": True,
    "last_close": 110.0,
    "ema_20": 108.0,
    "ema_50": 105.0,
    "ema_200": 100.0,
    "rsi_14": 60.0,
    "atr_14": 2.0,
    "adx_14": 30.0,
    "donchian_20_high": 112.0,
    "donchian_20_low": 95.0,
    "donchian_10_low": 99.0,
    "volatility_percentile": 50.0,
}
TICKER: dict[str, Any] = {"symbol": "BTC/USDT", "available": True, "bid": 109.9, "ask": 110.1, "last": 110.0}
VIEW: dict[str, Any] = {"symbol": "BTC/USDT", "abstain": False, "trend": "up", "confidence": 0.7}
FLAT: dict[str, Any] = {"symbol": "BTC/USDT", "held": False, "open_orders": []}

Results = Mapping[str, dict[str, Any] | None]


def facts(results: Results) -> Facts:
    """The conversation's facts; a tool whose result is None was never called."""
    items = {tool: Evidence.of(tool, {}, result) for tool, result in results.items() if result is not None}
    return Facts({tool: Fact(tool, item.id, dict(item.result)) for tool, item in items.items()})


def assert_sound(answer: Answer, given: Facts) -> None:
    """It fits its schema, and every number it states is in the evidence it cites."""
    assert type(answer).model_validate(answer.model_dump(mode="json")) == answer
    held = {fact.id: Evidence(fact.id, fact.tool, {}, fact.values) for fact in given.by_tool.values()}
    assert problems(reasons_of(answer), held) == []


def among(low: float, high: float) -> st.SearchStrategy[Any]:
    """A number of the range, or what a tool or a broken one could give in its place."""
    number = st.floats(low, high, allow_nan=False).map(lambda x: float(f"{x:.12g}"))
    return number | number | number | st.sampled_from([None, float("nan"), float("inf"), "n/a"]) | st.integers(1, 9).map(float)


PRICES, PERCENTS, FRACTIONS = among(1e-10, 1e12), among(0, 100), among(0, 1)


def unavailable(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any] | None]:
    """Values, or no values: never called, failed, or said to be unavailable."""
    return values | values | values | st.sampled_from([None, {"error": "out of reach"}, {"available": False, "why": "none"}, {}])


def indicators() -> st.SearchStrategy[dict[str, Any] | None]:
    prices = dict.fromkeys(("last_close", "ema_20", "ema_50", "ema_200", "atr_14"), PRICES)
    channels = dict.fromkeys(("donchian_20_high", "donchian_20_low", "donchian_10_low"), PRICES)
    ratios = dict.fromkeys(("rsi_14", "adx_14", "volatility_percentile"), PERCENTS)
    symbol = {"symbol": st.just("BTC/USDT"), "available": st.just(True)}
    return unavailable(st.fixed_dictionaries(symbol, optional={**prices, **channels, **ratios}))
