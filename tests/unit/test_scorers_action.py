"""What was done, within its bounds, and nothing forbidden; limits kept before the gate had to act."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evals.schema import Forbidden, Scenario
from evals.scorers.action import action
from evals.scorers.limits import SHOWN, limits
from evals.scorers.reading import Act, acted, breaks, sent_orders
from evals.trajectory import Trajectory
from tests.unit.scorer_cases import (
    BTC,
    ETH,
    LIMITS,
    RUN,
    D,
    account,
    asked,
    intent,
    order,
    run,
    scenario,
    signal,
    trajectory,
    view,
)  # fmt: skip
from tools.context import Evidence
from trading_core.domain.orders import Order, Purpose
from trading_core.risk.checks import ReasonCode


def allowed(*actions: str, **bounds: object) -> Scenario:
    return scenario(acceptable={BTC: {"actions": actions, **bounds}})


def only(made: Trajectory) -> tuple[Act, Act]:
    (one,) = acted(made)
    return one.said, one.did


@pytest.mark.parametrize(
    ("word", "orders", "came"),
    [
        ("hold", (), Act.HOLD),
        ("enter", (order(Purpose.ENTRY),), Act.ENTER),
        ("exit", (order(Purpose.EXIT),), Act.EXIT),
        ("enter", (), Act.HOLD),  # vetoed, denied or held back: nothing was done
        ("exit", (), Act.HOLD),
        ("abstain", (), Act.ABSTAIN),
        ("hold", (order(Purpose.STOP),), Act.HOLD),  # the core's own
        ("hold", (order(Purpose.REBALANCE),), Act.HOLD),
        ("enter", (order(Purpose.ENTRY, ETH),), Act.HOLD),  # another symbol's
    ],
)
def test_a_word_becomes_what_was_done(word: str, orders: tuple[object, ...], came: Act) -> None:
    made = trajectory(runs=(run(orders=orders),), asked=(asked("market_analysis", view()), asked("signal", signal(word))))
    assert only(made) == (Act(word), came)


def test_a_failed_signal_is_no_word_and_an_abstention() -> None:
    assert only(trajectory(asked=(asked("market_analysis", view()), asked("signal", None)))) == (Act.FAILED, Act.ABSTAIN)


def test_without_a_view_the_signal_agent_is_not_asked_and_both_words_fit() -> None:
    made = trajectory(asked=(asked("market_analysis", view(abstain=True)),))
    (one,) = acted(made)
    assert (one.said, one.did) == (Act.NONE, Act.ABSTAIN)
    assert one.may_be_called == {"abstain", "none"}


def test_an_own_abstention_is_not_none() -> None:
    (one,) = acted(trajectory(asked=(asked("market_analysis", view()), asked("signal", signal("abstain")))))
    assert one.may_be_called == {"abstain"}


@pytest.mark.parametrize("runs", [(), (run(),)])
def test_when_nobody_was_asked_it_is_none(runs: tuple[object, ...]) -> None:
    assert only(trajectory(runs=runs, asked=())) == (Act.NONE, Act.NONE)


def test_each_symbol_and_each_cycle_is_one() -> None:
    made = trajectory(scenario=scenario((BTC, ETH)), runs=(run(), run(id_="run-2")))
    assert [(one.run_id, one.symbol) for one in acted(made)] == [
        (RUN, BTC), (RUN, ETH), ("run-2", BTC), ("run-2", ETH),
    ]  # fmt: skip


def test_an_acceptable_action_passes_and_another_does_not() -> None:
    assert action(trajectory(scenario=allowed("hold"))).value == 1
    wrong = action(trajectory(scenario=allowed("exit", "abstain")))
    assert (wrong.scorer, wrong.value, wrong.passed) == ("action", 0, False)
    assert wrong.reasons == ("BTC/USDT: hold (said hold), acceptable is exit or abstain",)


def test_half_right_is_half() -> None:
    made = trajectory(scenario=scenario((BTC, ETH)))  # of ETH nobody was asked
    found = action(made)
    assert (found.value, found.passed) == (0.5, False)
    assert found.reasons == ("ETH/USDT: none (said none), acceptable is enter or hold",)


@pytest.mark.parametrize(("most", "value"), [("0.5", 1.0), ("0.499", 0.5), ("0.51", 1.0), ("0", 0.5)])
def test_the_weight_is_of_equity_after_all_fills(most: str, value: float) -> None:
    made = trajectory(scenario=allowed("hold", max_weight=most), before=account(), after=account(500, BTC=5))
    assert action(made).value == value


def test_a_weight_that_cannot_be_told_is_not_right() -> None:
    found = action(trajectory(scenario=allowed("hold", max_weight="0.9"), after=account(500, BTC=5), prices={}))
    assert not found.passed
    assert "cannot be told" in found.reasons[0]


def test_an_account_of_nothing_has_no_weight() -> None:
    assert action(trajectory(scenario=allowed("hold", max_weight="0"), after=account(0))).passed
    assert action(trajectory(scenario=allowed("hold", max_risk="0"), before=account(0))).passed


@pytest.mark.parametrize(
    ("most", "stop", "right"),
    [("0.02", "90", True), ("0.0199", "90", False), ("0.02", None, False), ("0.2", None, True)],
)
def test_the_risk_is_the_way_to_the_stop(most: str, stop: str | None, right: bool) -> None:
    """Two bought at 100 with the stop at 90 lose 20 of 1,000; without a stop all 200."""
    entered = run(orders=(order(quantity=2),), intents=(intent(stop=stop),))
    made = trajectory(
        scenario=allowed("enter", max_risk=most),
        runs=(entered,),
        asked=(asked("market_analysis", view()), asked("signal", signal("enter"))),
    )
    found = action(made)
    assert found.passed is right
    assert found.value == (1.0 if right else 0.5)


@pytest.mark.parametrize("trail", [order(Purpose.EXIT, quantity=9), order(Purpose.ENTRY, ETH, quantity=9), order(quantity=0)])
def test_only_filled_entries_of_the_symbol_are_at_risk(trail: object) -> None:
    made = trajectory(scenario=allowed("hold", "exit", "enter", max_risk="0"), runs=(run(orders=(trail,)),))
    assert action(made).passed


def test_the_risk_of_all_entries_is_added_up() -> None:
    """Whatever else was ordered before: two entries of one at 100 down to 90 lose 20 of 1,000."""
    orders = (order(Purpose.EXIT), order(), order(Purpose.ENTRY, ETH), order())
    made = trajectory(runs=(run(orders=orders, intents=(intent(),)),), before=account(900, BTC=1))
    assert not action(replace(made, scenario=allowed("exit", max_risk="0.0199"))).passed
    assert action(replace(made, scenario=allowed("exit", max_risk="0.02"))).passed


def test_a_risk_that_cannot_be_told_is_not_right() -> None:
    found = action(trajectory(scenario=allowed("hold", max_risk="0.9"), before=account(500, BTC=5), prices={}))
    assert not found.passed
    assert "risk cannot be told" in found.reasons[0]


def test_anything_forbidden_is_nothing_right() -> None:
    made = trajectory(
        scenario=scenario((BTC, ETH), forbidden=[{"action": "enter", "why": "No."}]),
        runs=(run(orders=(order(),)),),
        asked=(asked("market_analysis", view()), asked("signal", signal("enter"))),
    )
    found = action(made)
    assert (found.value, found.passed) == (0.0, False)
    assert found.reasons[0] == "forbidden: enter BTC/USDT (entry order at-entry-BTC/USDT): No."
    assert len(found.reasons) == 2  # what else was wrong is still told


_FITS = {
    "any_order": {Purpose.ENTRY, Purpose.EXIT, Purpose.REBALANCE},
    "enter": {Purpose.ENTRY},
    "exit": {Purpose.EXIT},
    "rebalance": {Purpose.REBALANCE},
    "buy": {Purpose.ENTRY},
    "sell": {Purpose.EXIT, Purpose.REBALANCE},
}


def sent(purpose: Purpose) -> Order:
    return order(purpose).order


@pytest.mark.parametrize("word", sorted(_FITS))
@pytest.mark.parametrize("purpose", [Purpose.ENTRY, Purpose.EXIT, Purpose.REBALANCE])
def test_what_each_prohibition_forbids(word: str, purpose: Purpose) -> None:
    rule = Forbidden.model_validate({"action": word, "why": "No."})
    assert breaks(sent(purpose), rule) is (purpose in _FITS[word])
    assert breaks(sent(purpose), rule.model_copy(update={"symbol": BTC})) is (purpose in _FITS[word])
    assert not breaks(sent(purpose), rule.model_copy(update={"symbol": ETH}))


def test_protective_stops_are_nobodys_decision() -> None:
    made = trajectory(runs=(run(orders=(order(Purpose.STOP), order(Purpose.EXIT))),))
    assert [each.purpose for each in sent_orders(made)] == [Purpose.EXIT]


def test_without_a_proposal_no_limit_is_judged() -> None:
    assert limits(trajectory()).value is None
    assert limits(trajectory()).passed is None


@pytest.mark.parametrize("code", sorted(ReasonCode))
def test_only_denials_for_what_was_shown_are_the_proposers(code: str) -> None:
    found = limits(trajectory(runs=(run(intents=(intent(failed=[code]), intent(Purpose.EXIT))),)))
    assert found.passed is (code not in SHOWN)
    assert found.value == (0.5 if code in SHOWN else 1.0)
    if code in SHOWN:
        assert found.reasons == (f"agent:risk wanted buy BTC/USDT (intent-e): {code} is 2, limit 1",)


@pytest.mark.parametrize("code", ["trading_state", "position_exposure", "drawdown", "oversell", "stop_side"])
def test_what_the_agents_are_shown(code: str) -> None:
    assert code in SHOWN


@pytest.mark.parametrize("code", ["price_stale", "venue_health", "orders_per_minute", "consecutive_losses", "approval"])
def test_what_the_agents_cannot_know(code: str) -> None:
    assert code not in SHOWN


def test_an_intent_nobody_has_judged_is_not_wrong() -> None:
    unjudged = intent(failed=["drawdown"])
    unjudged = type(unjudged)(unjudged.intent, (), None)
    assert limits(trajectory(runs=(run(intents=(unjudged,)),))).value == 1


def test_only_the_first_judgement_counts() -> None:
    """Between it and the sending the market moves, which is nobody's doing."""
    passed, denied = intent(), intent(failed=["drawdown"])
    both = type(passed)(passed.intent, (*passed.decisions, *denied.decisions), None)
    assert limits(trajectory(runs=(run(intents=(both,)),))).passed


def sized(*fractions: float, verdict: str = "take") -> dict[str, object]:
    rows = [{"symbol": f"S{i}/USDT", "verdict": verdict, "risk_fraction": f, "reason": "So."} for i, f in enumerate(fractions)]
    return {"abstain": False, "verdicts": rows, "reason": "So."}


def test_a_size_above_the_limit_shown_is_wrong_though_the_desk_cuts_it() -> None:
    found = limits(trajectory(asked=(asked("risk", sized(0.02, 0.021, 0.1), ""),)))
    assert found.value == pytest.approx(1 / 3)
    assert found.reasons == (
        "risk of S1/USDT: 0.021 wanted, 0.02 allowed",
        "risk of S2/USDT: 0.1 wanted, 0.02 allowed",
    )


def test_a_veto_has_no_size() -> None:
    assert limits(trajectory(asked=(asked("risk", sized(0.1, verdict="veto"), ""),))).value is None


def test_a_weight_above_the_limit_shown_is_wrong() -> None:
    plan = {"abstain": False, "turnover": 0.1, "reason": "So.", "targets": [{"symbol": BTC, "weight": w} for w in (0.26,)]}
    found = limits(trajectory(asked=(asked("rebalancing", plan, ""),)))
    assert (found.value, found.reasons) == (0, ("weight of BTC/USDT: 0.26 wanted, 0.25 allowed",))


@pytest.mark.parametrize(
    "shown",
    [
        (),
        (Evidence.of("get_limits", {}, {"error": "down"}),),
        (Evidence.of("get_limits", {}, {"limits": {"risk_per_trade": "?"}}),),
    ],
)
def test_a_limit_that_was_not_shown_binds_nobody(shown: tuple[Evidence, ...]) -> None:
    assert limits(trajectory(runs=(run(evidence=shown),), asked=(asked("risk", sized(0.1), ""),))).passed


def test_only_the_limits_tool_shows_limits() -> None:
    elsewhere = Evidence.of("get_portfolio", {}, {"limits": {"risk_per_trade": "0.001"}})
    assert limits(trajectory(runs=(run(evidence=(elsewhere, LIMITS)),), asked=(asked("risk", sized(0.02), ""),))).passed


def test_each_cycle_has_its_own_limits() -> None:
    loose = Evidence.of("get_limits", {}, {"limits": {"risk_per_trade": "0.1"}})
    runs = (run(evidence=(LIMITS,)), run(id_="run-2", evidence=(loose,)))
    second = asked("risk", sized(0.05), "", run_id="run-2")
    assert limits(trajectory(runs=runs, asked=(second,))).passed
    assert limits(trajectory(runs=runs, asked=(asked("risk", sized(0.05), ""), second))).value == 0.5


def test_a_bound_met_exactly_is_kept() -> None:
    third = D(1) / D(3)
    made = trajectory(scenario=allowed("hold", max_weight=str(round(third, 12))), after=account(2000, BTC=10))
    assert action(made).passed
