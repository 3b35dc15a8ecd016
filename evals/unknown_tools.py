"""Calls of tools that an agent was not offered. They reach no tool, so they are seen where the model asks for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from evals.model_faults import Front, agent_asked, told
from evals.trajectory import ToolUse

_SUBJECT = re.compile(r"Decide about (\S+) as of")


class OverheardModel(Front):
    """Says what the model behind it says, and notes each call of a tool that the request does not offer.

    Attributes:
        run_id: of the cycle that is being decided.
    """

    note: Callable[[ToolUse], None]
    run_id: Callable[[], str]

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        said = await super().answer(messages, stop, bound)
        offered = {tool["function"]["name"] for tool in told(bound).get("tools", ())}
        for call in said.tool_calls:
            if call["name"] not in offered:
                self.note(self._use(messages, bound, call["name"], call["args"]))
        return said

    def _use(self, messages: list[BaseMessage], bound: dict[str, Any], tool: str, arguments: dict[str, Any]) -> ToolUse:
        about = next((found[1] for message in messages if (found := _SUBJECT.match(message.text))), "")
        return ToolUse(self.run_id(), agent_asked(bound), about, tool, arguments, opening=False, failed=True)
