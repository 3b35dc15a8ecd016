"""Running a suite: kept as it goes, paid for once, inside its budget."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agents.models.rules import RulesModel
from agents.models.spec import parse
from evals.answers import Answers, Turn, Turns, request_hash
from evals.lines import Lines
from evals.meter import Budget, BudgetSpent, Meter, Spent
from evals.model_faults import Front, told
from evals.prices import FREE, Price, load_prices, price_of
from evals.prompts import OWN
from evals.results import ANSWERS, RESULTS, Results, new_header
from evals.runner import SCRATCH, Candidate, Ended, begun
from evals.schema import Scenario
from tests.unit.eval_cases import market, scenario, three
from trading_core.domain.errors import ConfigurationError, ModelUnavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAID = Price(Decimal(1), Decimal(10))


class PaidModel(Front):
    """The rules, telling what they would cost; `asked` is every request it was sent."""

    asked: list[str]

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        self.asked.append(request_hash(messages, told(bound)))
        said = await super().answer(messages, stop, bound)
        usage = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
        return said.model_copy(update={"usage_metadata": usage})


def paid_model() -> PaidModel:
    return PaidModel(inner=RulesModel(), asked=[])


def candidate(model: BaseChatModel | None, price: Price | None = PAID, **how: Any) -> Candidate:
    return Candidate("openai:test", model, price, most_output=200, **how)


def made(folder: Path, scenarios: Sequence[Scenario], model: str = "openai:test", repeats: int = 1) -> Results:
    return Results.create(folder, new_header("tests", scenarios, model=model, repeats=repeats, now=NOW))


async def run(results: Results, scenarios: Sequence[Scenario], judged: Candidate, **how: Any) -> Ended:
    """A run that is compared with nothing: that would take as long again."""
    async with begun(results, scenarios, judged, **how) as suite:
        return await suite.run()


# A whole run


async def test_rules_over_a_suite_and_read_back(tmp_path: Path) -> None:
    suite = three()
    results = made(tmp_path / "r", suite, "rules", repeats=2)
    heard = []
    ended = await run(results, suite, Candidate(), tell=heard.append)
    assert (ended.done, ended.left, ended.skipped, ended.spent.calls) == (6, 0, 0, 0)
    assert [(one.done, one.total) for one in heard] == [(number, 6) for number in range(1, 7)]
    found = {result.key: result for result in Results.open(tmp_path / "r")}
    assert set(found) == {(one.id, repeat) for one in suite for repeat in (0, 1)}
    for one in suite:
        first, second = (found[one.id, repeat] for repeat in (0, 1))
        assert first.trajectory is not None
        assert second.trajectory is not None
        assert [a.answer for a in first.trajectory.asked] == [a.answer for a in second.trajectory.asked]
        assert first.trajectory.scenario == one
        assert first.score("schema") is not None
    entered = found["enters", 0].trajectory
    assert entered is not None
    assert [one.agent for one in entered.asked] == ["market_analysis", "signal", "risk", "execution"], "as they were asked"
    again = await run(results, suite, Candidate())
    assert again == ended, "nothing is left to do"


async def test_a_scenario_without_its_recording_is_skipped_with_the_reason(tmp_path: Path) -> None:
    recorded = scenario("recorded", markets=[{"symbol": "BTC/USDT", "recorded": "no.csv@2020-03-12T10:00:00Z"}])
    results = made(tmp_path / "r", [recorded], "rules")
    ended = await run(results, [recorded], Candidate(), data=tmp_path)
    assert (ended.done, ended.skipped, ended.left) == (1, 1, 0)
    (result,) = results
    assert result.trajectory is None
    assert "no.csv" in result.skipped


async def test_another_model_is_compared_with_the_rules_and_told_what_it_will_cost(tmp_path: Path) -> None:
    suite = three()
    results, model = made(tmp_path / "r", suite), paid_model()
    async with begun(results, suite, candidate(model), budget=Budget(Decimal(10))) as running:
        await running.compare_with_rules()
        before = running.estimated()
        assert before.repeats == 3
        assert model.asked == []
        ended = await running.run()
        assert running.estimated().expected == Spent()
    assert before.expected.calls == len(model.asked) == ended.spent.calls
    assert before.expected.dollars is not None
    assert before.most.dollars is not None
    assert before.expected.dollars < before.most.dollars
    assert ended.spent.dollars == PAID.of(900, 100) * len(model.asked)
    assert ended.spent.dollars <= before.most.dollars
    for result in results:
        assert result.trajectory is not None
        assert result.trajectory.aftermath is not None
        assert result.trajectory.aftermath.rules == pytest.approx(result.trajectory.aftermath.desk)
        assert all(one.cost == PAID.of(one.input_tokens, one.output_tokens) for one in result.trajectory.asked)


async def test_results_of_another_model_or_scenario_are_not_gone_on_with(tmp_path: Path) -> None:
    suite = three()
    results = made(tmp_path / "r", suite)
    changed = [*suite[:2], scenario("exits", seed=99)]
    with pytest.raises(ConfigurationError, match="'exits' is not what it was"):
        await run(results, changed, candidate(paid_model()))
    with pytest.raises(ConfigurationError, match="not of 'rules'"):
        await run(results, suite, Candidate())
    with pytest.raises(ConfigurationError, match="holds results already"):
        made(tmp_path / "r", suite)
    with pytest.raises(ConfigurationError, match="holds no results"):
        Results.open(tmp_path)


# Money


@pytest.mark.parametrize("dollars", ["0", "0.02", pytest.param("0.05", marks=pytest.mark.slow)])
async def test_a_run_stays_inside_any_budget_and_goes_on_with_a_larger_one(tmp_path: Path, dollars: str) -> None:
    suite = three()
    results, model, budget = made(tmp_path / "r", suite), paid_model(), Decimal(dollars)
    ended = await run(results, suite, candidate(model), budget=Budget(budget))
    assert ended.spent.dollars is not None
    assert ended.spent.dollars <= budget
    assert ended.done + ended.left == 3
    if not budget:
        assert model.asked == []
    assert len(list(results)) == ended.done, "a repeat that was cut short is no result"
    spent = len(model.asked)
    more = await run(results, suite, candidate(model), budget=Budget(Decimal(10)))
    assert (more.done, more.left) == (3, 0)
    assert max(Counter(model.asked).values()) == 1, "no answer is paid for twice"
    assert more.spent.dollars == PAID.of(900, 100) * len(model.asked)
    assert len(model.asked) >= spent


async def test_a_budget_in_tokens_needs_no_price(tmp_path: Path) -> None:
    suite, model = three(), paid_model()
    results = made(tmp_path / "r", suite)
    with pytest.raises(ConfigurationError, match="is not known"):
        await run(results, suite, candidate(model, None), budget=Budget(Decimal(5)))
    ended = await run(results, suite, candidate(model, None), budget=Budget(tokens=8_000))
    assert ended.spent.dollars is None
    assert ended.spent.tokens <= 8_000
    assert ended.left > 0


async def test_a_call_that_was_under_way_in_a_kill_counts_as_paid(tmp_path: Path) -> None:
    """The answer never came, and may have been paid for."""
    suite = three()[1:2]
    results, model = made(tmp_path / "r", suite), paid_model()
    lost = Spent(1, 500, 200, Decimal("0.5"))
    answers = Answers(tmp_path / "r" / ANSWERS)
    for _ in range(2):  # it died at the same call twice
        answers.asking(Turn("holds", 0, "lost", 1), lost)
    answers.close()
    short = await run(results, suite, candidate(model), budget=Budget(Decimal(1)))
    assert (short.left, model.asked) == (1, [])
    ended = await run(results, suite, candidate(model), budget=Budget(Decimal(2)))
    assert ended.left == 0
    assert ended.spent.dollars == Decimal(1) + PAID.of(900, 100) * len(model.asked)


async def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    suite = three()[1:2]
    results = made(tmp_path / "r", suite)
    left = results.folder / SCRATCH / "world" / "ledger.db"
    left.parent.mkdir(parents=True)
    left.touch()
    async with begun(results, suite, Candidate("openai:test", None, FREE)):
        assert (results.folder / SCRATCH).exists()
        assert not left.parent.exists()
    assert not (results.folder / SCRATCH).exists()


async def test_recorded_answers_are_replayed_without_the_model(tmp_path: Path) -> None:
    suite = three()[:2]
    first = made(tmp_path / "first", suite)
    await run(first, suite, candidate(paid_model()), budget=Budget(Decimal(10)))
    replay = tmp_path / "first" / ANSWERS
    kept = replay.read_bytes()
    second = made(tmp_path / "second", suite)
    ended = await run(second, suite, candidate(None, FREE, replay=replay))
    assert (ended.done, ended.left, ended.spent.calls) == (2, 0, 0)
    assert replay.read_bytes() == kept
    answers = [
        {result.key: [a.answer for a in result.trajectory.asked] for result in one if result.trajectory}
        for one in (first, second)
    ]
    assert answers[0] == answers[1]
    longer = made(tmp_path / "longer", suite, repeats=2)
    ended = await run(longer, suite, candidate(None, FREE, replay=replay))
    assert (ended.done, ended.left) == (2, 2), "what was never recorded is no result"


async def test_the_endpoint_is_asked_again_when_it_may_be_back(tmp_path: Path) -> None:
    class Flaky(PaidModel):
        async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
            if not self.asked:
                self.asked.append("lost")
                raise ModelUnavailable("no connection")
            return await super().answer(messages, stop, bound)

    suite = three()[1:2]
    results, model = made(tmp_path / "r", suite), Flaky(inner=RulesModel(), asked=[])
    ended = await run(results, suite, candidate(model), budget=Budget(Decimal(10)))
    assert ended.left == 0
    (result,) = results
    assert result.trajectory is not None
    assert not any(one.abstained for one in result.trajectory.asked)
    assert ended.spent.dollars is not None
    assert ended.spent.dollars > PAID.of(900, 100) * (len(model.asked) - 1), "what was lost may have been paid for"


async def test_a_call_that_was_not_waited_for_is_given_up_in_a_replay_too(tmp_path: Path) -> None:
    """The agent's time was up: its silence is part of the recorded run."""

    class Hanging(PaidModel):
        async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
            self.asked.append("hangs")
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

    suite, model = three()[1:2], Hanging(inner=RulesModel(), asked=[])
    hurried = {**OWN.cycle, "market_analysis": replace(OWN.cycle["market_analysis"], timeout=2.0)}
    first = made(tmp_path / "first", suite)
    ended = await run(first, suite, candidate(model, prompts=replace(OWN, cycle=hurried)), budget=Budget(Decimal(10)))
    assert (ended.done, ended.left, model.asked) == (1, 0, ["hangs"])
    kept = Answers(first.folder / ANSWERS, read_only=True)
    kept.close()
    assert kept.spent == ended.spent, "what was under way may have been paid for"
    second = made(tmp_path / "second", suite)
    again = await run(second, suite, candidate(None, FREE, replay=first.folder / ANSWERS))
    assert (again.done, again.left) == (1, 0)
    (then,), (now,) = first, second
    assert [result.score("finished").value for result in (then, now)] == [0.0, 0.0]


# Parts


@given(
    limit=st.decimals(0, 100, places=2),
    calls=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 2_000), st.floats(0, 1)), max_size=30),
)
def test_the_meter_never_lets_more_be_spent_than_there_is(limit: Decimal, calls: list[tuple[int, int, float]]) -> None:
    async def spend() -> Meter:
        meter = Meter(Price(Decimal(1000), Decimal(5000)), Budget(limit))

        async def one(read: int, wrote: int, share: float) -> None:
            try:
                reserved = await meter.reserve(read, wrote)
            except BudgetSpent:
                return
            await asyncio.sleep(0)
            await meter.settle(reserved, meter.cost(int(read * share), int(wrote * share)))

        await asyncio.gather(*(one(*call) for call in calls))
        return meter

    meter = asyncio.run(spend())
    assert meter.spent.dollars is not None
    assert meter.spent.dollars <= limit


@given(lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=20), cut=st.integers(0, 60))
def test_a_torn_file_keeps_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: int) -> None:
    path = tmp_path_factory.mktemp("lines") / "x"
    with Lines(path) as file:
        starts = [file.append(line) for line in lines]
    whole = path.read_bytes()
    assert [whole[start : start + len(line)] for start, line in zip(starts, lines, strict=True)] == lines
    kept = whole[: max(0, len(whole) - cut)]
    path.write_bytes(kept)
    survived = kept.count(b"\n")
    with Lines(path) as file:
        file.append(b"next")
    assert [line.rstrip(b"\n") for line in Lines.read(path)] == [*lines[:survived], b"next"]


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    call = {"name": "get_bars", "args": {"symbol": "BTC/USDT"}, "id": "c1", "type": "tool_call"}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    said = AIMessage("", tool_calls=[call], usage_metadata=usage, response_metadata={"finish_reason": "tool_calls"})
    turn = Turns("s", 0).next([HumanMessage("hello")], {"tools": ["get_bars"]})
    answers = Answers(tmp_path / "a.jsonl")
    answers.asking(turn, Spent(1, 10, 10, Decimal(1)))
    answers.said(turn, said, Spent(1, 1, 2, Decimal("0.5")))
    assert answers.find(turn) == said
    answers.close()
    again = Answers(tmp_path / "a.jsonl", read_only=True)
    assert again.find(turn) == said
    assert again.spent == Spent(1, 1, 2, Decimal("0.5"))
    assert again.find(Turn("s", 1, turn.request, 1)) is None
    again.close()
    with pytest.raises(ConfigurationError, match="holds no recorded answers"):
        Answers(tmp_path / "none.jsonl", read_only=True)


def test_the_same_request_in_one_repeat_is_another_turn() -> None:
    turns = Turns("s", 0)
    first, second = (turns.next([HumanMessage("hello", id=name)], {}) for name in ("a", "b"))
    assert first.request == second.request
    assert (first.nth, second.nth) == (1, 2)
    assert first.key != second.key


def test_prices_are_told_by_name_and_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["local@http://127.0.0.1:1/v1"]\ninput = "1"\noutput = "2.5"\n["gpt-x"]\ninput = "1"\noutput = "1"\n')
    prices = load_prices(path)
    local = parse({"model": "openai:local", "base_url": "http://127.0.0.1:1/v1"})
    assert price_of(local, prices) == Price(Decimal(1), Decimal("2.5"))
    assert price_of(parse({"model": "openai:gpt-x", "base_url": "http://127.0.0.1:1/v1"}), prices) is None
    assert price_of(parse({"model": "openai:gpt-x", "api_key": "k"}), prices) == Price(Decimal(1), Decimal(1))
    assert price_of(parse({"model": "rules"}), prices) == FREE
    assert all(price.output >= price.input for price in load_prices().values())
    for bad in ("x", '[m]\ninput = 1.5\noutput = "1"', '[m]\ninput = "-1"\noutput = "1"', '[m]\ninput = "1"'):
        path.write_text(bad)
        with pytest.raises(ConfigurationError, match="Nothing was run"):
            load_prices(path)


def test_results_are_read_one_at_a_time(tmp_path: Path) -> None:
    results = made(tmp_path / "r", [scenario("one", markets=[market()])])
    (tmp_path / "r" / RESULTS).write_text(
        json.dumps({"scenario": "one", "category": "trend", "repeat": 0, "trajectory": None, "skipped": "x"}) + "\nbroken\n"
    )
    rows: Iterator[object] = iter(results)
    assert next(rows) is not None
