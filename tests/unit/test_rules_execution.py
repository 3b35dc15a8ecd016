"""The execution rules at, below and above each threshold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.rules.execution import decide
from tests.unit.rule_cases import PERCENTS, among, assert_sound, facts, unavailable


@pytest.mark.parametrize(
    ("side", "spread", "share", "style"),
    [
        ("buy", 20.0, 0.10, "now"),
        ("buy", 20.1, 0.10, "passive"),
        ("buy", 20.0, 0.101, "skip"),
        ("buy", 90.0, 0.101, "skip"),
        ("buy", None, 0.01, "skip"),
        ("buy", 1.0, None, "skip"),
        ("buy", float("nan"), 0.01, "skip"),
        ("sell", 900.0, 5.0, "now"),
        ("sell", None, None, "now"),
    ],
)
def test_styles(side: str, spread: float | None, share: float | None, style: str) -> None:
    row = {"symbol": "BTC/USDT", "side": side, "spread_bps": spread, "share_of_bar_volume": share}
    given = facts({"get_approved_orders": {"orders": [row]}})
    answer = decide(given)
    assert_sound(answer, given)
    assert [(choice.symbol, choice.style) for choice in answer.orders] == [("BTC/USDT", style)]


@pytest.mark.parametrize("broken", [None, {"error": "out of reach"}, {"available": False}])
def test_it_abstains_when_the_orders_cannot_be_read(broken: dict[str, Any] | None) -> None:
    answer = decide(facts({"get_approved_orders": broken}))
    assert answer.abstain
    assert answer.orders == []


orders = st.lists(
    st.fixed_dictionaries(
        {"symbol": st.sampled_from(["BTC/USDT", "1INCH/USDT"])},
        optional={"side": st.sampled_from(["buy", "sell"]), "spread_bps": PERCENTS, "share_of_bar_volume": among(0, 1)},
    ),
    max_size=5,
)


@given(unavailable(st.fixed_dictionaries({"orders": orders})))
def test_every_answer_is_sound(approved: Any) -> None:
    given = facts({"get_approved_orders": approved})
    answer = decide(given)
    assert_sound(answer, given)
    if given.get("get_approved_orders").available:
        assert [choice.symbol for choice in answer.orders] == list(
            dict.fromkeys(row["symbol"] for row in approved.get("orders", []))
        ), "each symbol once"
