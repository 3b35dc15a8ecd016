"""Spans of a real cycle, sent over OTLP to a real receiver by the standard variables."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from agents import telemetry
from tests.model_server import ModelServer
from tests.otlp_receiver import OtlpReceiver, Span
from tests.rules_brain import rules_brain

CLIENT, ERROR = 3, 2  # the protocol's numbers


async def traced(home: Path, server: ModelServer, receiver: OtlpReceiver, on: str, content: str, **variables: str) -> list[Span]:
    command = [sys.executable, "-m", "tests.integration.traced", str(home), server.base_url, on, content]
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        **variables,
    }
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **told}, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return receiver.spans


def named(spans: list[Span], operation: str) -> list[Span]:
    return [span for span in spans if span.attributes.get(telemetry.OPERATION) == operation]


async def test_a_cycle_is_one_trace_with_its_agents_calls_and_tools(tmp_path: Path) -> None:
    with ModelServer(brain=rules_brain) as server, OtlpReceiver() as receiver:
        spans = await traced(tmp_path, server, receiver, "on", "plain")
        asked = len(server.requests)
    assert set(receiver.paths) == {"/v1/traces"}
    assert len({span.trace_id for span in spans}) == 1
    by_id = {span.span_id: span for span in spans}
    (run,) = named(spans, "invoke_workflow")
    assert run.name == "run cycle"
    assert run.parent_id == ""
    assert run.attributes["algotrendy.run.state"] == "done"
    assert run.attributes["gen_ai.workflow.name"] == "cycle"
    assert run.resource["service.name"] == "algotrendy"
    assert run.resource["service.version"]
    assert run.resource["deployment.environment.name"] == "test"

    agents = named(spans, "invoke_agent")
    assert {span.name for span in agents} >= {"invoke_agent market_analysis", "invoke_agent signal", "invoke_agent risk"}
    for span in agents:
        assert span.name == f"invoke_agent {span.attributes['gen_ai.agent.name']}"
        assert span.parent_id == run.span_id
        assert span.attributes["algotrendy.run.id"] == run.attributes["algotrendy.run.id"]
        assert span.attributes["algotrendy.outcome"] == "answered"

    chats = named(spans, "chat")
    assert len(chats) == asked
    for span in chats:
        assert span.name == "chat local"
        assert span.kind == CLIENT
        assert span.attributes["gen_ai.provider.name"] == "openai"
        assert span.attributes["gen_ai.request.model"] == "local"
        assert span.attributes["server.address"] == "127.0.0.1"
        assert span.attributes["server.port"] == int(server.base_url.split(":")[2].split("/")[0])
        assert span.attributes["gen_ai.usage.input_tokens"] > 0
        assert span.attributes["gen_ai.usage.output_tokens"] > 0
        assert by_id[span.parent_id].name.startswith("invoke_agent ")
    for span in agents:
        mine = [chat for chat in chats if chat.parent_id == span.span_id]
        assert span.attributes["gen_ai.usage.input_tokens"] == sum(c.attributes["gen_ai.usage.input_tokens"] for c in mine)

    tools = named(spans, "execute_tool")
    assert tools
    for span in tools:
        assert span.name == f"execute_tool {span.attributes['gen_ai.tool.name']}"
        assert span.attributes["gen_ai.tool.type"] == "function"
        assert by_id[span.parent_id].name.startswith("invoke_agent ")
    assert not [span for span in spans if span.status == ERROR]


async def test_what_was_said_is_sent_only_when_asked_for(tmp_path: Path) -> None:
    held = {}
    for content in ("plain", "content"):
        with ModelServer(brain=rules_brain) as server, OtlpReceiver() as receiver:
            spans = await traced(tmp_path / content, server, receiver, "on", content)
            held[content] = receiver.raw
            keys = {key for span in spans for key in span.attributes}
        private = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result"}
        assert keys & private == (private if content == "content" else set())
    for said in (b"Decide about SOL/USDT", b"RSI"):
        assert said not in held["plain"]
        assert said in held["content"]


async def test_nothing_is_sent_unless_asked_for(tmp_path: Path) -> None:
    with ModelServer(brain=rules_brain) as server, OtlpReceiver() as receiver:
        assert await traced(tmp_path, server, receiver, "off", "content") == []
    assert receiver.paths == []
