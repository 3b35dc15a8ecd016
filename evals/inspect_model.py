"""Inspect's model as the desk's chat model, so that an agent's every call goes through Inspect and is in its log.

Needs the extra `inspect`: https://inspect.aisi.org.uk/models.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    ResponseSchema,
    get_model,
)
from inspect_ai.tool import ToolCall, ToolInfo, ToolParams
from inspect_ai.util import JSONSchema
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from trading_core.domain.errors import ModelUnavailable


class InspectModel(BaseChatModel):
    """The model of the running Inspect task."""

    @property
    def _llm_type(self) -> str:
        return "inspect"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        del tool_choice  # the agents leave it to the model
        return self.bind(tools=[convert_to_openai_tool(tool)["function"] for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del messages, stop, run_manager, kwargs
        raise ModelUnavailable("Inspect's models are called asynchronously only")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        output = await get_model().generate(
            [_told(message) for message in messages],
            [_tool(tool) for tool in kwargs.get("tools", ())],
            config=GenerateConfig(stop_seqs=stop, response_schema=_schema(kwargs.get("response_format"))),
        )
        if output.error:
            raise ModelUnavailable(output.error)
        calls = [{"id": call.id, "name": call.function, "args": dict(call.arguments)} for call in output.message.tool_calls or ()]
        usage = output.usage
        counted = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        if usage is not None:
            cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
            spent = usage.input_tokens + cached, usage.output_tokens
            counted = UsageMetadata(input_tokens=spent[0], output_tokens=spent[1], total_tokens=sum(spent))
        return ChatResult(
            generations=[ChatGeneration(message=AIMessage(output.completion, tool_calls=calls, usage_metadata=counted))]
        )


def _told(message: BaseMessage) -> ChatMessage:
    if isinstance(message, SystemMessage):
        return ChatMessageSystem(content=message.text)
    if isinstance(message, ToolMessage):
        return ChatMessageTool(content=message.text, tool_call_id=message.tool_call_id, function=message.name)
    if isinstance(message, AIMessage):
        calls = [ToolCall(id=str(call["id"]), function=call["name"], arguments=call["args"]) for call in message.tool_calls]
        return ChatMessageAssistant(content=message.text, tool_calls=calls or None)
    return ChatMessageUser(content=message.text)


def _tool(function: Mapping[str, Any]) -> ToolInfo:
    parameters = ToolParams.model_validate(_inlined(function.get("parameters") or {}, {}))
    return ToolInfo(name=function["name"], description=function["description"], parameters=parameters)


def _schema(asked: Mapping[str, Any] | None) -> ResponseSchema | None:
    if asked is None:
        return None
    wanted = asked["json_schema"]
    schema = JSONSchema.model_validate(_inlined(wanted["schema"], wanted["schema"].get("$defs", {})))
    return ResponseSchema(name=wanted["name"], json_schema=schema, strict=wanted.get("strict"))


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema without references, which Inspect's form does not have."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[str(schema["$ref"]).rpartition("/")[2]], definitions)
    if "const" in schema:
        return {"type": "string", "enum": [schema["const"]]}
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
