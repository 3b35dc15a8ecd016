"""What a conversation holds, for rules to read: tool results by tool name, each number with its evidence id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context
from math import isfinite
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

_SIX_DIGITS = Context(prec=6)
_LEAST_PLAIN = 1e-12  # what is smaller is written with an exponent, not as a row of zeros


@dataclass(frozen=True, slots=True)
class Fact:
    """One tool result."""

    tool: str
    id: str
    values: dict[str, Any]

    @property
    def available(self) -> bool:
        return "error" not in self.values and self.values.get("available", True) is not False

    def number(self, name: str) -> float | None:
        """A finite number; None for anything else."""
        return finite(self.values.get(name))

    def say(self, label: str, name: str, unit: str = "") -> str:
        """`label value [id]`, as a rationale states it."""
        return f"{label} {shown(self.number(name))}{unit} [{self.id}]"


@dataclass(frozen=True, slots=True)
class Facts:
    """Every tool result of a conversation; the newest of each tool counts."""

    by_tool: dict[str, Fact]

    @classmethod
    def read(cls, messages: Sequence[BaseMessage]) -> Facts:
        return cls({fact.tool: fact for fact in results(messages)})

    def get(self, tool: str) -> Fact:
        """The result of a tool; an unavailable one when it was never called."""
        return self.by_tool.get(tool, Fact(tool, "", {"error": "not called"}))


def results(messages: Sequence[BaseMessage]) -> list[Fact]:
    """Every tool result of a conversation, in its order."""
    names = {call["id"]: call["name"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    found = []
    for message in messages:
        if isinstance(message, ToolMessage) and isinstance(message.content, str):
            tool = message.name or names.get(message.tool_call_id, "")
            try:
                values = json.loads(message.content)
            except json.JSONDecodeError:
                values = None
            if not isinstance(values, dict):
                values = {"error": "unreadable"}
            found.append(Fact(tool, str(values.pop("evidence", "")), values))
    return found


def finite(value: object) -> float | None:
    """The value as a float when it is a finite number, else None: JSON has NaN and infinities in Python."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None


def shown(value: float | None) -> str:
    """A number as a rationale writes it: thousands separated, six significant digits or all before the point."""
    if value is None:
        return "unknown"
    if 1_000_000 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    # Of its shortest decimal form, as tools show it: the smallest floats have fewer digits than six.
    text = _SIX_DIGITS.create_decimal(repr(value)).normalize()
    return f"{text:,f}" if value == 0 or _LEAST_PLAIN <= abs(value) < 1e15 else f"{text:e}"
