"""A deterministic chat model: reads the tool results in the conversation, answers in the asked schema by published rules, and an
operator's questions in plain sentences.

It asks for a tool whose result it needs and does not have, as any model would. It is no language model and says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agents.answers import Answer
from agents.models.rules import execution, market_analysis, rebalancing, risk, signal
from agents.models.rules.chat import respond
from agents.models.rules.facts import Facts

RULES_MODEL_NAME = "rules"

_SYMBOL_NEEDED = frozenset({"get_ticker", "get_indicators", "get_market_view", "get_position"})
_RULES: dict[str, tuple[Callable[[Facts], Answer], tuple[str, ...]]] = {
    "MarketView": (market_analysis.decide, ("get_ticker", "get_indicators")),
    "Signal": (signal.decide, ("get_market_view", "get_ticker", "get_indicators", "get_position")),
    "RiskPlan": (risk.decide, ("get_proposals", "get_portfolio", "get_limits", "get_correlations")),
    "ExecutionPlan": (execution.decide, ("get_approved_orders",)),
    "RebalancePlan": (rebalancing.decide, ("get_volatilities", "get_limits")),
}
_NO_SCHEMA = "I am the rules model: no LLM, only published indicator rules. I answer the five agents' questions and no others."


class RulesModel(BaseChatModel):
    """The embedded default model (`rules`)."""

    @property
    def _llm_type(self) -> str:
        return RULES_MODEL_NAME

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": RULES_MODEL_NAME}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """How it is named in traces."""
        del stop
        name = str(kwargs.get("model", RULES_MODEL_NAME))
        return LangSmithParams(ls_provider="algotrendy", ls_model_name=name, ls_model_type="chat")

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        del tool_choice  # it always calls what it needs, and nothing else
        return self.bind(tools=[convert_to_openai_tool(tool)["function"]["name"] for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Microseconds of arithmetic: a thread would cost more than the work.
        del stop, run_manager
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        del stop, run_manager
        yield from _pieces(self._answer(messages, kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del stop, run_manager
        for piece in _pieces(self._answer(messages, kwargs)):
            yield piece

    def _answer(self, messages: list[BaseMessage], bound: dict[str, Any]) -> AIMessage:
        schema = bound.get("response_format", {}).get("json_schema", {}).get("name")
        rule = _RULES.get(schema)
        if rule is None:
            return respond(messages, bound.get("tools", ())) or AIMessage(_NO_SCHEMA)
        decide, needed = rule
        facts = Facts.read(messages)
        missing = [tool for tool in needed if tool not in facts.by_tool and tool in bound.get("tools", ())]
        subject = _subject(facts)
        if missing and (subject or not _SYMBOL_NEEDED & set(missing)):
            calls = [
                {
                    "id": f"rules_{len(messages)}_{tool}",
                    "name": tool,
                    "args": {"symbol": subject} if tool in _SYMBOL_NEEDED else {},
                }
                for tool in missing
            ]
            return AIMessage("", tool_calls=calls)
        return AIMessage(json.dumps(decide(facts).model_dump(mode="json")))


def _pieces(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """A message as it is streamed: words one by one, anything else at once."""
    if isinstance(message.content, str) and not message.tool_calls:
        words = re.findall(r"\S+\s*|\s+", message.content) or [""]
        for word in words[:-1]:
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        content: Any = words[-1]
    else:
        content = message.content
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(message.tool_calls)
    ]
    last = AIMessageChunk(
        content=content,
        tool_call_chunks=calls,
        usage_metadata=message.usage_metadata,
        additional_kwargs=message.additional_kwargs,
    )
    last.chunk_position = "last"
    yield ChatGenerationChunk(message=last)


def _subject(facts: Facts) -> str:
    return next((str(fact.values["symbol"]) for fact in facts.by_tool.values() if "symbol" in fact.values), "")
