"""The signal rules at, below and above each threshold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers import Signal
from agents.models.rules.signal import decide
from tests.unit.rule_cases import FLAT, FRACTIONS, INDICATORS, TICKER, VIEW, Results, assert_sound, facts, indicators, unavailable

HELD = {"symbol": "BTC/USDT", "held": True, "quantity": 1.0, "open_orders": []}
BREAKOUT = {"last_close": 112.5}


def signal(position: dict[str, Any] | None = FLAT, view: dict[str, Any] | None = VIEW, **changes: Any) -> Signal:
    results: Results = {
        "get_indicators": {**INDICATORS, **changes},
        "get_market_view": view,
        "get_ticker": TICKER,
        "get_position": position,
    }
    given = facts(results)
    answer = decide(given)
    assert_sound(answer, given)
    return answer


@pytest.mark.parametrize(
    ("changes", "action"),
    [
        ({"last_close": 112.0}, "hold"),
        ({"last_close": 112.01}, "enter"),
        ({**BREAKOUT, "adx_14": 20.0}, "enter"),
        ({**BREAKOUT, "adx_14": 19.9}, "hold"),
        ({**BREAKOUT, "rsi_14": 79.9}, "enter"),
        ({**BREAKOUT, "rsi_14": 80.0}, "hold"),
        ({"rsi_14": 35.0}, "enter"),
        ({"rsi_14": 35.1}, "hold"),
        ({"rsi_14": 10.0, "adx_14": 5.0}, "enter"),
        ({**BREAKOUT, "atr_14": 56.25}, "hold"),
        ({**BREAKOUT, "atr_14": 56.2}, "enter"),
        ({**BREAKOUT, "atr_14": 0.1126}, "enter"),
        ({**BREAKOUT, "atr_14": 0.1124}, "hold"),
    ],
)
def test_entries(changes: dict[str, Any], action: str) -> None:
    answer = signal(**changes)
    assert answer.action == action
    if action == "enter":
        merged = {**INDICATORS, **changes}
        assert answer.stop_price == pytest.approx(merged["last_close"] - 2 * merged["atr_14"])
        assert answer.order_type == "market"
        assert answer.conviction == VIEW["confidence"]


@pytest.mark.parametrize(("volume", "share"), [(None, 1), (0.0, 1), (-2.0, 1), (-2.01, 0.5)])
def test_a_breakout_that_volume_does_not_confirm_has_half_the_conviction(volume: float | None, share: float) -> None:
    answer = signal(**BREAKOUT, volume_z_20=volume)
    assert (answer.action, answer.conviction) == ("enter", VIEW["confidence"] * share)
    assert ("hardly any volume" in answer.reason) is (share < 1)
    assert signal(rsi_14=30.0, volume_z_20=volume).conviction == VIEW["confidence"], "a pullback needs no volume"


@pytest.mark.parametrize("trend", ["down", "sideways"])
def test_no_entry_without_an_up_trend(trend: str) -> None:
    assert signal(view={**VIEW, "trend": trend}, **BREAKOUT).action == "hold"


def test_no_second_entry_beside_a_working_one() -> None:
    working = {**FLAT, "open_orders": [{"purpose": "entry"}]}
    assert signal(working, **BREAKOUT).action == "hold"
    assert signal({**FLAT, "open_orders": [{"purpose": "stop"}]}, **BREAKOUT).action == "enter"


def test_no_second_exit_beside_a_working_one() -> None:
    fallen = {"last_close": 98.0}
    assert signal(HELD, **fallen).action == "exit"
    assert signal({**HELD, "open_orders": [{"purpose": "stop"}]}, **fallen).action == "exit"
    assert signal({**HELD, "open_orders": [{"purpose": "exit"}]}, **fallen).action == "hold"


@pytest.mark.parametrize(
    ("trend", "close", "action"),
    [("up", 98.9, "exit"), ("up", 99.0, "hold"), ("up", 99.1, "hold"), ("sideways", 99.1, "hold"), ("down", 99.1, "exit")],
)
def test_exits(trend: str, close: float, action: str) -> None:
    assert signal(HELD, {**VIEW, "trend": trend}, last_close=close).action == action


@pytest.mark.parametrize(
    "view",
    [
        None,
        {**VIEW, "abstain": True},
        {"symbol": "BTC/USDT", "abstained": True},
        {"error": "not there"},
        {"symbol": "BTC/USDT"},
        {**VIEW, "trend": None},
        {**VIEW, "confidence": None},
    ],
)
@pytest.mark.parametrize("position", [FLAT, HELD])
def test_it_abstains_without_a_view(view: dict[str, Any] | None, position: dict[str, Any]) -> None:
    assert signal(position, view, **BREAKOUT).action == "abstain"


@pytest.mark.parametrize("missing", ["last_close", "atr_14", "donchian_20_high", "rsi_14", "adx_14"])
def test_it_does_not_enter_on_missing_numbers(missing: str) -> None:
    assert signal(**{**BREAKOUT, missing: None}).action == "abstain"


def test_it_abstains_when_position_price_or_the_exit_level_is_unknown() -> None:
    assert signal(None).action == "abstain"
    assert signal({"error": "no price"}).action == "abstain"
    assert signal(HELD, donchian_10_low=None).action == "abstain"
    assert signal(HELD, {**VIEW, "trend": "down"}, donchian_10_low=None).action == "exit"
    assert signal(available=False).action == "abstain"


positions = st.sampled_from([FLAT, HELD, {**FLAT, "open_orders": [{"purpose": "entry"}]}, {**HELD, "held": None}])
views = st.fixed_dictionaries(
    {},
    optional={
        "trend": st.sampled_from(["up", "up", "down", "sideways", None]),
        "confidence": FRACTIONS,
        "abstain": st.booleans(),
    },
)


@given(indicators(), unavailable(views), unavailable(st.just(TICKER)), unavailable(positions))
def test_every_answer_is_sound(found: Any, view: Any, ticker: Any, position: Any) -> None:
    given = facts({"get_indicators": found, "get_market_view": view, "get_ticker": ticker, "get_position": position})
    answer = decide(given)
    assert_sound(answer, given)
    if answer.action == "enter":
        close = given.get("get_indicators").number("last_close")
        assert answer.stop_price is not None
        assert close is not None
        assert 0 < answer.stop_price <= close
        assert position["held"] is False
    if not all(given.get(tool).available for tool in ("get_indicators", "get_ticker", "get_position")):
        assert answer.abstained
