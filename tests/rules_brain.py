"""A brain for `ModelServer`: the rules, asked over real HTTP in the OpenAI protocol like any other model."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, convert_to_messages

from agents.models.rules import RulesModel
from tests.model_replies import Body, Reply, call, calls, say


def asked_of(body: Body) -> tuple[str, str]:
    """Which answer schema a request asks for, and about which symbol (empty for the whole run)."""
    schema = body["response_format"]["json_schema"]["name"]
    first = next(message["content"] for message in body["messages"] if message["role"] == "user")
    subject = first.removeprefix("Decide about ").split(" ")[0] if first.startswith("Decide about ") else ""
    return schema, subject


def rules_brain(body: Body) -> Reply:
    """What the rules say to this request."""
    bound: dict[str, Any] = {
        "response_format": body["response_format"],
        "tools": [tool["function"]["name"] for tool in body.get("tools", [])],
    }
    said: AIMessage = RulesModel().invoke(convert_to_messages([dict(message) for message in body["messages"]]), **bound)
    if said.tool_calls:
        return calls(*(call(item["name"], **item["args"]) for item in said.tool_calls))
    return say(str(said.content))


def changed(reply: Reply, **fields: object) -> Reply:
    """The same answer with some fields put otherwise."""
    return say(json.dumps({**json.loads(reply.text or "{}"), **fields}))
