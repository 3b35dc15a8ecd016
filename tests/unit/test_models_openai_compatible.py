"""The real client library against a real HTTP endpoint: answers, faults, and what the desk says about them."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from pydantic import BaseModel

from agents.models.openai_compatible import build, describe, explain, http_pool
from agents.models.spec import parse
from tests.model_server import ModelServer, answer, call, calls, faults, say
from trading_core.domain.errors import ConfigurationError, InvalidAnswer, ModelError, ModelUnavailable

KEY = "sk-very-secret"
TIMEOUT = 0.25


class Idea(BaseModel):
    """An idea to trade."""

    side: Literal["buy", "sell"]
    size: Decimal
    note: str | None = None


@tool
def price(symbol: str) -> str:
    """The last price."""
    return f"{symbol} 42"


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    running.clear()
    return running


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[BaseChatModel]:
    async with http_pool() as pool:
        yield build(parse(_settings(server)), pool)


def _settings(server: ModelServer, **changes: object) -> dict[str, object]:
    base = {"model": "openai:gpt-x", "base_url": server.base_url, "api_key": KEY, "timeout": TIMEOUT, "max_retries": 0}
    return base | changes


async def _run(model: BaseChatModel, streamed: bool = False, calls_allowed: int = 3) -> dict[str, Any]:
    """One agent run, the way the desk builds its agents."""
    limit: ModelCallLimitMiddleware[Any, Any] = ModelCallLimitMiddleware(run_limit=calls_allowed, exit_behavior="error")
    agent = create_agent(model, tools=[price], response_format=ProviderStrategy(Idea), middleware=[limit])
    start: Any = {"messages": [("user", "What now?")]}
    if not streamed:
        return await agent.ainvoke(start)
    values: list[Any] = [
        part async for mode, part in agent.astream(start, stream_mode=["messages", "values"]) if mode == "values"
    ]
    final: dict[str, Any] = values[-1]
    return final


async def test_plain_text(server: ModelServer, model: BaseChatModel) -> None:
    server.brain = lambda body: say(body["messages"][-1]["content"].upper())
    said = await model.ainvoke("hold on")
    assert said.text == "HOLD ON"
    assert isinstance(said, AIMessage)
    assert said.usage_metadata is not None
    assert (said.usage_metadata["input_tokens"], said.usage_metadata["output_tokens"]) == (2, 2)
    assert server.requests[0].body["model"] == "gpt-x"


async def test_streamed_text_comes_in_pieces_with_usage(server: ModelServer, model: BaseChatModel) -> None:
    server.brain = lambda _: say("one two three four")
    whole = AIMessageChunk(content="")
    pieces = 0
    async for chunk in model.astream("count"):
        whole, pieces = whole + chunk, pieces + bool(chunk.text)
    assert (whole.text, pieces) == ("one two three four", 6)
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 5
    assert server.requests[0].streamed


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_calls(server: ModelServer, model: BaseChatModel, streamed: bool) -> None:
    server.brain = lambda _: calls(call("price", symbol="BTC/USDT"), call("price", symbol="ETH/USDT"))
    bound = model.bind_tools([price])
    if streamed:
        said: Any = AIMessageChunk(content="")
        async for chunk in bound.astream("prices?"):
            said += chunk
    else:
        said = await bound.ainvoke("prices?")
    assert [made["args"] for made in said.tool_calls] == [{"symbol": "BTC/USDT"}, {"symbol": "ETH/USDT"}]
    assert len({made["id"] for made in said.tool_calls}) == 2


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_answers_in_its_schema(server: ModelServer, model: BaseChatModel, streamed: bool) -> None:
    replies = iter([calls(call("price", symbol="BTC/USDT")), answer({"side": "sell", "size": "0.30"})])
    server.brain = lambda _: next(replies)
    result = await _run(model, streamed)
    assert result["structured_response"] == Idea(side="sell", size=Decimal("0.30"))
    assert [request.streamed for request in server.requests] == [streamed, streamed]
    assert server.depth == 2
    used = [message.usage_metadata["input_tokens"] for message in result["messages"] if getattr(message, "usage_metadata", None)]
    assert used == [request.prompt_tokens for request in server.requests]


async def test_the_default_brain_fits_the_schema(model: BaseChatModel) -> None:
    assert (await _run(model))["structured_response"] == Idea(side="buy", size=Decimal(0))


CONTENT_FAULTS = [
    (faults.truncated_answer, "is no JSON"),
    (faults.token_limit, "cut off at the token limit"),
    (faults.wrong_schema, "does not fit Idea: side: Field required; size: Field required"),
    (faults.empty, "is empty"),
    (faults.null, "is empty"),
    (faults.prose, "is no JSON"),
    (faults.refusal, 'declined to answer: "I can\'t help with trading."'),
    (faults.broken_arguments, "a tool with arguments that are no JSON"),
]
ENDPOINT_FAULTS = [
    (faults.status(400), "refused the request (400)"),
    (faults.status(401), "refused the API key (401)"),
    (faults.status(403), "refused the API key (403)"),
    (faults.status(404), "has no such model or path (404)"),
    (faults.status(429), "limits the rate of calls (429)"),
    (faults.status(500), "failed on its side (500)"),
    (faults.hang(2 * TIMEOUT), "did not answer in time"),
    (faults.reset, "no connection to http://127.0.0.1:"),
    (faults.broken_json, "is no chat completion"),
    (faults.html_page, "is no chat completion"),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "says", "kind"), [(*c, InvalidAnswer) for c in CONTENT_FAULTS] + [(*e, ModelUnavailable) for e in ENDPOINT_FAULTS]
)
async def test_each_fault_is_explained(
    server: ModelServer, model: BaseChatModel, fault: faults.Fault, says: str, kind: type[ModelError], streamed: bool
) -> None:
    server.misbehave([fault])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which library raises what is not ours to fix
        await _run(model, streamed)
    explained = explain(caught.value)
    assert type(explained) is kind
    assert says in str(explained)
    assert KEY not in str(explained)
    assert "\n" not in str(explained)
    assert len(server.requests) == 1


async def test_an_unknown_tool_is_answered_and_the_run_goes_on(server: ModelServer, model: BaseChatModel) -> None:
    server.misbehave([faults.unknown_tool])
    result = await _run(model)
    assert result["structured_response"].side == "buy"
    assert "withdraw_everything is not a valid tool" in server.requests[1].body["messages"][-1]["content"]


async def test_endless_tool_calls_end_at_the_limit(server: ModelServer, model: BaseChatModel) -> None:
    server.misbehave(itertools.repeat(faults.endless_tool_calls))
    with pytest.raises(Exception, match="limits exceeded") as caught:
        await _run(model, calls_allowed=3)
    assert str(explain(caught.value)).startswith("the model gave no answer within 3 calls")
    assert len(server.requests) == 3


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with http_pool() as pool:
        model = build(parse({"model": "openai:x", "base_url": f"http://127.0.0.1:{port}/v1", "max_retries": 0}), pool)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which library raises what is not ours to fix
            await model.ainvoke("anyone?")
    assert f"no connection to http://127.0.0.1:{port}" in str(explain(caught.value))


async def test_retries_wait_as_long_as_the_server_says(server: ModelServer) -> None:
    server.misbehave([faults.status(429, retry_after=0.05), faults.status(500, retry_after=0.1)])
    async with http_pool() as pool:
        said = await build(parse(_settings(server, max_retries=2)), pool).ainvoke("again")
    assert said.text == "ok"
    arrivals = [request.received_at for request in server.requests]
    first, second = (later - earlier for earlier, later in itertools.pairwise(arrivals))
    assert 0.05 <= first < 0.3
    assert 0.1 <= second < 0.3


async def test_a_wrong_key_is_not_retried(server: ModelServer) -> None:
    server.api_key = "another"
    async with http_pool() as pool:
        with pytest.raises(Exception, match="401"):
            await build(parse(_settings(server, max_retries=2)), pool).ainvoke("let me in")
    assert len(server.requests) == 1


async def test_models_share_connections(server: ModelServer) -> None:
    async with http_pool() as pool:
        for name, timeout in (("a", 0.2), ("b", 0.25), ("c", 0.3)):
            await build(parse(_settings(server, model=f"openai:{name}", timeout=timeout)), pool).ainvoke("hello")
    assert [request.body["model"] for request in server.requests] == ["a", "b", "c"]
    assert server.connections == 1


def test_a_second_event_loop_has_a_pool_of_its_own(server: ModelServer) -> None:
    async def once() -> str:
        async with http_pool() as pool:
            return (await build(parse(_settings(server)), pool).ainvoke("hello")).text

    assert [asyncio.run(once()), asyncio.run(once())] == ["ok", "ok"]


async def test_calls_run_side_by_side(server: ModelServer, model: BaseChatModel) -> None:
    server.side_by_side = lambda _: ("all", 4)
    await asyncio.gather(*(model.ainvoke("hello") for _ in range(4)))
    assert (server.max_concurrency, server.depth) == (4, 1)


@pytest.mark.parametrize(("base_url", "sent"), [(None, "max_completion_tokens"), ("http://127.0.0.1:1/v1", "max_tokens")])
def test_the_token_limit_goes_by_the_name_the_endpoint_knows(base_url: str | None, sent: str) -> None:
    model: Any = build(parse({"model": "openai:x", "base_url": base_url, "api_key": KEY, "max_tokens": 7}))
    payload = model._get_request_payload("hi")
    flat = payload | (payload.get("extra_body") or {})
    assert {name: flat.get(name) for name in ("max_tokens", "max_completion_tokens") if flat.get(name)} == {sent: 7}


async def test_a_local_token_limit_reaches_the_server(server: ModelServer) -> None:
    async with http_pool() as pool:
        await build(parse(_settings(server, max_tokens=9, temperature=0.5)), pool).ainvoke("hi")
    body = server.requests[0].body
    assert (body["max_tokens"], body["temperature"]) == (9, 0.5)
    assert "max_completion_tokens" not in body


def test_a_model_is_described_without_its_key(server: ModelServer) -> None:
    model = build(parse(_settings(server)))
    assert describe(model) == f"openai:gpt-x at {server.base_url}"


def test_the_rules_model_is_not_built_here() -> None:
    with pytest.raises(ConfigurationError, match="'rules' is not called over HTTP"):
        build(parse({}))


def test_an_unforeseen_error_keeps_its_name() -> None:
    explained = explain(ZeroDivisionError("1/0"))
    assert type(explained) is ModelError
    assert "ZeroDivisionError" in str(explained)
    assert explain(explained) is explained
    assert type(explain(TimeoutError())) is ModelUnavailable


def test_a_message_that_repeats_the_key_is_quoted_without_it(server: ModelServer) -> None:
    import httpx2
    import openai

    request = httpx2.Request("POST", server.base_url, headers={"authorization": f"Bearer {KEY}"})
    error = openai.BadRequestError(f"bad call by {KEY}", response=httpx2.Response(400, request=request), body=None)
    assert "bad call by ***" in str(explain(error))


def test_settings_do_not_load_the_client_library() -> None:
    code = "import sys, agents.models.openai_compatible; print([m for m in ('openai', 'langchain_openai') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


async def test_the_server_lists_its_models(server: ModelServer) -> None:
    async with http_pool() as pool:
        listed = (await pool.get(f"{server.base_url}/models")).json()
    assert listed["data"][0]["object"] == "model"
