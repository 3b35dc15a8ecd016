"""Measures, calibration, and what is said of many trajectories."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.schema import Category
from evals.scorers.base import Score
from evals.scorers.bootstrap import mean
from evals.scorers.calibration import BINS, Claim, calibrate, calibration, claims, reliability
from evals.scorers.measures import (
    cost,
    latency,
    max_drawdown,
    model_calls,
    tokens,
    total_return,
    versus_cash,
    versus_holding,
    versus_rules,
)  # fmt: skip
from evals.scorers.reading import Act, Acted
from evals.scorers.registry import ALL, JUDGES, MEASURES
from evals.scorers.suite import Judgement, agreement, distribution, judge, summarise
from evals.trajectory import Aftermath
from tests.unit.scorer_cases import BTC, ETH, asked, run, scenario, signal, trajectory, view


def test_the_longest_way_is_the_latency() -> None:
    """BTC 1 + 2, ETH 5 + 0.5, rebalancing 3: the longest is 5.5, then risk 0.25 and execution 0.125; the second cycle took 1."""
    took = (
        asked("market_analysis", view(), seconds=1.0), asked("signal", signal(), seconds=2.0),
        asked("market_analysis", view(), ETH, seconds=5.0), asked("signal", signal(), ETH, seconds=0.5),
        asked("rebalancing", None, "", seconds=3.0), asked("risk", None, "", seconds=0.25),
        asked("execution", None, "", seconds=0.125), asked("market_analysis", view(), run_id="run-2", seconds=1.0),
    )  # fmt: skip
    assert latency(trajectory(asked=took)).value == pytest.approx((5.875 + 1) / 2)
    assert latency(trajectory(asked=())).value is None
    assert latency(trajectory(asked=(asked("risk", None, "", seconds=2.0),))).value == 2


def test_calls_tokens_and_cost_are_sums() -> None:
    made = trajectory(asked=(asked("signal", signal(), model_calls=3, output_tokens=36), asked("market_analysis", view())))
    assert model_calls(made).value == 4
    assert tokens(made).value == 246
    assert cost(made).value == pytest.approx(0.02)


def test_a_price_that_is_unknown_is_not_zero() -> None:
    unknown = asked("signal", signal(), cost=None)
    assert cost(trajectory(asked=(unknown,))).value is None
    assert cost(trajectory(asked=(replace(unknown, model_calls=0),))).value == 0
    assert cost(trajectory(asked=(asked("signal", signal(), cost=Decimal(0)),))).value == 0


def test_what_followed() -> None:
    made = trajectory(aftermath=Aftermath(desk=1.02, held=1.05, cash=1.001, rules=0.98, drawdown=0.03))
    found = [s(made).value for s in (total_return, max_drawdown, versus_holding, versus_cash, versus_rules)]
    assert found == pytest.approx([0.02, 0.03, -0.03, 0.019, 0.04])


def test_without_an_aftermath_nothing_followed() -> None:
    assert total_return(trajectory(aftermath=None)).value is None
    assert versus_rules(trajectory(aftermath=Aftermath(desk=1.0, held=1.0))).value is None


def test_a_scorer_has_a_name_of_its_own_and_says_what_it_is() -> None:
    scores = [scorer(trajectory()) for scorer in ALL]
    assert [score.scorer for score in scores] == [getattr(scorer, "__name__", "") for scorer in ALL]
    assert len({score.scorer for score in scores}) == len(ALL)
    assert all(scorer.__doc__ for scorer in ALL)


def test_judges_judge_and_measures_do_not() -> None:
    assert all(score.value is None or 0 <= score.value <= 1 for score in (scorer(trajectory()) for scorer in JUDGES))
    assert all(scorer(trajectory()).passed is None for scorer in MEASURES)
    assert {scorer(trajectory()).passed for scorer in JUDGES} == {True, None}


@pytest.mark.parametrize(
    ("agent", "answer", "moved", "right"),
    [
        ("market_analysis", view("up"), 0.01, True),
        ("market_analysis", view("up"), -0.01, False),
        ("market_analysis", view("down"), -0.01, True),
        ("market_analysis", view("down"), 0.01, False),
        ("market_analysis", view("sideways"), 0.01, None),
        ("market_analysis", view("up", abstain=True), 0.01, None),
        ("market_analysis", view("up"), 0.0, None),
        ("signal", signal("enter", 0.6), 0.01, True),
        ("signal", signal("enter", 0.6), -0.01, False),
        ("signal", signal("exit", 0.6), -0.01, True),
        ("signal", signal("exit", 0.6), 0.01, False),
        ("signal", signal("hold", 0.6), 0.01, None),
        ("signal", signal("abstain", 0.6), 0.01, None),
        ("signal", None, 0.01, None),
    ],
)
def test_which_claims_come_true(agent: str, answer: dict[str, object] | None, moved: float, right: bool | None) -> None:
    made = trajectory(asked=(asked(agent, answer),), aftermath=Aftermath(1.0, 1.0, moves={BTC: moved}))
    assert claims(made) == (() if right is None else (Claim(agent, BTC, 0.6, right),))
    brier = {True: 1 - 0.4**2, False: 1 - 0.6**2, None: None}[right]
    assert calibration(made).value == (None if brier is None else pytest.approx(brier))


def test_the_claims_of_a_trajectory_are_one_mean() -> None:
    """0.6 and right is 0.16, 0.9 and wrong is 0.81."""
    made = trajectory(asked=(asked("market_analysis", view("up", 0.6)), asked("signal", signal("exit", 0.9))))
    assert calibration(made).value == pytest.approx(1 - (0.16 + 0.81) / 2)


def test_only_the_last_cycle_claims_what_the_horizon_shows() -> None:
    made = trajectory(asked=(asked("market_analysis", view()),), runs=(run(), run(id_="run-2")))
    assert claims(made) == ()
    assert claims(replace(made, runs=(run(id_="run-2"), run()))) != ()


def test_nothing_is_claimed_of_what_nobody_has_seen() -> None:
    assert claims(trajectory(aftermath=None)) == ()
    assert claims(trajectory(runs=())) == ()
    assert claims(trajectory(aftermath=Aftermath(1.0, 1.0))) == ()


def claim(confidence: float, right: bool) -> Claim:
    return Claim("signal", BTC, confidence, right)


def test_calibration_by_hand() -> None:
    """0.9 right and wrong, 0.6 right: Brier (0.01 + 0.81 + 0.16) / 3, overconfidence 0.8 − 2/3."""
    found = calibrate([("a", claim(0.9, True)), ("b", claim(0.9, False)), ("c", claim(0.6, True))])
    assert found is not None
    assert found.brier.value == pytest.approx(0.98 / 3)
    assert found.overconfidence.value == pytest.approx(0.8 - 2 / 3)
    assert found.expected_error == pytest.approx((2 * 0.4 + 1 * 0.4) / 3)
    filled = [(b.low, b.high, b.count, b.confidence, b.right) for b in found.curve if b.count]
    assert filled == [(0.6, 0.7, 1, 0.6, 1.0), (0.9, 1.0, 2, 0.9, 0.5)]
    assert calibrate([]) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40))
def test_every_claim_stands_in_one_bin(told: list[tuple[float, bool]]) -> None:
    curve = reliability(claim(*each) for each in told)
    assert len(curve) == BINS
    assert sum(each.count for each in curve) == len(told)
    assert curve[0].low == 0
    assert curve[-1].high == 1
    assert all(first.high == second.low for first, second in pairwise(curve))
    for each in curve:
        inside = [c for c, _ in told if each.low <= c < each.high or (each.high == 1 and c == 1)]
        assert each.count == len(inside)
        assert (each.confidence is None) is (each.right is None) is (each.count == 0)


def test_the_mean_of_nothing_and_of_one_scenario() -> None:
    assert mean([]) is None
    alone = mean([("a", 1.0), ("a", 0.0)])
    assert alone is not None
    assert (alone.value, alone.low, alone.high, alone.count, alone.scenarios) == (0.5, 0.5, 0.5, 2, 1)


def test_the_interval_is_that_of_the_normal_law_where_that_holds() -> None:
    """Of 400 scenarios, half 0 and half 1, the standard error is 0.025: 0.5 ± 0.049."""
    found = mean((str(index), float(index % 2)) for index in range(400))
    assert found is not None
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)


def test_repeats_of_a_scenario_make_the_interval_no_narrower() -> None:
    once = mean((str(index), float(index % 2)) for index in range(40))
    tenfold = mean((str(index), float(index % 2)) for index in range(40) for _ in range(10))
    assert once is not None
    assert tenfold is not None
    assert (tenfold.low, tenfold.high, tenfold.scenarios, tenfold.count) == (once.low, once.high, 40, 400)


_VALUES = st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@given(_VALUES, st.randoms(use_true_random=False))
def test_an_interval_holds_its_mean_and_does_not_depend_on_the_order(values: list[tuple[str, float]], chance: object) -> None:
    found = mean(values)
    assert found is not None
    assert min(v for _, v in values) - 1e-6 <= found.low <= found.value <= found.high <= max(v for _, v in values) + 1e-6
    shuffled = [*values]
    chance.shuffle(shuffled)
    assert mean(shuffled) == found


def judgement(said: str, *, name: str = "a", repeat: int = 0, category: str = "trend", value: float | None = None) -> Judgement:
    """One word on each of as many symbols as `said` has letters: e(nter), x (exit), h(old), a(bstain), f(ailed), n(one)."""
    words = {"e": Act.ENTER, "x": Act.EXIT, "h": Act.HOLD, "a": Act.ABSTAIN, "f": Act.FAILED, "n": Act.NONE}
    acts = tuple(Acted(f"run-{repeat}", f"S{i}", words[letter], Act.HOLD) for i, letter in enumerate(said))
    scores = (Score("action", value, None if value is None else value == 1),)
    return Judgement(name, Category(category), repeat, scores, acts, ())


def test_the_distribution_counts_every_word() -> None:
    found = distribution([judgement("eehx"), judgement("hnf", category="crash")])
    assert found.said == {Act.ENTER: 2, Act.HOLD: 2, Act.EXIT: 1, Act.NONE: 1, Act.FAILED: 1}
    assert found.did == {Act.HOLD: 7}
    assert found.by_category == {
        Category.CRASH: {Act.HOLD: 1, Act.NONE: 1, Act.FAILED: 1},
        Category.TREND: {Act.ENTER: 2, Act.HOLD: 1, Act.EXIT: 1},
    }


@pytest.mark.parametrize(
    ("said", "one_sided"),
    [
        ("h" * 20, Act.HOLD), ("h" * 19, None), ("h" * 19 + "e", Act.HOLD), ("h" * 18 + "ee", None),
        ("h" * 40, Act.HOLD), ("e" * 20 + "n" * 50 + "f" * 50, Act.ENTER), ("f" * 50, None),
        ("a" * 20, Act.ABSTAIN), ("x" * 20, Act.EXIT),
    ],
)  # fmt: skip
def test_a_model_that_always_says_the_same(said: str, one_sided: Act | None) -> None:
    assert distribution([judgement(said)]).one_sided is one_sided


def test_agreement_by_hand() -> None:
    """Of three repeats, the first symbol's agree in one pair of three, the second's in all: 2/3; 4 of 6 words are hold."""
    found = agreement([judgement("eh", repeat=0), judgement("eh", repeat=1), judgement("hh", repeat=2)])
    assert found is not None
    assert found.observed.value == pytest.approx((1 / 3 + 1) / 2)
    by_chance = (2 / 6) ** 2 + (4 / 6) ** 2
    assert found.kappa == pytest.approx((2 / 3 - by_chance) / (1 - by_chance))


def test_agreement_needs_repeats_and_kappa_needs_two_words() -> None:
    assert agreement([judgement("e", name="a"), judgement("h", name="b")]) is None
    always = agreement([judgement("h"), judgement("h", repeat=1)])
    assert always is not None
    assert (always.observed.value, always.kappa) == (1, None)
    uneven = agreement([judgement("e"), judgement("h", repeat=1), *(judgement("h", name="b", repeat=n) for n in range(3))])
    assert uneven is not None
    assert uneven.kappa is None


def test_fleiss_own_example() -> None:
    """Fourteen raters, ten subjects, five words: kappa 0.210 (the table of the Wikipedia article on Fleiss' kappa)."""
    table = (
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    )  # fmt: skip
    columns = ["".join(word * times for word, times in zip("exhaf", row, strict=True)) for row in table]
    found = agreement(judgement("".join(words), repeat=repeat) for repeat, words in enumerate(zip(*columns, strict=True)))
    assert found is not None
    assert found.observed.value == pytest.approx(0.378, abs=5e-4)
    assert found.kappa == pytest.approx(0.210, abs=5e-4)


def test_a_suite_summed_up() -> None:
    suite = summarise(
        [
            judgement("h", name="a", value=1.0),
            judgement("h", name="b", value=0.5),
            judgement("h", name="c", value=0.0, category="crash"),
            judgement("h", name="d", category="crash"),
        ]
    )
    found = suite.of("action")
    assert found is not None
    assert found.value is not None
    assert found.passed is not None
    assert (found.value.value, found.value.count, found.passed.value) == (0.5, 3, pytest.approx(1 / 3))
    assert {category: each.value for category, each in found.by_category.items()} == {Category.CRASH: 0, Category.TREND: 0.75}
    assert suite.of("nobody") is None
    assert suite.agreement is None
    assert suite.calibration is None


def test_a_scorer_without_a_judgement_has_no_mean() -> None:
    (found,) = summarise([judgement("h")]).summaries
    assert (found.value, found.passed, found.by_category) == (None, None, {})


def test_the_order_of_judgements_does_not_matter() -> None:
    told = [judgement("eh"[n % 2], name=str(n), value=n / 10, category=("trend", "chop")[n % 2]) for n in range(10)]
    assert summarise(told) == summarise(told[::-1])


def test_judging_asks_every_scorer() -> None:
    found = judge(trajectory(scenario=scenario(category="crash"), repeat=3))
    assert (found.scenario, found.category, found.repeat) == ("by-hand", Category.CRASH, 3)
    assert [score.scorer for score in found.scores] == [scorer(trajectory()).scorer for scorer in ALL]
    assert [one.said for one in found.acts] == [Act.HOLD]
    assert found.claims == (Claim("market_analysis", BTC, 0.6, True),)
    assert found.score("action") == Score("action", 1.0, True)
    assert found.score("nobody") is None
