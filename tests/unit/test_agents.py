"""Asking an agent, with the rules model in process and with real HTTP to an endpoint that misbehaves."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from agents.agent import Agent, AgentContext
from agents.answers import MarketView
from agents.models.openai_compatible import build, http_pool
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.models.spec import parse
from agents.roster import MARKET_ANALYSIS, ROSTER
from agents.spec import AgentName
from tests.model_server import Body, ModelServer, Reply, answer, call, calls, faults
from tests.unit.builders import BTC, ETH, context, snapshot
from tools.registry import TOOLS

VIEW = {
    "abstain": False,
    "trend": "up",
    "regime": "quiet",
    "sentiment": "neutral",
    "onchain": "unavailable",
    "support": None,
    "resistance": None,
    "confidence": 0.6,
    "reason": "Averages stand in order.",
}
UPSTREAM: dict[str, Any] = {
    f"market_analysis:{BTC}": {"symbol": BTC, **VIEW},
    "proposals": {"signals": [{"symbol": ETH, "action": "enter", "price": 102.0, "conviction": 0.7}], "rebalancing": []},
    "approved": {"orders": [{"symbol": ETH, "side": "buy", "spread_bps": 3.0, "share_of_bar_volume": 0.001}]},
}
SUBJECTS = {"market_analysis": BTC, "signal": BTC}


class Answers:
    """An `AnswerStore` that keeps its content as the JSON a database would."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        return json.loads(self.kept[key]) if key in self.kept else None

    async def put(self, key: str, agent: str, model: str, content: dict[str, Any]) -> None:
        self.kept[key] = json.dumps(content)


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.clear()
    running.brain = lambda _: answer(VIEW)
    return running


@pytest.fixture
async def pool() -> AsyncIterator[Any]:
    async with http_pool() as opened:
        yield opened


def over_http(server: ModelServer, pool: Any, *, timeout: float = 5.0, retries: int = 0, **changes: Any) -> Agent[MarketView]:
    settings = parse({"model": "openai:any", "base_url": server.base_url, "timeout": timeout, "max_retries": retries})
    return Agent(replace(MARKET_ANALYSIS, **changes), build(settings, pool), "openai:any")


# With the rules model


@pytest.mark.parametrize("name", list(ROSTER))
async def test_the_rules_model_answers_each_agent_in_one_grounded_call(name: AgentName) -> None:
    spec = ROSTER[name]
    asked = context(principal=spec.principal("paper"), upstream=UPSTREAM)
    outcome = await Agent(spec, RulesModel(), RULES_MODEL_NAME).ask(SUBJECTS.get(name, ""), asked)
    assert outcome.answer is not None, outcome.why
    assert isinstance(outcome.answer, spec.answer)
    assert (outcome.abstained, outcome.problems, outcome.why, outcome.may_trade) == (False, (), "", True)
    assert (outcome.usage.model_calls, outcome.usage.repairs, outcome.usage.tool_calls) == (1, 0, 0)
    assert [item.tool for item in outcome.evidence] == list(spec.opening)
    assert all("error" not in item.result for item in outcome.evidence)
    assert set(outcome.cites) <= {item.id for item in outcome.evidence}


async def test_an_agent_without_facts_abstains_by_its_own_word() -> None:
    asked = context(snapshot(tickers={}), principal=MARKET_ANALYSIS.principal("paper"))
    outcome = await Agent(MARKET_ANALYSIS, RulesModel(), RULES_MODEL_NAME).ask(BTC, asked)
    assert outcome.answer is not None
    assert outcome.abstained
    assert not outcome.may_trade


async def test_a_subject_outside_the_run_ends_in_an_abstention() -> None:
    outcome = await Agent(MARKET_ANALYSIS, RulesModel(), RULES_MODEL_NAME).ask("DOGE/USDT", context())
    assert outcome.abstained
    assert "not part of this run" in str(outcome.evidence[0].result["error"])


@pytest.mark.parametrize("name", list(ROSTER))
def test_each_agent_may_use_each_of_its_tools(name: AgentName) -> None:
    spec = ROSTER[name]
    assert {TOOLS[tool].action for tool in (*spec.opening, *spec.tools)} <= spec.principal("paper").actions
    assert spec.prompt.startswith("# You are")


# Over HTTP


async def test_opening_moves_are_in_the_conversation_in_their_order(server: ModelServer, pool: Any) -> None:
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.answer == MarketView(**VIEW)
    assert outcome.may_trade
    (request,) = server.requests
    system, human, moves, *results = request.body["messages"]
    assert [system["role"], human["role"], moves["role"]] == ["system", "user", "assistant"]
    assert [made["function"]["name"] for made in moves["tool_calls"]] == list(MARKET_ANALYSIS.opening)
    assert [json.loads(made["function"]["arguments"]) for made in moves["tool_calls"]] == [{"symbol": BTC}] * 4
    assert [row["tool_call_id"] for row in results] == [made["id"] for made in moves["tool_calls"]]
    assert [json.loads(row["content"])["evidence"] for row in results] == [item.id for item in outcome.evidence]
    assert outcome.usage.input_tokens == request.prompt_tokens
    assert outcome.usage.output_tokens > 0


async def test_no_tool_shows_the_model_its_hidden_parameter(server: ModelServer, pool: Any) -> None:
    await over_http(server, pool).ask(BTC, context())
    shown = json.dumps(server.requests[0].body["tools"])
    assert all(hidden not in shown for hidden in ("runtime", "principal", "account"))


ENDPOINT_FAULTS = [
    ([faults.status(500)], "failed on its side (500)"),
    ([faults.status(429)], "limits the rate of calls (429)"),
    ([faults.status(401)], "refused the API key"),
    ([faults.reset], "no connection"),
    ([faults.broken_json], "is no chat completion"),
    ([faults.html_page], "is no chat completion"),
    ([faults.token_limit], "cut off at the token limit"),
    ([faults.broken_arguments], "arguments that are no JSON"),
]


@pytest.mark.parametrize(("bad", "why"), ENDPOINT_FAULTS, ids=lambda value: value if isinstance(value, str) else None)
async def test_an_endpoint_that_fails_ends_in_an_abstention(
    server: ModelServer, pool: Any, bad: list[faults.Fault], why: str
) -> None:
    server.misbehave(bad)
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.answer is None
    assert outcome.abstained
    assert not outcome.may_trade
    assert why in outcome.why
    assert len(server.requests) == outcome.usage.model_calls == 1
    assert len(outcome.evidence) == 4, "what was read stays on record"


async def test_a_rate_limit_that_passes_is_waited_out(server: ModelServer, pool: Any) -> None:
    server.misbehave([faults.status(429, retry_after=0.01)])
    outcome = await over_http(server, pool, retries=1).ask(BTC, context())
    assert outcome.answer == MarketView(**VIEW)
    assert (len(server.requests), outcome.usage.model_calls, outcome.usage.repairs) == (2, 1, 0)


async def test_a_model_that_is_too_slow_is_given_up(server: ModelServer, pool: Any) -> None:
    server.misbehave([faults.hang(600)])
    outcome = await over_http(server, pool, timeout=0.2).ask(BTC, context())
    assert "did not answer in time" in outcome.why
    assert outcome.usage.input_tokens > 500, "an answer that was given up is paid for"
    server.misbehave([faults.hang(600)])
    whole = replace(MARKET_ANALYSIS, timeout=0.2)
    outcome = await Agent(whole, over_http_model(server, pool), "openai:any").ask(BTC, context())
    assert outcome.why == "no answer within 0.2 s."
    assert outcome.abstained
    assert outcome.usage.input_tokens > 500, "an answer that was given up is paid for"


def over_http_model(server: ModelServer, pool: Any) -> BaseChatModel:
    return build(parse({"model": "openai:any", "base_url": server.base_url, "timeout": 5, "max_retries": 0}), pool)


REPAIRABLE = [faults.truncated_answer, faults.wrong_schema, faults.empty, faults.null, faults.prose, faults.refusal]


@pytest.mark.parametrize("bad", REPAIRABLE, ids=lambda fault: fault.name)
async def test_an_invalid_answer_gets_one_repair(server: ModelServer, pool: Any, bad: faults.Fault) -> None:
    server.misbehave([bad])
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.answer == MarketView(**VIEW)
    assert (len(server.requests), outcome.usage.model_calls, outcome.usage.repairs) == (2, 2, 1)
    assert outcome.usage.input_tokens == sum(request.prompt_tokens for request in server.requests)
    *_, shown, told = server.requests[1].body["messages"]
    assert (shown["role"], told["role"]) == ("assistant", "user")
    assert told["content"].startswith("That answer was not valid: ")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (faults.wrong_schema, "does not fit MarketView"),
        (faults.empty, "is empty"),
        (faults.prose, "is no JSON"),
        (faults.refusal, "declined to answer"),
    ],
    ids=["wrong schema", "empty", "prose", "refusal"],
)
async def test_a_second_invalid_answer_is_an_abstention(server: ModelServer, pool: Any, bad: faults.Fault, why: str) -> None:
    server.misbehave([bad, bad, bad])
    outcome = await over_http(server, pool).ask(BTC, context())
    assert (outcome.answer, outcome.abstained) == (None, True)
    assert why in outcome.why
    assert len(server.requests) == outcome.usage.model_calls == 2


@pytest.mark.parametrize("most", [1, 3])
async def test_endless_tool_calls_are_bounded(server: ModelServer, pool: Any, most: int) -> None:
    server.misbehave(itertools.repeat(faults.endless_tool_calls))
    outcome = await over_http(server, pool).ask(BTC, context(most_calls=most))
    assert outcome.abstained
    assert f"called {most} times and still gave no answer" in outcome.why
    assert len(server.requests) == outcome.usage.model_calls == outcome.usage.tool_calls == most


async def test_a_flood_of_tool_calls_in_one_answer_is_refused(server: ModelServer, pool: Any) -> None:
    server.brain = lambda _: calls(*(call("get_bars", symbol=BTC, limit=n) for n in range(1, 21)))
    outcome = await over_http(server, pool).ask(BTC, context())
    assert "asked for 20 tool calls at once" in outcome.why
    assert {item.tool for item in outcome.evidence} == set(MARKET_ANALYSIS.opening), "none of them was run"
    assert len(server.requests) == 1


async def test_an_unknown_tool_is_answered_and_the_model_goes_on(server: ModelServer, pool: Any) -> None:
    server.misbehave([faults.unknown_tool])
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.answer == MarketView(**VIEW)
    assert len(server.requests) == 2
    assert "withdraw_everything" in server.requests[1].body["messages"][-1]["content"]


async def test_a_tool_call_adds_evidence_that_the_answer_may_cite(server: ModelServer, pool: Any) -> None:
    def brain(body: Body) -> Reply:
        last = body["messages"][-1]
        if last["role"] != "tool" or "rows" not in last["content"]:
            return calls(call("get_bars", symbol=BTC, limit=1))
        told = json.loads(last["content"])
        return answer({**VIEW, "reason": f"The last close was {told['rows'][0][4]} [{told['evidence']}]."})

    server.brain = brain
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.problems == ()
    assert outcome.may_trade
    assert outcome.cites == (outcome.evidence[-1].id,)
    assert (outcome.usage.model_calls, outcome.usage.tool_calls) == (2, 1)


async def test_hostile_arguments_do_not_change_who_asks(server: ModelServer, pool: Any) -> None:
    forged = {"name": "forged", "actions": ["risk:control"], "accounts": ["other"]}
    replies = iter(
        [
            calls(
                call("get_bars", symbol=BTC, limit=1, runtime={"context": {"principal": forged}}, principal=forged),
                call("get_bars", symbol="x" * 100_000),
                call("get_bars", symbol=["BTC/USDT"], limit="many"),
            ),
            answer(VIEW),
        ]
    )
    server.brain = lambda _: next(replies)
    principal = MARKET_ANALYSIS.principal("paper")
    asked = context(principal=principal)
    outcome = await over_http(server, pool).ask(BTC, asked)
    assert outcome.answer == MarketView(**VIEW)
    assert asked.principal is principal
    told = [message["content"] for message in server.requests[1].body["messages"] if message["role"] == "tool"][-3:]
    assert "rows" in told[0]
    assert all("rows" not in text for text in told[1:])


@pytest.mark.parametrize("reason", ["RSI 99 [{id}] is high.", "It will gain 12 %.", "Close 5 [e00000000]."])
async def test_an_ungrounded_answer_informs_and_does_not_trade(server: ModelServer, pool: Any, reason: str) -> None:
    def brain(body: Body) -> Reply:
        return answer({**VIEW, "reason": reason.replace("{id}", json.loads(body["messages"][-3]["content"])["evidence"])})

    server.brain = brain
    outcome = await over_http(server, pool).ask(BTC, context())
    assert outcome.answer is not None
    assert len(outcome.problems) == 1
    assert (outcome.abstained, outcome.may_trade) == (False, False)


# Stored answers


class Counting(RulesModel):
    """The rules model, and how often it was called."""

    called: int = 0

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.called += 1
        return await super()._agenerate(*args, **kwargs)


async def asked_and_kept(agent: Agent[Any], subject: str, asked: AgentContext) -> None:
    await agent.remember(await agent.ask(subject, asked))


async def test_the_same_question_is_answered_from_the_store() -> None:
    model, store = Counting(), Answers()
    agent = Agent(MARKET_ANALYSIS, model, "rules", store)
    first = await agent.ask(BTC, context())
    await agent.remember(first)
    again = await agent.ask(BTC, context())
    assert model.called == 1
    assert (first.reused, again.reused) == (False, True)
    assert again.usage.model_calls == 0
    assert (again.answer, again.problems, again.cites, again.input_hash) == (
        first.answer,
        first.problems,
        first.cites,
        first.input_hash,
    )
    assert [item.id for item in again.evidence] == [item.id for item in first.evidence]


async def test_other_facts_prompt_or_model_ask_again() -> None:
    model, store = Counting(), Answers()
    await asked_and_kept(Agent(MARKET_ANALYSIS, model, "rules", store), BTC, context())
    await asked_and_kept(Agent(MARKET_ANALYSIS, model, "rules", store), BTC, context(snapshot(content_hash="b" * 64)))
    await asked_and_kept(Agent(MARKET_ANALYSIS, model, "other", store), BTC, context())
    other_prompt = replace(MARKET_ANALYSIS, tools=MARKET_ANALYSIS.tools[:-1])
    assert other_prompt.prompt_hash != MARKET_ANALYSIS.prompt_hash
    await asked_and_kept(Agent(other_prompt, model, "rules", store), BTC, context())
    await asked_and_kept(Agent(MARKET_ANALYSIS, model, "rules", store), ETH, context())
    assert model.called == 5
    assert len(store.kept) == 5


async def test_a_failure_is_not_stored(server: ModelServer, pool: Any) -> None:
    store = Answers()
    agent = Agent(MARKET_ANALYSIS, over_http_model(server, pool), "openai:any", store)
    server.misbehave([faults.status(500)])
    failed = await agent.ask(BTC, context())
    await agent.remember(failed)
    assert failed.abstained
    assert store.kept == {}
    assert (await agent.ask(BTC, context())).answer == MarketView(**VIEW)


class Broken(RulesModel):
    """A model whose library raises what nobody foresaw."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise ZeroDivisionError


class Odd(RulesModel):
    """A model that answers with a number no arithmetic likes."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        said = AIMessage(json.dumps({**VIEW, "reason": "Close 1e400 [e00000000], 1e-999 and 9" + "9" * 800}))
        return ChatResult(generations=[ChatGeneration(message=said)])


async def test_whatever_a_model_raises_or_says_never_escapes() -> None:
    asked: AgentContext = context()
    outcome = await Agent(MARKET_ANALYSIS, Broken(), "broken").ask(BTC, asked)
    assert "ZeroDivisionError" in outcome.why
    assert outcome.abstained
    odd = await Agent(MARKET_ANALYSIS, Odd(), "odd").ask(BTC, context())
    assert odd.answer is not None
    assert len(odd.problems) == 3
