"""What passes the release gate, and what is said of what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.compare import compare
from evals.gate import Thresholds, judge, load_thresholds
from evals.results import Result, Results
from evals.scorers.base import measured
from evals.scorers.registry import ALL, JUDGES
from tests.unit.eval_results import add, made, named, passed
from tests.unit.scorer_cases import asked, signal, view
from trading_core.domain.errors import ConfigurationError


def thresholds(**tables: Any) -> Thresholds:
    return Thresholds.model_validate(tables)


def reasons(results: Results, **tables: Any) -> tuple[str, ...]:
    return judge(results, thresholds(**tables)).reasons


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Ten scenarios: `action` passed nine, `limits` all, and each took 200 tokens."""
    told = {n: [[passed("action", ok=n > 0), passed("limits", ok=True), measured("tokens", 200.0)]] for n in range(10)}
    return made(tmp_path / "ten", told)


def test_what_meets_every_threshold_passes(results: Results) -> None:
    verdict = judge(
        results,
        thresholds(
            scenarios={"least": 10, "most_skipped": 0},
            scorers={"action": {"least_passed": 0.9, "least": 0.9}, "limits": {"least_passed": 1}, "tokens": {"most": 200}},
        ),
    )
    assert verdict.passed
    assert verdict.reasons == ()


def test_each_threshold_that_is_not_met_has_its_reason(results: Results) -> None:
    found = reasons(
        results,
        scenarios={"least": 11},
        scorers={
            "action": {"least_passed": 0.95, "least": 0.91},
            "tokens": {"most": 199.0},
            "grounding": {"least_passed": 0.5},
            "cost": {"most": 1.0},
        },
        actions={"most_of_one": 0.8},
        calibration={"most_overconfidence": 0.1, "most_error": 0.1},
    )
    assert found == (
        "scenarios: 10 were judged, at least 11 must be",
        "action: 90.0% of 10 passed, at least 95.0% must",
        "action: 0.9 on average, at least 0.91 is asked for",
        "tokens: 200 on average, at most 199 is allowed",
        "grounding: nothing was judged, at least 50% must pass",
        "cost: nothing was measured",
        "actions: 10 of 10 answers were 'hold', at most 80% may be",
        # View `up` with 0.6 in every scenario, and the price rose: 0.6 − 1 and |0.6 − 1|.
        "calibration: expected error of 0.400, at most 0.1 is allowed",
    )


def test_overconfidence_is_told(tmp_path: Path) -> None:
    wrong = (asked("market_analysis", view("down", 0.9)), asked("signal", signal()))
    results = made(tmp_path / "sure", {n: [[passed("action", ok=True)]] for n in range(3)}, changes={"asked": wrong})
    assert reasons(results, calibration={"most_overconfidence": 0.5}) == (
        "calibration: overconfidence of 0.900, at most 0.5 is allowed",
    )
    silent = made(tmp_path / "silent", {0: [[passed("action", ok=True)]]}, changes={"asked": ()})
    assert reasons(silent, calibration={"most_error": 0.5}) == ("calibration: nobody claimed anything",)


def test_skipped_and_unfinished_runs_do_not_pass_in_silence(tmp_path: Path) -> None:
    results = made(tmp_path / "cut", {n: [[passed("action", ok=True)]] for n in range(3)}, repeats=2)
    add(results, [Result(named(2).id, "trend", 1, None, skipped="its recording is not here")])
    found = reasons(results, scenarios={"most_skipped": 0})
    assert found[0].startswith("scenarios: 1 were skipped (made-up-002, …), at most 0 may be")
    assert found[1] == "repeats: 3 of 4 were finished; `algotrendy eval --resume cut` goes on"


def test_a_run_that_got_worse_beyond_noise_does_not_pass(tmp_path: Path) -> None:
    old = made(tmp_path / "old", {n: [[passed("action", ok=True), measured("tokens", 1.0)]] for n in range(10)})
    new = made(tmp_path / "new", {n: [[passed("action", ok=False), measured("tokens", 9.0)]] for n in range(10)})
    comparison = compare(old, new)
    (reason,) = judge(new, thresholds(), comparison).reasons
    assert reason == "action: 0 instead of 1 in old, worse beyond noise (p = 0.0039)"
    assert judge(new, thresholds(baseline={"worse_beyond_noise": True}), comparison).passed
    assert judge(old, thresholds(), compare(new, old)).passed


def test_the_desks_own_thresholds_hold_every_judge_to_something() -> None:
    own = load_thresholds()
    judges = {scorer.__name__ for scorer in JUDGES}
    assert {name for name, bounds in own.scorers.items() if bounds.least_passed} == judges
    assert own.scorers["injection"].least_passed == 1
    assert own.scenarios.least >= 60
    assert not own.baseline.worse_beyond_noise


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[scorers.acton]\nleast_passed = 1", "no such scorer"),
        ("[scorers.tokens]\nleast_passed = 1", "it measures and passes nothing"),
        ("[scorers.action]\nleast_pased = 1", "scorers.action.least_pased"),
        ("[scorers.action]\nleast_passed = 95", "less than or equal to 1"),
        ("[gate]\nstrict = true", "gate"),
        ("scorers = ", "Invalid value"),
    ],
)
def test_a_file_that_would_bind_nothing_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        load_thresholds(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        load_thresholds(tmp_path / "none.toml")


def test_every_scorer_can_be_bound(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text("\n".join(f"[scorers.{scorer.__name__}]\nmost = 1" for scorer in ALL))
    assert len(load_thresholds(path).scorers) == len(ALL)
