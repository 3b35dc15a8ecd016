"""Agents in conversation: the same five, talking to an operator in words, with that operator's rights and never with more."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.types import Command

from agents.agent import apart, count_unheard, count_usage, explained, tokens_of
from agents.chat_roster import CHAT_ROSTER, ChatSpec
from agents.grounding import cited, problems
from agents.models.failures import is_unheard
from agents.outcome import Usage
from agents.spec import AgentName
from agents.telemetry import Traced, invoking, traced_call
from tools.base import Tool
from tools.context import Evidence, ToolContext
from tools.registry import CHAT_TOOLS
from trading_core.domain.errors import InvalidAnswer, ModelError, StoreUnavailable

_log = logging.getLogger("algotrendy.agents")

LONGEST_ANSWER = 4_000  # characters
CUT = " … [cut: the answer was too long]"
_MOST_TOOL_CALLS = 16  # of one answer; more is a model that has lost its way


class Hearer(Protocol):
    """Whoever follows an answer as it is made."""

    async def said(self, text: str) -> None: ...

    async def called(self, tool: str, arguments: Mapping[str, object], call: str) -> None: ...

    async def answered(self, tool: str, call: str, evidence: Evidence) -> None: ...


class Journal(Protocol):
    """Model calls of one answer that ended in tool calls: a killed answer goes on after them and does not pay for them again."""

    async def kept(self) -> Sequence[AIMessage]:
        """In the order in which they were made."""
        ...

    async def keep(self, number: int, message: AIMessage) -> None: ...


class _NoJournal:
    async def kept(self) -> Sequence[AIMessage]:
        return ()

    async def keep(self, number: int, message: AIMessage) -> None:
        del number, message


@dataclass(slots=True)
class ChatContext(ToolContext):
    """A tool context of one answer, which also counts what it costs.

    Attributes:
        symbols: those that are spoken of.
        paid_for: model calls that the journal has.
    """

    symbols: tuple[str, ...] = ()
    journal: Journal = field(default_factory=_NoJournal)
    paid_for: Sequence[AIMessage] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ChatOutcome:
    """What came of asking.

    Attributes:
        content: the answer; of a failure, the desk's own sentence about it.
        why: for failures, what went wrong.
        problems: numbers in the answer that its evidence does not hold.
    """

    agent: AgentName
    content: str
    why: str
    problems: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    cites: tuple[str, ...]
    usage: Usage
    model: str
    seconds: float

    @property
    def grounded(self) -> bool:
        return not self.why and not self.problems


class _Bounds(AgentMiddleware[Any, ChatContext]):
    """Counts and bounds model calls and tool calls, and gives back those model calls that are already paid for."""

    def __init__(self, spec: ChatSpec, tools: Mapping[str, Tool[Any]]) -> None:
        super().__init__()
        self._spec, self._tools = spec, tools

    async def awrap_model_call(
        self,
        request: ModelRequest[ChatContext],
        handler: Callable[[ModelRequest[ChatContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        context = request.runtime.context
        usage, number = context.usage, context.usage.model_calls
        if number >= self._spec.model_calls:
            raise InvalidAnswer(f"the model was called {number} times and still gave no answer")
        usage.model_calls += 1
        if number < len(context.paid_for):
            paid = context.paid_for[number]
            count_usage(usage, paid)
            usage.tool_calls += len(paid.tool_calls)
            return ModelResponse(result=[paid])
        if usage.model_calls == self._spec.model_calls or usage.tool_calls >= _MOST_TOOL_CALLS:
            request = request.override(tools=[])  # it has to answer now
        try:
            response = await handler(request)
        except BaseException as error:
            if is_unheard(error):
                count_unheard(usage, request)
            raise
        for message in response.result:
            if isinstance(message, AIMessage):
                count_usage(usage, message)
                usage.tool_calls += len(message.tool_calls)
                if usage.tool_calls > _MOST_TOOL_CALLS:
                    raise InvalidAnswer(f"the model asked for {usage.tool_calls} tool calls")
                if message.tool_calls:
                    await context.journal.keep(number, message)
        return response

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Drop what the tool does not take: an argument called `self` would reach a method of LangChain's."""
        tool = self._tools.get(request.tool_call["name"])
        if tool is not None:
            known = {key: value for key, value in request.tool_call["args"].items() if key in tool.arguments.model_fields}
            request = request.override(tool_call={**request.tool_call, "args": known})
        return await handler(request)


class ChatAgent:
    """A chat spec bound to a model."""

    def __init__(
        self, spec: ChatSpec, model: BaseChatModel, model_name: str, tools: Mapping[str, Tool[Any]] = CHAT_TOOLS
    ) -> None:
        self.spec, self.model_name, self._model, self._tools = spec, model_name, model, tools
        self._graph = create_agent(
            model,
            [tools[name].as_langchain() for name in spec.tools],
            system_prompt=spec.prompt,
            middleware=[_Bounds(spec, tools), Traced(model, spec.tools)],
            context_schema=ChatContext,
            checkpointer=False,  # what a turn needs to go on is in the ledger
            name=f"chat_{spec.name}",
        )

    async def talk(
        self,
        question: str,
        history: Sequence[AnyMessage],
        context: ChatContext,
        hearer: Hearer,
    ) -> ChatOutcome:
        """One answer to a question, told to `hearer` as it comes. Never raises for what a model does."""
        started = time.perf_counter()
        spoken = _Spoken(hearer, context)
        why, is_cut_off = "", False
        with invoking(f"chat_{self.spec.name}", self._model, run_id=context.run_id):
            try:
                async with asyncio.timeout(self.spec.timeout):
                    context.paid_for = await context.journal.kept()
                    opening = await self._opening(context, hearer)
                    await apart(self._stream([*history, HumanMessage(question), *opening], context, spoken))
            except StoreUnavailable:  # nobody can be told anything, so the turn stops here and goes on later
                raise
            except Exception as error:  # whatever a model or its endpoint does ends in a sentence about it, never in a crash
                known = explained(error, self.spec.timeout)
                if type(known) is ModelError:
                    _log.exception("agent %s failed in a way nobody foresaw in a conversation", self.spec.name)
                why = str(known)
                is_cut_off = isinstance(error, TimeoutError)
            if spoken.is_full or is_cut_off:
                context.usage.output_tokens += tokens_of(spoken.text)
        if not why and not spoken.text.strip():
            why = str(InvalidAnswer("the model's answer is empty"))
        content = spoken.text.strip() if not why else f"The {_spoken_name(self.spec.name)} agent could not answer: {why}"
        return ChatOutcome(
            agent=self.spec.name,
            content=content,
            why=why,
            problems=() if why else tuple(problems([content], context.evidence)),
            evidence=tuple(context.evidence.values()),
            cites=tuple(cited([content])),
            usage=context.usage,
            model=self.model_name,
            seconds=time.perf_counter() - started,
        )

    async def _opening(self, context: ChatContext, hearer: Hearer) -> list[AnyMessage]:
        """The usual tool calls, made at once and laid into the conversation as if the model had asked for them."""
        moves: list[tuple[str, str, dict[str, Any]]] = []
        for name in self.spec.opening:
            takes = self._tools[name].arguments.model_fields
            for key in ("symbol", "about"):
                if key in takes and takes[key].is_required():
                    moves += [(f"call_{len(moves) + at}", name, {key: symbol}) for at, symbol in enumerate(context.symbols)]
                    break
            else:
                moves.append((f"call_{len(moves)}", name, {}))
        if not moves:
            return []
        for id_, name, arguments in moves:
            await hearer.called(name, arguments, id_)
        found = await asyncio.gather(*(traced_call(self._tools[name], context, dict(arguments)) for _, name, arguments in moves))
        for (id_, name, _), item in zip(moves, found, strict=True):
            await hearer.answered(name, id_, item)
        return [
            AIMessage("", tool_calls=[{"id": id_, "name": name, "args": arguments} for id_, name, arguments in moves]),
            *(
                ToolMessage(item.as_text(), tool_call_id=id_, name=name)
                for (id_, name, _), item in zip(moves, found, strict=True)
            ),
        ]

    async def _stream(self, messages: Sequence[AnyMessage], context: ChatContext, spoken: _Spoken) -> None:
        stream = self._graph.astream({"messages": [*messages]}, context=context, stream_mode=["messages", "updates"])
        # Closed at once when enough was said: what is not read need not be made.
        async with aclosing(cast("AsyncGenerator[tuple[str, Any], None]", stream)) as parts:
            async for mode, told in parts:
                if mode == "messages":
                    chunk, about = told
                    # What a model says in one piece comes as a whole message.
                    if isinstance(chunk, AIMessage) and about.get("langgraph_node") == "model":
                        await spoken.hear(chunk)
                        if spoken.is_full:
                            return
                else:
                    await spoken.follow(told)


class _Spoken:
    """What an answer has come to so far."""

    def __init__(self, hearer: Hearer, context: ToolContext) -> None:
        self._hearer, self._context = hearer, context
        self.text, self.is_full = "", False
        self._message = ""

    async def hear(self, chunk: AIMessage) -> None:
        text = str(chunk.text)
        if not text:
            return
        if chunk.id != self._message:  # a model may speak before it calls a tool, and again after
            self._message, text = chunk.id or "", ("\n\n" if self.text else "") + text
        if len(self.text) + len(text) > LONGEST_ANSWER:
            text = text[: LONGEST_ANSWER - len(self.text)] + CUT
            self.is_full = True
        self.text += text
        await self._hearer.said(text)

    async def follow(self, update: Mapping[str, Any]) -> None:
        """Tool calls and their results, as the graph's nodes report them."""
        for node in update.values():
            for message in (node or {}).get("messages", ()):
                if isinstance(message, AIMessage):
                    for call in message.tool_calls:
                        await self._hearer.called(call["name"], call["args"], call["id"] or "")
                elif isinstance(message, ToolMessage):
                    evidence = self._context.evidence.get(_evidence_id(message))
                    if evidence is not None:
                        await self._hearer.answered(evidence.tool, message.tool_call_id, evidence)


def _evidence_id(message: ToolMessage) -> str:
    try:
        return str(json.loads(message.text)["evidence"])
    except (ValueError, KeyError, TypeError):
        return ""  # LangChain's own word on a tool that does not exist


def _spoken_name(name: AgentName) -> str:
    return name.replace("_", " ")


class ChatAgents:
    """The agents of one desk in conversation. Each is made when it is first asked: most desks are never asked anything.

    Args:
        roster: who they are; with other prompts than the desk's own where those are tried.
    """

    def __init__(
        self,
        model: BaseChatModel,
        model_name: str,
        tools: Mapping[str, Tool[Any]] = CHAT_TOOLS,
        roster: Mapping[AgentName, ChatSpec] = CHAT_ROSTER,
    ) -> None:
        self._default, self._tools, self._roster = (model, model_name), tools, roster
        self._made: dict[tuple[AgentName, str], ChatAgent] = {}

    def get(self, name: AgentName, other: tuple[BaseChatModel, str] | None = None) -> ChatAgent:
        """An agent, on the desk's model or on `other`, a model with its name."""
        model, model_name = other or self._default
        key = name, model_name
        if key not in self._made:
            self._made[key] = ChatAgent(self._roster[name], model, model_name, self._tools)
        return self._made[key]
