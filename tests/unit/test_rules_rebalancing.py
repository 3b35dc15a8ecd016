"""The rebalancing rules: equal risk, the least change, the cap."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers import RebalancePlan
from agents.models.rules.rebalancing import decide
from tests.unit.rule_cases import PERCENTS, assert_sound, facts, unavailable


def plan(*rows: tuple[str, float | None, float | None], cap: str = "1") -> RebalancePlan:
    held = [{"symbol": symbol, "weight": weight, "volatility": volatility} for symbol, weight, volatility in rows]
    given = facts({"get_volatilities": {"held": held}, "get_limits": {"limits": {"max_position": cap}}})
    answer = decide(given)
    assert_sound(answer, given)
    return answer


def targets(answer: RebalancePlan) -> dict[str, float]:
    return {target.symbol: target.weight for target in answer.targets}


def test_weights_go_against_volatility_and_the_share_invested_stays() -> None:
    answer = plan(("BTC/USDT", 0.3, 40.0), ("ETH/USDT", 0.3, 80.0))
    assert targets(answer) == {"BTC/USDT": 0.4, "ETH/USDT": 0.2}
    assert answer.turnover == 0.1


@pytest.mark.parametrize(("one", "other", "changes"), [(0.349, 0.251, False), (0.351, 0.249, True)])
def test_small_drifts_are_left_alone(one: float, other: float, changes: bool) -> None:
    assert bool(plan(("BTC/USDT", one, 50.0), ("ETH/USDT", other, 50.0)).targets) is changes


def test_no_target_passes_the_cap() -> None:
    assert targets(plan(("BTC/USDT", 0.6, 50.0), cap="0.25")) == {"BTC/USDT": 0.25}


@pytest.mark.parametrize(("cap", "bought"), [("0.5", False), ("0.51", True)])
def test_what_has_outgrown_its_limit_comes_down_before_anything_is_bought(cap: str, bought: bool) -> None:
    changes = targets(plan(("BTC/USDT", 0.51, 50.0), ("ETH/USDT", 0.1, 50.0), cap=cap))
    assert changes["BTC/USDT"] == 0.305
    assert ("ETH/USDT" in changes) is bought


@pytest.mark.parametrize(("weight", "volatility"), [(None, 50.0), (0.2, None), (0.2, 0.0), (0.2, float("nan"))])
def test_it_abstains_when_a_number_is_missing(weight: float | None, volatility: float | None) -> None:
    assert plan(("BTC/USDT", weight, volatility), ("ETH/USDT", 0.3, 80.0)).abstain


def test_it_abstains_without_holdings_or_limits() -> None:
    assert plan().abstain
    held = {"held": [{"symbol": "BTC/USDT", "weight": 0.6, "volatility": 50.0}]}
    assert decide(facts({"get_volatilities": held})).abstain
    assert decide(facts({"get_limits": {"limits": {}}})).abstain


def test_a_long_list_of_changes_fits_its_reason() -> None:
    answer = plan(*((f"{n:02}{'LONG' * 6}/USDT"[:30], 0.125 if n % 2 else 0.0, 50.0) for n in range(16)))
    assert len(answer.targets) == 16
    assert answer.turnover == 0.5


holdings = st.lists(
    st.fixed_dictionaries(
        {"symbol": st.sampled_from([f"{n}COIN/USDT" for n in range(20)])},
        optional={"weight": st.floats(0, 0.05) | st.none(), "volatility": PERCENTS},
    ),
    max_size=20,
    unique_by=lambda row: row["symbol"],
)


@given(unavailable(st.fixed_dictionaries({"held": holdings})), unavailable(st.just({"limits": {"max_position": "0.25"}})))
def test_every_answer_is_sound(held: Any, limits: Any) -> None:
    given = facts({"get_volatilities": held, "get_limits": limits})
    assert_sound(decide(given), given)
