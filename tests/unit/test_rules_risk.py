"""The risk rules at, below and above each threshold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers import RiskPlan
from agents.models.rules.risk import decide
from tests.unit.rule_cases import FRACTIONS, PRICES, among, assert_sound, facts, unavailable

PORTFOLIO = {"equity": 1000.0, "drawdown": 0.0, "trading_state": "active", "holdings": []}
LIMITS = {"limits": {"risk_per_trade": "0.02", "drawdown": "0.09"}}


def enter(symbol: str = "BTC/USDT", conviction: float | None = 0.7) -> dict[str, Any]:
    return {"symbol": symbol, "action": "enter", "conviction": conviction}


def leave(symbol: str = "BTC/USDT") -> dict[str, Any]:
    return {"symbol": symbol, "action": "exit", "conviction": 0.7}


def plan(
    *signals: dict[str, Any],
    portfolio: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = LIMITS,
    pairs: dict[str, float] | None = None,
    rebalancing: tuple[str, ...] = (),
) -> RiskPlan:
    moves = [{"symbol": symbol, "from_weight": 0.2, "to_weight": 0.1} for symbol in rebalancing]
    given = facts(
        {
            "get_proposals": {"signals": list(signals), "rebalancing": moves},
            "get_portfolio": {**PORTFOLIO, **(portfolio or {})},
            "get_limits": limits,
            "get_correlations": {"pairs": pairs or {}},
        }
    )
    answer = decide(given)
    assert_sound(answer, given)
    return answer


def sizes(answer: RiskPlan) -> dict[str, float | str]:
    return {v.symbol: v.risk_fraction if v.verdict == "take" else "veto" for v in answer.verdicts}


@pytest.mark.parametrize(
    ("conviction", "drawdown", "size"),
    [
        (0.5, 0.0, 0.01),
        (0.49, 0.0, 0.005),
        (None, 0.0, 0.005),
        (0.7, 0.03, 0.01),
        (0.7, 0.0301, 0.005),
        (0.7, 0.06, 0.005),
        (0.7, 0.0601, 0.0025),
    ],
)
def test_the_size_of_an_entry(conviction: float | None, drawdown: float, size: float | str) -> None:
    assert sizes(plan(enter(conviction=conviction), portfolio={"drawdown": drawdown})) == {"BTC/USDT": size}


def test_the_limit_binds_below_the_ordinary_size() -> None:
    assert sizes(plan(enter(), limits={"limits": {"risk_per_trade": "0.004", "drawdown": "0.09"}})) == {"BTC/USDT": 0.004}


@pytest.mark.parametrize("state", ["reducing", "halted", None])
def test_only_exits_when_not_active(state: str | None) -> None:
    answer = plan(enter(), leave("ETH/USDT"), portfolio={"trading_state": state})
    assert sizes(answer) == {"ETH/USDT": 0.0, "BTC/USDT": "veto"}


@pytest.mark.parametrize(("state", "down", "up"), [("active", 0.0, 0.0), ("reducing", 0.0, "veto"), ("halted", "veto", "veto")])
def test_rebalancing_follows_the_trading_state(state: str, down: float | str, up: float | str) -> None:
    given = facts(
        {
            "get_proposals": {
                "signals": [],
                "rebalancing": [
                    {"symbol": "BTC/USDT", "from_weight": 0.3, "to_weight": 0.2},
                    {"symbol": "ETH/USDT", "from_weight": 0.1, "to_weight": 0.2},
                ],
            },
            "get_portfolio": {**PORTFOLIO, "trading_state": state},
            "get_limits": LIMITS,
            "get_correlations": {"pairs": {}},
        }
    )
    assert sizes(decide(given)) == {"BTC/USDT": down, "ETH/USDT": up}


@pytest.mark.parametrize(
    ("portfolio", "limits", "size"),
    [
        ({"holdings": [{"symbol": "ETH/USDT"}]}, {"max_positions": "1"}, "veto"),
        ({"holdings": [{"symbol": "ETH/USDT"}]}, {"max_positions": "2"}, 0.01),
        ({"cash_weight": 0.05}, {"cash_reserve": "0.05"}, "veto"),
        ({"cash_weight": 0.051}, {"cash_reserve": "0.05"}, 0.01),
        ({"holdings": [{"symbol": "ETH/USDT", "weight": 0.8}]}, {"max_exposure": "0.8"}, "veto"),
        ({"holdings": [{"symbol": "ETH/USDT", "weight": 0.79}]}, {"max_exposure": "0.8"}, 0.01),
    ],
)
def test_no_entry_where_there_is_no_room(portfolio: dict[str, Any], limits: dict[str, str], size: float | str) -> None:
    answer = plan(
        enter(), portfolio=portfolio, limits={"limits": {**LIMITS["limits"], **limits}}, pairs={"BTC/USDT~ETH/USDT": 0.0}
    )
    assert sizes(answer) == {"BTC/USDT": size}


def test_the_last_free_position_goes_to_the_stronger_conviction() -> None:
    one = {"limits": {**LIMITS["limits"], "max_positions": "1"}}
    answer = plan(enter("ETH/USDT", 0.6), enter("BTC/USDT", 0.7), limits=one, pairs={"BTC/USDT~ETH/USDT": 0.0})
    assert sizes(answer) == {"BTC/USDT": 0.01, "ETH/USDT": "veto"}


@pytest.mark.parametrize(("correlation", "second"), [(0.8, 0.01), (0.81, "veto"), (None, "veto")])
def test_correlated_entries_are_one_bet(correlation: float | None, second: float | str) -> None:
    pairs = {} if correlation is None else {"BTC/USDT~ETH/USDT": correlation}
    answer = plan(enter("BTC/USDT", 0.8), enter("ETH/USDT", 0.7), pairs=pairs)
    assert sizes(answer) == {"BTC/USDT": 0.01, "ETH/USDT": second}
    assert answer.verdicts[0].symbol == "BTC/USDT", "the stronger conviction comes first"


def test_a_correlated_holding_takes_its_share_of_the_bet() -> None:
    holding = {"holdings": [{"symbol": "ETH/USDT"}]}
    assert sizes(plan(enter(), portfolio=holding, pairs={"BTC/USDT~ETH/USDT": 0.9})) == {"BTC/USDT": 0.005}
    assert sizes(plan(enter(), portfolio=holding, pairs={"BTC/USDT~ETH/USDT": 0.1})) == {"BTC/USDT": 0.01}


def test_rebalancing_is_taken_unless_the_symbol_is_traded() -> None:
    answer = plan(leave(), rebalancing=("BTC/USDT", "ETH/USDT"))
    assert sizes(answer) == {"BTC/USDT": 0.0, "ETH/USDT": 0.0}
    assert [v.symbol for v in answer.verdicts] == ["BTC/USDT", "ETH/USDT"]


@pytest.mark.parametrize("unknown", ["equity", "drawdown"])
def test_an_unknown_account_is_not_a_sound_one(unknown: str) -> None:
    assert plan(enter(), portfolio={unknown: None}).abstain


def test_it_abstains_when_something_cannot_be_read() -> None:
    full = {"get_proposals": {"signals": []}, "get_portfolio": PORTFOLIO, "get_limits": LIMITS}
    assert not decide(facts(full)).abstain
    for missing in full:
        for broken in (None, {"error": "out of reach"}):
            assert decide(facts({**full, missing: broken})).abstain


symbols = st.sampled_from([f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "1INCH")])
rows = st.lists(
    st.fixed_dictionaries(
        {"symbol": symbols, "action": st.sampled_from(["enter", "enter", "exit"])}, optional={"conviction": FRACTIONS}
    ),
    max_size=4,
    unique_by=lambda row: row["symbol"],
)
accounts = st.fixed_dictionaries(
    {},
    optional={
        "equity": PRICES,
        "drawdown": FRACTIONS,
        "trading_state": st.sampled_from(["active", "active", "halted", None]),
        "holdings": st.lists(st.fixed_dictionaries({"symbol": symbols}), max_size=3),
    },
)
correlations = st.dictionaries(st.sampled_from(["BTC/USDT~ETH/USDT", "ETH/USDT~SOL/USDT"]), among(-1, 1))


@given(rows, unavailable(accounts), unavailable(st.just(LIMITS)), unavailable(st.fixed_dictionaries({"pairs": correlations})))
def test_every_answer_is_sound(signals: Any, account: Any, limits: Any, pairs: Any) -> None:
    given = facts(
        {
            "get_proposals": {"signals": signals, "rebalancing": []},
            "get_portfolio": account,
            "get_limits": limits,
            "get_correlations": pairs,
        }
    )
    answer = decide(given)
    assert_sound(answer, given)
    if not answer.abstain:
        assert {v.symbol for v in answer.verdicts} == {row["symbol"] for row in signals}
        assert all(v.risk_fraction <= 0.01 for v in answer.verdicts)
        assert all(
            v.verdict == "take"
            for v in answer.verdicts
            if {"symbol": v.symbol, "action": "exit"}.items() <= _row(signals, v.symbol).items()
        )


def _row(signals: list[dict[str, Any]], symbol: str) -> dict[str, Any]:
    return next(row for row in signals if row["symbol"] == symbol)


@pytest.mark.parametrize(("fees", "size"), [(5.0, "veto"), (0.76, "veto"), (0.75, 0.01), (0.2, 0.01), (None, 0.01)])
def test_an_entry_that_its_fees_eat_is_vetoed(fees: float | None, size: float | str) -> None:
    row = {**enter(), "stop_distance_percent": 0.75, "round_trip_fees_percent": fees}
    assert sizes(plan(row)) == {"BTC/USDT": size}
