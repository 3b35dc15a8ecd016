"""What can go wrong with one request to a model: the switches of `tests.model_server`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.model_replies import Body, Reply, ToolCall, answer, call, call_first_tool, calls, say


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request. `name` is what the recorded request keeps."""

    name: str
    status_code: int = 200
    retry_after: float | None = None
    hang_seconds: float = 0.0
    drops: bool = False
    raw_body: str | None = None
    spoil: Callable[[Body, Reply], Reply] | None = None


Faults = Iterable[Fault | None] | Callable[[Body], Fault | None]


def status(code: int, *, retry_after: float | None = None) -> Fault:
    """An HTTP error with OpenAI's error body; `retry_after` in seconds. A 401 repeats the key, as some proxies do."""
    return Fault(f"status {code}", status_code=code, retry_after=retry_after)


def hang(seconds: float) -> Fault:
    """Silence for `seconds` before a good answer."""
    return Fault("hang", hang_seconds=seconds)


reset = Fault("reset", drops=True)
"""The connection breaks: before the answer, or after its first chunk when streamed."""

broken_json = Fault("broken_json", raw_body='{"id": "chatcmpl-1", "choices": [{"mess')
"""Status 200 and a body that is no JSON."""

html_page = Fault("html_page", raw_body="<html><body>Bad gateway</body></html>")
"""Status 200 and a proxy's error page."""

truncated_answer = Fault(
    "truncated_answer", spoil=lambda _, reply: say((reply.text or "{ ")[: max(1, len(reply.text or "") // 2)])
)
"""Good protocol, and half of the JSON."""

token_limit = Fault("token_limit", spoil=lambda _, reply: Reply(text=(reply.text or "")[:3], finish_reason="length"))
"""Cut off by the token limit, and saying so."""

wrong_schema = Fault("wrong_schema", spoil=lambda _body, _reply: answer({"weather": "sunny"}))
"""Good JSON of another shape."""

empty = Fault("empty", spoil=lambda _body, _reply: say(""))
"""Content is the empty text."""

null = Fault("null", spoil=lambda _body, _reply: Reply())
"""Content is null."""

prose = Fault("prose", spoil=lambda _body, _reply: say("I would rather buy a little, but do your own research."))
"""Text where JSON was asked for."""

endless_tool_calls = Fault("endless_tool_calls", spoil=lambda body, _reply: call_first_tool(body))
"""Another tool call instead of the answer. `itertools.repeat` it."""

unknown_tool = Fault("unknown_tool", spoil=lambda _body, _reply: calls(call("withdraw_everything", to="me")))
"""A call of a tool that was never offered."""

broken_arguments = Fault(
    "broken_arguments", spoil=lambda body, _reply: calls(ToolCall(call_first_tool(body).tool_calls[0].name, '{"symbol": "BT'))
)
"""A tool call whose arguments are half a JSON."""

refusal = Fault("refusal", spoil=lambda _body, _reply: Reply(refusal="I can't help with trading."))
"""The protocol's own refusal field."""
