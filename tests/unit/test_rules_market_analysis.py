"""The market analysis rules at, below and above each threshold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.answers import MarketView
from agents.models.rules.market_analysis import decide
from tests.unit.rule_cases import INDICATORS, PERCENTS, TICKER, assert_sound, facts, indicators, unavailable


def view(sentiment: list[dict[str, Any]] | None = None, ticker: dict[str, Any] | None = TICKER, **changes: Any) -> MarketView:
    mood = {"available": True, "readings": sentiment} if sentiment is not None else None
    given = facts({"get_indicators": {**INDICATORS, **changes}, "get_ticker": ticker, "get_sentiment": mood})
    answer = decide(given)
    assert_sound(answer, given)
    return answer


@pytest.mark.parametrize(
    ("close", "fast", "slow", "trend"),
    [
        (110, 105, 100, "up"),
        (90, 95, 100, "down"),
        (105, 105, 100, "sideways"),
        (110, 100, 100, "sideways"),
        (102, 105, 100, "sideways"),
    ],
)
def test_the_trend_is_the_order_of_price_and_averages(close: float, fast: float, slow: float, trend: str) -> None:
    assert view(last_close=close, ema_50=fast, ema_200=slow).trend == trend


@pytest.mark.parametrize(
    ("adx", "percentile", "regime"),
    [
        (24.9, 50, "ranging"),
        (25, 50, "trending"),
        (25, 89.9, "trending"),
        (25, 90, "volatile"),
        (24.9, 20, "quiet"),
        (24.9, 20.1, "ranging"),
        (25, 20, "trending"),
        (30, None, "trending"),
        (10, None, "ranging"),
    ],
)
def test_the_regime(adx: float, percentile: float | None, regime: str) -> None:
    assert view(adx_14=adx, volatility_percentile=percentile).regime == regime


@pytest.mark.parametrize(
    ("changes", "confidence"),
    [
        ({"adx_14": 20.0}, 0.5),
        ({"adx_14": 30.0}, 0.7),
        ({"adx_14": 80.0}, 0.8),
        ({"adx_14": 0.0}, 0.1),
        ({"adx_14": 30.0, "volatility_percentile": 90.0}, 0.6),
        ({"adx_14": 30.0, "ema_200": None}, 0.6),
        ({"adx_14": 30.0, "last_close": 101.0}, 0.4),
    ],
)
def test_confidence_grows_with_adx_within_bounds(changes: dict[str, Any], confidence: float) -> None:
    assert view(**changes).confidence == confidence


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.11], "positive"),
        ([0.1], "neutral"),
        ([-0.1], "neutral"),
        ([-0.11], "negative"),
        ([0.5, -0.5], "neutral"),
        ([], "unavailable"),
    ],
)
def test_sentiment_is_the_mean_of_scores(values: list[float], says: str) -> None:
    answer = view([{"unit": "score", "value": value} for value in values])
    assert answer.sentiment == says
    assert answer.onchain == "unavailable"


def test_readings_in_other_units_say_nothing_of_direction() -> None:
    assert view([{"unit": "count", "value": 900}, {"unit": "score", "value": None}]).sentiment == "unavailable"


def test_levels_lie_on_their_side_of_the_price() -> None:
    inside = view()
    assert (inside.support, inside.resistance) == (95.0, 112.0)
    broken = view(donchian_20_low=110.0, donchian_20_high=110.0)
    assert (broken.support, broken.resistance) == (None, None)


@pytest.mark.parametrize("missing", ["last_close", "ema_50", "adx_14"])
def test_it_abstains_without_what_it_needs(missing: str) -> None:
    assert view(**{missing: None}).abstain


def test_it_abstains_without_a_price_or_indicators() -> None:
    assert view(ticker=None).abstain
    assert view(ticker={"symbol": "BTC/USDT", "available": False}).abstain
    assert view(available=False).abstain
    assert view(ema_200=None, ema_20=None).abstain


readings = st.lists(
    st.fixed_dictionaries({}, optional={"unit": st.sampled_from(["score", "count"]), "value": PERCENTS}), max_size=4
)


SMALLEST = {**INDICATORS, "adx_14": 5e-324, "volatility_percentile": 5e-324}


@example(SMALLEST, TICKER, None)
@given(indicators(), unavailable(st.just(TICKER)), unavailable(st.fixed_dictionaries({"readings": readings})))
def test_every_answer_is_sound(found: Any, ticker: Any, channel: Any) -> None:
    given = facts({"get_indicators": found, "get_ticker": ticker, "get_sentiment": channel, "get_onchain": channel})
    answer = decide(given)
    assert_sound(answer, given)
    if not given.get("get_indicators").available or not given.get("get_ticker").available:
        assert answer.abstain


@pytest.mark.parametrize(("last", "abstains"), [(130.0, False), (130.1, True), (90.0, False), (89.9, True)])
def test_it_abstains_when_price_and_bars_contradict_each_other(last: float, abstains: bool) -> None:
    assert view(ticker={**TICKER, "last": last}).abstain is abstains
