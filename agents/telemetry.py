"""Spans of agents, model calls and tool calls, by OpenTelemetry's semantic conventions for generative AI.

    https://github.com/open-telemetry/semantic-conventions-genai

Only the API is used: without an SDK in the process every span is a no-op. What is said to a model and what it answers is not put
on a span unless `capture_content` is set; what failed is named by its type, for the text of an error may quote a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.types import Command
from langgraph.typing import ContextT
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from agents.outcome import Outcome
from tools.base import Tool
from tools.context import Evidence, ToolContext

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
AGENT_NAME = "gen_ai.agent.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
RUN_ID = "algotrendy.run.id"
SUBJECT = "algotrendy.subject"
OUTCOME = "algotrendy.outcome"
REUSED = "algotrendy.answer.reused"
EVIDENCE_ID = "algotrendy.evidence.id"

capture_content: ContextVar[bool] = ContextVar("capture_content", default=False)
"""Whether prompts, answers, arguments and results are put on spans. Set by whoever opens the process, for all its tasks."""

_ROLES = {"human": "user", "ai": "assistant"}
_PORTS = {"http": 80, "https": 443}
_UNDECLARED = "unknown"  # a tool that a model made up: any text could be its name


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """How a model is named on spans. `address` and `port` are empty and None for one inside this process."""

    provider: str
    name: str
    address: str = ""
    port: int | None = None

    @classmethod
    def of(cls, model: BaseChatModel) -> ModelIdentity:
        name = getattr(model, "model_name", None)
        endpoint = getattr(model, "openai_api_base", None)
        if not name or not endpoint:
            return cls("algotrendy", model._llm_type)
        url = urlsplit(str(endpoint))
        return cls("openai", str(name), url.hostname or "", url.port or _PORTS.get(url.scheme))

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {PROVIDER: self.provider, REQUEST_MODEL: self.name}
        if self.address:
            found[SERVER_ADDRESS] = self.address
        if self.port is not None:
            found[SERVER_PORT] = self.port
        return found


@contextmanager
def spanned(name: str, attributes: Mapping[str, AttributeValue], kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """A span around a block; an error that leaves the block is noted by its type and goes on."""
    tracer = trace.get_tracer("algotrendy")
    with tracer.start_as_current_span(
        name, kind=kind, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            failed(span, type(error).__name__)
            raise


def failed(span: Span, kind: str) -> None:
    """Mark a span as failed. `kind` is one of few words, never a text that somebody else wrote."""
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def invoking(agent: str, model: BaseChatModel, *, run_id: str, subject: str = "") -> Iterator[Span]:
    """The span of one answer of an agent."""
    identity = ModelIdentity.of(model)
    attributes = {**identity.attributes, OPERATION: "invoke_agent", AGENT_NAME: agent, RUN_ID: run_id}
    if subject:
        attributes[SUBJECT] = subject
    with spanned(f"invoke_agent {agent}", attributes) as span:
        yield span


def came_of(span: Span, outcome: Outcome[Any]) -> None:
    """Note on an agent's span what it came to and what it cost."""
    span.set_attribute(INPUT_TOKENS, outcome.usage.input_tokens)
    span.set_attribute(OUTPUT_TOKENS, outcome.usage.output_tokens)
    span.set_attribute(OUTCOME, "abstained" if outcome.abstained else "answered")
    span.set_attribute(REUSED, outcome.reused)
    if outcome.answer is None:
        failed(span, "no_answer")


async def traced_call(tool: Tool[Any], context: ToolContext, arguments: dict[str, Any]) -> Evidence:
    """Call a tool that an agent opens with, inside a span of its own."""
    with spanned(f"execute_tool {tool.name}", _tool(tool.name)) as span:
        evidence = await tool.call(context, arguments)
        span.set_attribute(EVIDENCE_ID, evidence.id)
        if "error" in evidence.result:
            failed(span, "tool_error")
        if capture_content.get():
            span.set_attribute(TOOL_ARGUMENTS, _json(evidence.arguments))
            span.set_attribute(TOOL_RESULT, evidence.as_text())
        return evidence


class Traced(AgentMiddleware[Any, ContextT]):
    """Puts a span around each call of the model and of a tool. The last of an agent's middlewares, so that each call is seen.

    Args:
        tools: the names that the agent knows; another one is not put on a span.
    """

    def __init__(self, model: BaseChatModel, tools: Sequence[str]) -> None:
        super().__init__()
        self._model, self._known = ModelIdentity.of(model), frozenset(tools)

    async def awrap_model_call(
        self, request: ModelRequest[ContextT], handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        attributes = {**self._model.attributes, OPERATION: "chat"}
        kind = SpanKind.CLIENT if self._model.address else SpanKind.INTERNAL
        with spanned(f"chat {self._model.name}", attributes, kind) as span:
            if capture_content.get():
                told = [request.system_message, *request.messages] if request.system_message else request.messages
                span.set_attribute(INPUT_MESSAGES, _messages(told))
            try:
                response = await handler(request)
            except StructuredOutputError as error:
                _answered(span, [error.ai_message])
                raise
            _answered(span, [message for message in response.result if isinstance(message, AIMessage)])
            return response

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        asked = request.tool_call
        name = asked["name"] if asked["name"] in self._known else _UNDECLARED
        with spanned(f"execute_tool {name}", _tool(name) | {TOOL_CALL_ID: str(asked["id"])[:100]}) as span:
            if capture_content.get():
                span.set_attribute(TOOL_ARGUMENTS, _json(asked["args"]))
            result = await handler(request)
            if isinstance(result, ToolMessage):
                if result.status == "error":
                    failed(span, "tool_error")
                if capture_content.get():
                    span.set_attribute(TOOL_RESULT, result.text)
            return result


def _tool(name: str) -> dict[str, AttributeValue]:
    return {OPERATION: "execute_tool", TOOL_NAME: name, TOOL_TYPE: "function"}


def _answered(span: Span, messages: Sequence[AIMessage]) -> None:
    for message in messages:
        if message.usage_metadata:
            span.set_attribute(INPUT_TOKENS, message.usage_metadata["input_tokens"])
            span.set_attribute(OUTPUT_TOKENS, message.usage_metadata["output_tokens"])
        told = message.response_metadata
        if isinstance(model := told.get("model_name"), str):
            span.set_attribute(RESPONSE_MODEL, model[:100])
        if isinstance(reason := told.get("finish_reason"), str):
            span.set_attribute(FINISH_REASONS, [reason[:100]])
    if capture_content.get():
        span.set_attribute(OUTPUT_MESSAGES, _messages(messages))


def _messages(messages: Sequence[AnyMessage]) -> str:
    return _json([{"role": _ROLES.get(each.type, each.type), "parts": _parts(each)} for each in messages])


def _parts(message: AnyMessage) -> list[dict[str, Any]]:
    if isinstance(message, ToolMessage):
        return [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}]
    parts: list[dict[str, Any]] = [{"type": "text", "content": message.text}] if message.text else []
    if isinstance(message, AIMessage):
        calls = message.tool_calls
        parts += [{"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]} for call in calls]
    return parts


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)
