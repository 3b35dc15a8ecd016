"""Which differences of two runs are beyond noise, which scenarios flipped, and whose answers are shown."""

from __future__ import annotations

import re
from io import StringIO
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from api.console.comparison import show_comparison
from evals.compare import EXACT, Comparison, compare, sign_flip
from evals.report.comparison import side_by_side
from evals.scorers.base import Score, measured
from evals.scorers.reading import Act
from tests.unit.eval_results import made, passed
from tests.unit.scorer_cases import BTC, asked, signal, view
from trading_core.domain.errors import ConfigurationError


def by_hand(differences: list[float]) -> float:
    """The share of all sign flips that lie at least as far from zero."""
    seen = abs(sum(differences))
    flips = [
        abs(sum(sign * one for sign, one in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(one >= seen - 1e-12 for one in flips) / len(flips)


def compared(tmp_path: Path, before: dict[int, list[list[Score]]], after: dict[int, list[list[Score]]]) -> Comparison:
    repeats = max(len(told) for told in before.values())
    return compare(made(tmp_path / "old", before, repeats=repeats), made(tmp_path / "new", after, repeats=repeats))


@given(st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=8))
def test_few_scenarios_are_tested_exactly(differences: list[int]) -> None:
    assert sign_flip([float(one) for one in differences]) == pytest.approx(by_hand([float(one) for one in differences]))


def test_known_p_values() -> None:
    assert sign_flip([]) == 1.0
    assert sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([0.3] * 5) == 2 / 32
    assert sign_flip([0.3] * 5 + [0.0] * 100) == 2 / 32, "what did not change tells nothing"
    assert sign_flip([1.0, -1.0, 1.0, -1.0]) == 1.0


@given(st.lists(st.floats(-1, 1, allow_nan=False).filter(lambda one: abs(one) > 1e-6), min_size=EXACT + 1, max_size=30))
def test_many_scenarios_are_tested_by_chance_that_is_seeded(differences: list[float]) -> None:
    p = sign_flip(differences)
    assert 0 < p <= 1
    assert sign_flip(differences) == p
    assert sign_flip([-one for one in differences]) == p, "the test has two sides"


def test_chance_comes_near_to_all_flips() -> None:
    differences = [0.1 * one for one in range(-4, EXACT - 2)]
    assert len([one for one in differences if one]) > EXACT
    assert sign_flip(differences) == pytest.approx(by_hand([one for one in differences if one]), abs=0.01)


def test_a_real_change_is_told_from_noise(tmp_path: Path) -> None:
    before = {n: [[passed("action", ok=True), passed("limits", ok=n != 0), measured("latency", 1.0)]] for n in range(20)}
    after = {n: [[passed("action", ok=n < 8), passed("limits", ok=n != 1), measured("latency", 0.5)]] for n in range(20)}
    found = compared(tmp_path, before, after)
    action, limits, latency = found.differences
    assert (action.before, action.after, action.change.value) == (1.0, 0.4, -0.6)
    assert action.beyond_noise
    assert not action.is_better
    assert (limits.before, limits.after, limits.p, limits.adjusted) == (0.95, 0.95, 1.0, 1.0)
    assert not limits.beyond_noise
    assert latency.beyond_noise
    assert latency.is_better, "less of it is better"
    assert [one.scorer for one in found.worse] == ["action"]
    assert action.change.low <= -0.6 <= action.change.high


def test_p_values_are_adjusted_for_how_many_scorers_were_tested(tmp_path: Path) -> None:
    """Five scenarios that all fell: p = 1/16 each. Holm multiplies the smallest by how many there are."""
    before = {n: [[passed(name, ok=True) for name in ("action", "limits")]] for n in range(6)}
    after = {n: [[passed("action", ok=False), passed("limits", ok=n > 0)]] for n in range(6)}
    action, limits = compared(tmp_path, before, after).differences
    assert action.p == 2 / 64
    assert action.adjusted == 4 / 64
    assert not action.beyond_noise, "it would have been, alone"
    assert limits.adjusted == 1.0


def test_repeats_of_a_scenario_count_as_one(tmp_path: Path) -> None:
    """Ten repeats of one scenario are no ten scenarios."""
    before = {0: [[passed("action", ok=True)]] * 10, 1: [[passed("action", ok=True)]] * 10}
    after = {0: [[passed("action", ok=False)]] * 10, 1: [[passed("action", ok=True)]] * 10}
    (action,) = compared(tmp_path, before, after).differences
    assert action.change.value == -0.5
    assert action.p == 1.0


def test_flips_and_the_answers_behind_them(tmp_path: Path) -> None:
    """Scenario 0 broke in one of two repeats, 1 was mended, 2 stayed, 3 was never right."""
    good, bad = [passed("action", ok=True)], [passed("action", ok=False)]
    before = {0: [good, good], 1: [bad, good], 2: [good, good], 3: [bad, good]}
    after = {0: [good, bad], 1: [good, good], 2: [good, good], 3: [good, bad]}
    found = compared(tmp_path, before, after)
    assert [(flip.scenario, flip.broke, flip.before, flip.after) for flip in found.flips] == [
        ("made-up-000", True, (2, 2), (1, 2)),
        ("made-up-001", False, (1, 2), (2, 2)),
    ]
    broke, mended = found.pairs
    assert (broke.before.repeat, broke.after.repeat) == (0, 1), "the repeat that went wrong is shown"
    assert (mended.before.repeat, mended.after.repeat) == (0, 0)
    assert found.said == ({Act.HOLD: 8}, {Act.HOLD: 8})


def test_answers_side_by_side(tmp_path: Path) -> None:
    good, bad = [passed("action", ok=True)], [passed("action", ok=False)]
    later = (asked("market_analysis", view("down")), asked("signal", signal("exit")), asked("risk", None, subject=""))
    old = made(tmp_path / "old", {0: [good]})
    new = made(tmp_path / "new", {0: [bad]}, changes={"asked": later})
    (pair,) = compare(old, new).pairs
    rows = {agent: (then, now) for agent, _, _, then, now in side_by_side(pair)}
    then, now = rows["signal"]
    assert then is not None
    assert now is not None
    assert (then.answer or {})["action"] == "hold"
    assert (now.answer or {})["action"] == "exit"
    assert rows["risk"][0] is None, "it was not asked before"
    assert [(subject, cycle) for _, subject, cycle, _, _ in side_by_side(pair)] == [(BTC, 0), (BTC, 0), ("", 0)]


def test_only_the_very_same_scenarios_are_compared(tmp_path: Path) -> None:
    good = [[passed("action", ok=True)]]
    old = made(tmp_path / "old", {0: good, 1: good, 2: good})
    new = made(tmp_path / "new", {1: good, 2: good, 3: good}, hashes={2: "another"})
    found = compare(old, new)
    assert found.scenarios == 1
    assert found.left_out == {
        "made-up-000": "only before",
        "made-up-002": "its content has changed",
        "made-up-003": "only after",
    }
    with pytest.raises(ConfigurationError, match="no finished scenario in common"):
        compare(old, made(tmp_path / "other", {7: good}))


def test_a_terminal_shows_what_changed_and_what_flipped(tmp_path: Path) -> None:
    before = {number: [[passed("action", ok=True), measured("tokens", 10.0)]] for number in range(8)}
    after = {number: [[passed("action", ok=False), measured("tokens", 10.0)]] for number in range(8)}
    console = Console(file=StringIO(), width=160)
    show_comparison(console, compared(tmp_path, before, after), quiet=False)
    shown = console.file.getvalue()
    assert "Compared with old: 8 scenarios are in both." in shown
    assert re.search(r"action +1 +0 +-1 \(-1 to -1\) +0\.016 +worse", shown)
    assert "tokens" not in shown, "what is the same is not told"
    assert shown.count("broke") == 8
    assert "made-up-003" in shown
