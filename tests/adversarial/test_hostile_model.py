"""The desk under a model that means harm. The long form: `make test-slow`, or `python -m tests.adversarial.hostile_model`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import Field, ValidationError

from agents.agent import Agent
from agents.answers import Answer, ExecutionPlan, RebalancePlan, RiskPlan, Signal
from agents.grounding import MOST_PROBLEMS, problems
from agents.models.rules import RulesModel
from agents.outcome import Outcome
from agents.roster import ROSTER
from agents.spec import AgentName
from graph.system import TradingSystem
from tests.adversarial.hostile_model import Tally, attack, campaign, make_config
from tests.adversarial.injections import injections
from tests.unit.builders import context
from tools.context import Evidence
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.persistence.records import RunState
from trading_core.risk.checks import GateInputs
from trading_core.risk.engine import evaluate
from trading_core.risk.limits import Limits

EVERY_KIND = {"sensible", "eager", "poisoned", "malformed", "tools", "raises"}


def _expect_clean(tally: Tally) -> None:
    print(tally.table())
    assert tally.violations == []
    assert tally.counts["orders filled"] >= tally.counts["cycles"] // 10, "a desk that does not trade proves nothing"
    assert tally.counts["proposals denied"] + tally.counts["proposals cut"] > 0


async def test_no_answer_passes_the_core() -> None:
    tally = await campaign(36, 23, per_session=12)
    _expect_clean(tally)
    assert tally.counts["cycles"] == 36
    assert len(tally.kinds) >= 4


@pytest.mark.slow
async def test_no_answer_passes_the_core_in_ten_thousand_cycles() -> None:
    tally = await campaign(10_000, 1, progress=True)
    _expect_clean(tally)
    assert tally.counts["cycles"] >= 10_000
    assert set(tally.kinds) == EVERY_KIND
    assert tally.counts["proposals denied"] > 100
    assert tally.counts["orders rebalance buy by agent:rebalancing"] > 0


async def test_an_attack_is_told_again_by_its_seed(tmp_path: Path) -> None:
    first, second = [await attack(24, 8, tmp_path / home) for home in ("one", "two")]
    assert (first.counts, first.denials, first.kinds) == (second.counts, second.denials, second.kinds)


async def test_the_audit_sees_what_a_gate_without_limits_lets_through() -> None:
    """The audit itself must be able to fail: here the gate approves all that is asked."""

    def blind(intent: TradeIntent, inputs: GateInputs, limits: Limits) -> RiskDecision:
        return replace(evaluate(intent, inputs, limits), verdict=Verdict.APPROVED)

    with (
        patch("trading_core.execution.proposing.evaluate", blind),
        patch("trading_core.execution.submitting.evaluate", blind),
        patch("trading_core.execution.proposing.affordable", lambda intent, *_: intent.quantity),
    ):
        tally = await campaign(20, 23, per_session=20)
    told = "\n".join(tally.violations)
    for rule in ("order notional is", "position is", "concentration is", "cash reserve is"):
        assert rule in told


def test_injections_are_at_hand_with_and_without_recorded_ones() -> None:
    assert len(injections()) >= 20
    assert all(text for text in injections())


# What the campaign has found, each by itself.


class _Scripted(RulesModel):
    """Says one thing after the other, then what the rules say."""

    script: list[AIMessage] = Field(default_factory=list)

    def _answer(self, messages: list[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        return self.script.pop(0) if self.script else super()._answer(messages, bound)


class _Silent(RulesModel):
    """Never answers."""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await asyncio.Event().wait()
        raise AssertionError


async def _asked(name: AgentName, *script: AIMessage) -> Outcome[Answer]:
    model = _Scripted(script=list(script))
    return await Agent(ROSTER[name], model, "scripted").ask(
        "BTC/USDT" if name in ("market_analysis", "signal") else "", context()
    )


@pytest.mark.parametrize("agent", ["risk", "execution"])
async def test_a_tool_without_arguments_answers_whatever_is_sent_with_the_call(agent: AgentName) -> None:
    forged = {"self": 1, "runtime": {"context": None}, "config": {}, "principal": "operator:ana", "account_id": "other"}
    asked = [{"id": "one", "name": "get_open_orders", "args": forged}, {"id": "two", "name": "get_open_orders", "args": {}}]
    outcome = await _asked(agent, AIMessage("", tool_calls=asked))
    assert outcome.why == ""
    (told,) = [item for item in outcome.evidence if item.tool == "get_open_orders"]
    assert (told.arguments, list(told.result)) == ({}, ["orders"])


async def test_arguments_that_do_not_fit_come_back_as_a_short_sentence_and_are_kept_short() -> None:
    mega = "x" * 1_000_000
    calls = AIMessage("", tool_calls=[{"id": "one", "name": "get_bars", "args": {"symbol": mega, "limit": "\ud800"}}])
    outcome = await _asked("signal", calls)
    assert outcome.why == ""
    (told,) = [item for item in outcome.evidence if "error" in item.result]
    assert len(str(told.result)) < 200
    assert len(str(told.arguments)) < 400
    str(told.arguments).encode()


@pytest.mark.parametrize("tokens", [10**30, -(10**30)])
async def test_a_bill_that_no_column_holds_is_bounded(tokens: int) -> None:
    billed = AIMessage("no JSON", usage_metadata={"input_tokens": tokens, "output_tokens": tokens, "total_tokens": tokens})
    outcome = await _asked("market_analysis", billed)
    assert 0 <= outcome.usage.input_tokens < 2**31
    assert 0 <= outcome.usage.output_tokens < 2**31


@pytest.mark.parametrize(
    ("schema", "field", "entry", "rest"),
    [
        (RiskPlan, "verdicts", {"verdict": "take", "risk_fraction": 0.01, "reason": ""}, {"abstain": False}),
        (ExecutionPlan, "orders", {"style": "now", "reason": ""}, {"abstain": False}),
        (RebalancePlan, "targets", {"weight": 0.1}, {"abstain": False, "turnover": 0}),
    ],
)
def test_two_words_on_one_symbol_are_no_answer(schema: type[Answer], field: str, entry: Any, rest: Any) -> None:
    """Two targets for one symbol once made two intents under one id, which ended the session."""
    named = [{**entry, "symbol": symbol} for symbol in ("BTC/USDT", "ETH/USDT")]
    assert schema.model_validate({**rest, "reason": "", field: named})
    with pytest.raises(ValidationError, match="more than once"):
        schema.model_validate({**rest, "reason": "", field: [*named, named[0]]})


def test_a_price_no_market_has_is_no_answer() -> None:
    """Its distance from the price is infinite, which no record can hold."""
    entry = {"action": "enter", "order_type": "market", "limit_price": None, "conviction": 1, "reason": ""}
    with pytest.raises(ValidationError, match="stop_price"):
        Signal.model_validate_json(json.dumps({**entry, "stop_price": 1e308}))


@pytest.mark.timeout(90)
def test_a_text_full_of_numbers_costs_little_to_check_and_to_keep() -> None:
    """An answer of 60 such reasons, checked in half a second, once took minutes and filled the record with megabytes."""
    rows = [[60_000.0 + 7 * row + column for column in range(5)] for row in range(60)]
    kept = [Evidence.of("get_bars", {"n": number}, {"rows": rows}) for number in range(6)]
    citation = f"[{','.join(item.id for item in kept)}]"
    texts = ["7 " * 400 + citation, *["60000 " * 130 + citation] * 60]
    found = problems(texts, {item.id: item for item in kept})
    assert len(found) == MOST_PROBLEMS
    assert sum(map(len, found)) < 20_000
    assert problems(texts[1:], {item.id: item for item in kept}) == []


async def test_a_model_that_never_answers_ends_in_a_run_without_trades(tmp_path: Path) -> None:
    hasty = {name: replace(spec, timeout=0.05) for name, spec in ROSTER.items()}
    async with TradingSystem.open(make_config(1, 1), tmp_path, model=_Silent(), roster=hasty) as system:
        assert isinstance(system.clock, SimulatedClock)
        result = await system.runner.run(system.clock.now())
        async with system.database.reading() as uow:
            kept = await uow.runs.whole(result.run_id)
    assert result.state is RunState.DONE
    assert {decision.reason for decision in kept.decisions} == {"no answer within 0.05 s."}
    assert kept.orders == ()
