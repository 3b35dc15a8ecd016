"""What a pretended model says: the replies, and the smallest answer that fits a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

Body = Mapping[str, Any]
"""A decoded chat-completions request."""

Schema = Mapping[str, Any]
"""A JSON Schema object."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One function call; `arguments` is JSON text, as the protocol has it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says."""

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    finish_reason: str | None = None
    """Overrides `stop` or `tool_calls`, for example with `length`."""


Brain = Callable[[Body], Reply]


def say(text: str) -> Reply:
    """Plain text."""
    return Reply(text=text)


def answer(value: object) -> Reply:
    """`value` as a JSON object."""
    return Reply(text=json.dumps(value, default=str))


def call(name: str, **arguments: object) -> ToolCall:
    """A call of the tool `name`."""
    return ToolCall(name, json.dumps(arguments, default=str))


def calls(*tool_calls: ToolCall) -> Reply:
    """An answer that calls tools and says nothing."""
    return Reply(tool_calls=tool_calls)


_PATTERN_CANDIDATES = ("1", "a", "A", "BTC/USDT", "2026-01-01T00:00:00Z", "a" * 64, "ev-1", "ev_1", "e1")
_FORMATS = {"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "uuid": "00000000-0000-4000-8000-000000000000"}


def minimal(schema: Schema, root: Schema | None = None) -> Any:
    """The smallest value that fits a JSON Schema as Pydantic writes them: required members only, first choice of each union.

    Raises:
        ValueError: for a string pattern that none of a few common texts fits; such a schema needs a brain of its own.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return minimal(target, root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return minimal(schema[union][0], root)
    kind = schema.get("type", "object" if "properties" in schema else "null")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: minimal(schema["properties"][name], root) for name in schema.get("required", ())}
        case "array":
            items = list(schema.get("prefixItems", ()))
            items += [schema.get("items", {})] * (schema.get("minItems", 0) - len(items))
            return [minimal(item, root) for item in items]
        case "string":
            return _minimal_text(schema)
        case "integer" | "number":
            return _minimal_number(schema)
        case "boolean":
            return False
        case _:
            return None


def _minimal_text(schema: Schema) -> str:
    if known := _FORMATS.get(schema.get("format", "")):
        return known
    shortest = int(schema.get("minLength", 0))
    if "pattern" not in schema:
        return "x" * shortest
    fitting = (text for text in _PATTERN_CANDIDATES if len(text) >= shortest and re.search(schema["pattern"], text))
    try:
        return next(fitting)
    except StopIteration:
        raise ValueError(f"no minimal text is known for pattern {schema['pattern']!r}: give the server a brain") from None


def _minimal_number(schema: Schema) -> int | float:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high = schema.get("maximum", schema.get("exclusiveMaximum", float("inf")))
    if low is not None:
        return int(low) if low == int(low) else float(low)
    if above is not None:
        return above + 1 if above + 1 < high else (above + high) / 2
    return 0 if high > 0 else high - 1


def answer_schema(body: Body) -> Schema | None:
    """The JSON Schema the request wants the answer in, if any."""
    return cast("Schema | None", body.get("response_format", {}).get("json_schema", {}).get("schema"))


def call_first_tool(body: Body) -> Reply:
    """Calls the first tool on offer (or the one `tool_choice` names) with the smallest arguments it takes."""
    choice = body.get("tool_choice")
    wanted = choice["function"]["name"] if isinstance(choice, Mapping) else None
    function = next(tool["function"] for tool in body["tools"] if wanted in (None, tool["function"]["name"]))
    return calls(ToolCall(function["name"], json.dumps(minimal(function["parameters"]))))


def obedient(body: Body) -> Reply:
    """The default brain: calls a tool when told to, fits the schema when there is one, says `ok` otherwise."""
    if body.get("tools") and (body.get("tool_choice") == "required" or isinstance(body.get("tool_choice"), Mapping)):
        return call_first_tool(body)
    schema = answer_schema(body)
    return say("ok") if schema is None else answer(minimal(schema))
