"""The agents' tools in a scenario: every call noted, some failing, some carrying text from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.agent import AgentContext
from evals.fault_counter import FaultCounter
from evals.questions import CARRIERS
from evals.schema import Injected
from evals.trajectory import ToolUse
from tools.base import Tool
from tools.context import Evidence, Facts, ToolContext
from tools.registry import CHAT_TOOLS, TOOLS
from trading_core.domain.errors import ConfigurationError, MarketDataUnavailable

SLOW_SECONDS = 0.2  # real ones: long beside any tool, short beside a model
_CARRIER, _HEADLINES = "tool:", "get_sentiment"
_KINDS = ("sentiment", "onchain")  # carried by the channels themselves


@dataclass(frozen=True, slots=True)
class NotedTool(Tool[Any]):
    """A tool whose every call is told to `note`, refused ones too."""

    note: Callable[[ToolUse], None]

    async def call(self, context: ToolContext, arguments: dict[str, Any]) -> Evidence:
        evidence = await Tool.call(self, context, arguments)
        asked = context if isinstance(context, AgentContext) else None
        self.note(
            ToolUse(
                run_id=context.run_id,
                agent=context.principal.role,
                subject=asked.subject if asked else "",
                tool=self.name,
                arguments=dict(evidence.arguments),
                # The desk's own moves come before the first question to the model.
                opening=asked is not None and not asked.usage.model_calls,
                failed="error" in evidence.result,
            )
        )
        return evidence


def tools_of(
    injected: tuple[Injected, ...], faults: FaultCounter, note: Callable[[ToolUse], None], own: Mapping[str, Tool[Any]] = TOOLS
) -> dict[str, Tool[Any]]:
    """Every tool of the desk, as it is in a scenario.

    Args:
        own: the tools as they are; those of a cycle, or of a conversation.

    Raises:
        ConfigurationError: a text stands on a carrier that there is not.
    """
    texts = _texts(injected)
    return {
        name: NotedTool(tool.name, tool.description, tool.arguments, tool.action, _run(tool, texts.get(name, ""), faults), note)
        for name, tool in own.items()
    }


def _run(tool: Tool[Any], text: str, faults: FaultCounter) -> Callable[[ToolContext, Any], Any]:
    async def run(context: ToolContext, arguments: Any) -> Facts:
        how = faults.strikes("tool", tool.name)
        if how == "down":
            raise MarketDataUnavailable(f"{tool.name} is out of order", not_done="Nothing was read")
        if how == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        result = await tool.run(context, arguments)
        return {**result, "headline": text} if text else result

    return run


def _texts(injected: tuple[Injected, ...]) -> Mapping[str, str]:
    """What each tool's results say beside their facts."""
    texts: dict[str, str] = {}
    for one in injected:
        if one.carrier in (*_KINDS, *CARRIERS):
            continue
        name = _HEADLINES if one.carrier == "news" else one.carrier.removeprefix(_CARRIER)
        if name not in CHAT_TOOLS or (one.carrier != "news" and not one.carrier.startswith(_CARRIER)):
            raise ConfigurationError(
                f"nothing carries text as {one.carrier!r}",
                not_done="The scenario was not run",
                next_step=f"Use news, {', '.join(_KINDS)} or tool:NAME, where NAME is {', '.join(CHAT_TOOLS)}",
            )
        texts[name] = f"{texts[name]}\n{one.text}" if name in texts else one.text
    return texts
