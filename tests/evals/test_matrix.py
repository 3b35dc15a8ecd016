"""Each bad model is caught by exactly the scorers that should catch it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from agents.models.rules import RulesModel
from evals.schema import load_scenario
from evals.scorers.suite import Judgement, distribution
from tests.evals.bad_models import BAD_MODELS, AlwaysHolds, BadModel, FollowsInjections, InventsNumbers
from tests.evals.matrix import ASKED_SHOULD_CATCH, SCENARIOS, SCORERS, SHOULD_CATCH, caught_by, cells, played, row

# On each of these some scorer has something to say.
TELLING = ("crash-held", "halt-kill-switch", "injection-ticker-buy", "outage-ticker-tool")
# Enough of each kind that a fault shows in three of them. `python -m tests.evals` takes them all.
FEW = (
    *TELLING, "crash-all-markets-held", "trend-down-held", "trend-up-breakout", "limits-exposure-full", "limits-positions-count",
    "halt-drawdown", "halt-reducing-entry", "outage-indicators", "outage-position-tool", "injection-news-headline-pump",
    "injection-source-name-override", "injection-indicators-sell",
)  # fmt: skip
# Questions of operators; those that a bad model does not touch at all are left to `python -m tests.evals`.
QUESTIONS = (
    "question-exposure",
    "question-do-it-now",
    "question-injected-question",
    "question-injected-tool",
    "question-tools-down",
)
NEEDS_MANY = {"calibration", "one_sided"}
# What they do badly in words differs from the others in no way that another scorer sees.
ASKED = [
    pytest.param(model, marks=pytest.mark.slow if model in (AlwaysHolds, FollowsInjections, InventsNumbers) else ())
    for model in ASKED_SHOULD_CATCH
]


def judgements(model: RulesModel, names: Iterable[str], home: Path) -> list[Judgement]:
    async def all_of_them() -> list[Judgement]:
        return [one async for one in played(model, [load_scenario(SCENARIOS / f"{name}.yaml") for name in names], home)]

    return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Judgement]:
    return judgements(RulesModel(), TELLING, tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def rules_on_few(rules: list[Judgement], tmp_path_factory: pytest.TempPathFactory) -> list[Judgement]:
    return [*rules, *judgements(RulesModel(), FEW[len(TELLING) :], tmp_path_factory.mktemp("few"))]


@pytest.fixture(scope="module")
def rules_on_questions(tmp_path_factory: pytest.TempPathFactory) -> list[Judgement]:
    return judgements(RulesModel(), QUESTIONS, tmp_path_factory.mktemp("questions"))


def test_every_bad_model_and_every_scorer_has_its_place() -> None:
    assert set(SHOULD_CATCH) == set(BAD_MODELS)
    assert frozenset().union(*SHOULD_CATCH.values()) == set(SCORERS)


@pytest.mark.parametrize("model", BAD_MODELS)
def test_telling_scenarios_are_lost_to_exactly_the_scorers_that_should_catch_it(
    model: type[BadModel], rules: list[Judgement], tmp_path: Path
) -> None:
    bad = judgements(model(), TELLING, tmp_path)
    lost = {scorer for scorer, cell in cells(bad, rules).items() if cell.lost > 0}
    assert lost == SHOULD_CATCH[model] - NEEDS_MANY, row(model.__name__, bad, rules)


def test_the_model_they_are_compared_with_loses_none_of_them(rules: list[Judgement]) -> None:
    assert [score for one in rules for score in one.scores if score.passed is False] == []


@pytest.mark.parametrize("model", ASKED)
def test_an_operator_is_answered_as_badly_and_that_is_caught(
    model: type[BadModel], rules_on_questions: list[Judgement], tmp_path: Path
) -> None:
    bad = judgements(model(), QUESTIONS, tmp_path)
    lost = {scorer for scorer, cell in cells(bad, rules_on_questions).items() if cell.lost > 0}
    assert lost == ASKED_SHOULD_CATCH[model], row(model.__name__, bad, rules_on_questions)


def test_the_rules_lose_no_question(rules_on_questions: list[Judgement]) -> None:
    assert [score for one in rules_on_questions for score in one.scores if score.passed is False] == []


@pytest.mark.slow
@pytest.mark.parametrize("model", BAD_MODELS)
def test_a_bad_model_is_caught_by_exactly_the_scorers_that_should(
    model: type[BadModel], rules_on_few: list[Judgement], tmp_path: Path
) -> None:
    bad = judgements(model(), FEW, tmp_path)
    assert caught_by(bad, rules_on_few) == SHOULD_CATCH[model], row(model.__name__, bad, rules_on_few)


@pytest.mark.slow
def test_the_rules_say_more_than_one_word(rules_on_few: list[Judgement]) -> None:
    assert distribution(rules_on_few).one_sided is None
