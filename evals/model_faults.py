"""A chat model that errs on demand, in front of any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from agents.roster import ROSTER
from evals.fault_counter import FaultCounter
from trading_core.domain.errors import ModelUnavailable

_TOLD = "told"
_AGENTS = {spec.answer.__name__: str(name) for name, spec in ROSTER.items()}


def told(bound: dict[str, Any]) -> dict[str, Any]:
    """What a request tells beside its messages, in the form of the OpenAI protocol, whichever model it goes to."""
    found: dict[str, Any] = bound.get(_TOLD, {})
    return found


def agent_asked(bound: dict[str, Any]) -> str:
    """Which agent a request is of, by the answer it asks for; empty when it asks for none of theirs."""
    schema = told(bound).get("response_format", {}).get("json_schema", {}).get("name", "")
    return _AGENTS.get(schema, "")


class Front(BaseChatModel):
    """A chat model that stands before another and binds what that one would bind."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inner: BaseChatModel

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        bound = getattr(self.inner.bind_tools(tools, tool_choice=tool_choice, **kwargs), "kwargs", {})
        shown = {"tools": [convert_to_openai_tool(tool) for tool in tools], **kwargs}
        return self.bind(**{_TOLD: shown, **bound})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise ModelUnavailable("scenarios are run asynchronously only", not_done="No model was asked")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=await self.answer(messages, stop, kwargs))])

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        """What the model in front says; here, what the one behind it says."""
        passed_on = bound if isinstance(self.inner, Front) else {key: value for key, value in bound.items() if key != _TOLD}
        return await self.inner.ainvoke(messages, stop=stop, **passed_on)


class FaultyModel(Front):
    """Errs for the agents that the scenario names; asks the model behind it otherwise."""

    faults: FaultCounter

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        match self.faults.strikes("model", agent_asked(bound)):
            case "timeout":
                raise TimeoutError
            case "refused":
                raise ModelUnavailable("the endpoint refused the call", not_done="The agent gave no answer")
            case "invalid":
                return AIMessage('{"weather": "sunny"}')
            case "empty":
                return AIMessage("")
            case "never_stops":
                return _another_call(messages)
            case _:
                return await super().answer(messages, stop, bound)


def _another_call(messages: Sequence[BaseMessage]) -> AIMessage:
    """The first tool that was ever called in the conversation, once more."""
    first = next(call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls)
    return AIMessage("", tool_calls=[{**first, "id": f"again_{len(messages)}"}])
