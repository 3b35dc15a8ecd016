"""Asking an agent: opening moves, one model call as a rule, one repair, and abstention when anything goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain.agents.structured_output import ProviderStrategy, StructuredOutputError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from pydantic import ValidationError

from agents.answers import Answer, reasons_of
from agents.grounding import cited, problems
from agents.models.failures import is_unheard
from agents.models.openai_compatible import explain
from agents.outcome import Outcome, Usage
from agents.spec import AgentSpec
from agents.telemetry import Traced, came_of, invoking, traced_call
from tools.base import SymbolArguments, Tool
from tools.context import Evidence, ToolContext
from tools.registry import TOOLS
from trading_core.domain.errors import InvalidAnswer, ModelError, ModelUnavailable
from trading_core.domain.intents import digest

T = TypeVar("T", bound=Answer)
R = TypeVar("R")

_log = logging.getLogger("algotrendy.agents")

_MOST_TOOL_CALLS = 12  # in one model answer; more is a model that has lost its way
_MOST_TOLD = 300  # characters of what was wrong with an answer: the name of a field it made up can be of any length
_MOST_TOKENS = 10**8  # of one call; an endpoint can report any number, and a column of the record cannot hold any number


@dataclass(slots=True)
class AgentContext(ToolContext):
    """A tool context that also counts what the answer costs. `subject` is what is asked about."""

    subject: str = ""
    usage: Usage = field(default_factory=Usage)
    most_calls: int = 4


class AnswerStore(Protocol):
    """Answers by input hash: same facts, same prompt, same model, same answer, and the model is not called."""

    async def get(self, key: str) -> dict[str, Any] | None: ...

    async def put(self, key: str, agent: str, model: str, content: dict[str, Any]) -> None: ...


class _Calls(AgentMiddleware[Any, AgentContext]):
    """Counts and bounds model calls, and gives an invalid answer its one repair."""

    def __init__(self, tools: Mapping[str, Tool[Any]]) -> None:
        super().__init__()
        self._offered = tools

    async def awrap_model_call(
        self,
        request: ModelRequest[AgentContext],
        handler: Callable[[ModelRequest[AgentContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        context = request.runtime.context
        try:
            return await self._call(request, handler, context)
        except StructuredOutputError as error:
            if context.usage.repairs:
                raise
            context.usage.repairs += 1
            told = HumanMessage(
                f"That answer was not valid: {_first_line(error)[:_MOST_TOLD]}. "
                "Answer once more with the JSON object alone, exactly in the schema."
            )
            shown = error.ai_message.model_copy(update={"content": error.ai_message.text[:2000] or "(empty)", "tool_calls": []})
            return await self._call(request.override(messages=[*request.messages, shown, told]), handler, context)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Drop what the tool does not take: an argument called `self` would reach a method of LangChain's."""
        tool = self._offered.get(request.tool_call["name"])
        if tool is not None:
            known = {key: value for key, value in request.tool_call["args"].items() if key in tool.arguments.model_fields}
            request = request.override(tool_call={**request.tool_call, "args": known})
        return await handler(request)

    async def _call(
        self,
        request: ModelRequest[AgentContext],
        handler: Callable[[ModelRequest[AgentContext]], Awaitable[ModelResponse[Any]]],
        context: AgentContext,
    ) -> ModelResponse[Any]:
        if context.usage.model_calls >= context.most_calls:
            raise InvalidAnswer(f"the model was called {context.usage.model_calls} times and still gave no answer")
        context.usage.model_calls += 1
        try:
            response = await handler(request)
        except StructuredOutputError as error:
            count_usage(context.usage, error.ai_message)
            raise
        except BaseException as error:
            if is_unheard(error):
                count_unheard(context.usage, request)
            raise
        for message in response.result:
            if isinstance(message, AIMessage):
                count_usage(context.usage, message)
                context.usage.tool_calls += len(message.tool_calls)
                if len(message.tool_calls) > _MOST_TOOL_CALLS:
                    raise InvalidAnswer(f"the model asked for {len(message.tool_calls)} tool calls at once")
        return response


class Agent(Generic[T]):
    """An agent spec bound to a model.

    Args:
        model_name: how the model is called in the record; part of the key under which answers are reused.
        tools: what the names in the spec stand for.
    """

    def __init__(
        self,
        spec: AgentSpec[T],
        model: BaseChatModel,
        model_name: str,
        store: AnswerStore | None = None,
        tools: Mapping[str, Tool[Any]] = TOOLS,
    ) -> None:
        self.spec, self.model_name, self._store, self._tools = spec, model_name, store, tools
        self._model, self._offered = model, [tools[name] for name in spec.tools]

    @cached_property
    def _graph(self) -> CompiledStateGraph[Any, AgentContext, Any, Any]:
        """Made when it is first asked: most desks never ask all of their agents, and some ask none."""
        spec, tools = self.spec, self._tools
        return create_agent(
            self._model,
            [tool.as_langchain() for tool in self._offered],
            system_prompt=spec.prompt,
            response_format=ProviderStrategy(spec.answer),
            middleware=[_Calls(tools), Traced(self._model, spec.tools)],
            context_schema=AgentContext,
            # A run's checkpoints hold decisions, not conversations; those are in the record.
            checkpointer=False,
            name=spec.name,
        )

    async def ask(self, subject: str, context: AgentContext) -> Outcome[T]:
        """One answer about `subject` (a symbol, or empty for the whole run). Never raises for what a model does."""
        with invoking(self.spec.name, self._model, run_id=context.run_id, subject=subject) as span:
            outcome = await self._ask(subject, context)
            came_of(span, outcome)
            return outcome

    def speaking_through(self, model: BaseChatModel, model_name: str) -> Agent[T]:
        """The same agent with another model, whose answers are not kept for later runs."""
        return Agent(self.spec, model, model_name, None, self._tools)

    def silent(self, subject: str, why: str) -> Outcome[T]:
        """The outcome of not asking it: it abstains, nothing was called, and `why` is on record."""
        spec, usage = self.spec, Usage()
        return Outcome(spec.name, subject, None, True, why, (), (), (), usage, self.model_name, spec.prompt_hash, "", False, 0.0)

    async def _ask(self, subject: str, context: AgentContext) -> Outcome[T]:
        started = time.perf_counter()
        messages = await self._opening(subject, context)
        key = self._key(messages, context)
        stored = await self._stored(key)
        blank: Outcome[T] = Outcome(
            self.spec.name,
            subject,
            None,
            True,
            "",
            (),
            (),
            (),
            context.usage,
            self.model_name,
            self.spec.prompt_hash,
            key,
            False,
            0.0,
        )
        if stored is not None:
            answer, evidence = stored
            for item in evidence:
                context.keep(item)
            outcome = self._outcome(blank, answer, context)
            return replace(outcome, reused=True, seconds=time.perf_counter() - started)
        try:
            async with asyncio.timeout(self.spec.timeout):
                result = await apart(self._graph.ainvoke({"messages": [*messages]}, context=context))
            outcome = self._outcome(blank, result["structured_response"], context)
        except Exception as error:  # whatever a model or its endpoint does ends in an abstention, never in a crash
            known = explained(error, self.spec.timeout)
            if type(known) is ModelError:
                _log.exception("agent %s on %r failed in a way nobody foresaw", self.spec.name, subject)
            outcome = replace(blank, why=str(known), evidence=tuple(context.evidence.values()))
        return replace(outcome, seconds=time.perf_counter() - started)

    async def remember(self, outcome: Outcome[T]) -> None:
        """Keep a fresh answer, so that the same question need not be asked again. Failures are not kept."""
        if self._store and outcome.answer is not None and not outcome.reused:
            await self._store.put(outcome.input_hash, self.spec.name, self.model_name, _storable(outcome))

    async def _stored(self, key: str) -> tuple[T, list[Evidence]] | None:
        """The kept answer to exactly this, with its evidence; None when there is none that still fits the schema."""
        kept = await self._store.get(key) if self._store else None
        if kept is None:
            return None
        try:
            evidence = [Evidence(row["id"], row["tool"], row["arguments"], row["result"]) for row in kept["evidence"]]
            return self.spec.answer.model_validate(kept["answer"]), evidence
        except (ValidationError, KeyError, TypeError):
            return None

    def _outcome(self, blank: Outcome[T], answer: T, context: AgentContext) -> Outcome[T]:
        texts = reasons_of(answer)
        return replace(
            blank,
            answer=answer,
            abstained=answer.abstained,
            problems=tuple(problems(texts, context.evidence)),
            evidence=tuple(context.evidence.values()),
            cites=tuple(cited(texts)),
        )

    async def _opening(self, subject: str, context: AgentContext) -> list[AnyMessage]:
        """The usual tool calls, made at once and laid into the conversation as if the model had asked for them."""
        moves = []
        for index, name in enumerate(self.spec.opening):
            arguments = {"symbol": subject} if issubclass(self._tools[name].arguments, SymbolArguments) else {}
            moves.append((f"call_{index}", name, arguments))
        evidence = await asyncio.gather(
            *(traced_call(self._tools[name], context, dict(arguments)) for _, name, arguments in moves)
        )
        about = f" about {subject}" if subject else ""
        return [
            HumanMessage(f"Decide{about} as of the facts below."),
            AIMessage("", tool_calls=[{"id": id_, "name": name, "args": arguments} for id_, name, arguments in moves]),
            *(
                ToolMessage(item.as_text(), tool_call_id=id_, name=name)
                for (id_, name, _), item in zip(moves, evidence, strict=True)
            ),
        ]

    def _key(self, messages: list[AnyMessage], context: AgentContext) -> str:
        shown = [message.content for message in messages]
        return digest([self.spec.name, self.model_name, self.spec.prompt_hash, context.snapshot.content_hash, shown])


async def apart(work: Coroutine[Any, Any, R]) -> R:
    """Run a graph as one of its own: inside a node it would take over the outer graph's checkpoint settings."""
    own = contextvars.copy_context()
    own.run(var_child_runnable_config.set, None)
    return await asyncio.create_task(work, context=own)


def _storable(outcome: Outcome[Any]) -> dict[str, Any]:
    evidence = [{"id": e.id, "tool": e.tool, "arguments": dict(e.arguments), "result": dict(e.result)} for e in outcome.evidence]
    return {"answer": outcome.answer.model_dump(mode="json") if outcome.answer else None, "evidence": evidence}


def count_usage(usage: Usage, message: AIMessage) -> None:
    """Add what the endpoint says a message cost."""
    if message.usage_metadata:
        usage.input_tokens += _bounded(message.usage_metadata["input_tokens"])
        usage.output_tokens += _bounded(message.usage_metadata["output_tokens"])


def count_unheard(usage: Usage, request: ModelRequest[Any]) -> None:
    """Add about what was asked, of a call whose answer is given up: it is paid for, and nobody says what it cost."""
    asked = [request.system_message, *request.messages]
    usage.input_tokens += tokens_of("".join(message.text for message in asked if message is not None))


def tokens_of(text: str) -> int:
    """About how many tokens a text has: a token of English has four characters."""
    return _bounded(-(-len(text) // 4))


def _bounded(tokens: int) -> int:
    return min(max(tokens, 0), _MOST_TOKENS)


def explained(error: Exception, timeout: float) -> ModelError:
    """The desk's word for what kept an agent from answering within `timeout` seconds."""
    if isinstance(error, ModelError):
        return error
    if isinstance(error, TimeoutError):
        return ModelUnavailable(f"no answer within {timeout:g} s")
    return explain(error)


def _first_line(error: StructuredOutputError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ValidationError):
            first = cause.errors(include_url=False, include_input=False)[0]
            return f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}"
        if isinstance(cause, json.JSONDecodeError):
            return f"it is no JSON ({cause.msg} at character {cause.pos})"
        cause = cause.__cause__
    return str(error).splitlines()[0][:200]
