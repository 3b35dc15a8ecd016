"""A local model endpoint that speaks the OpenAI chat-completions protocol over real HTTP, and misbehaves on demand.

    with ModelServer(brain=my_brain, delay=0.3) as server:
        model = build(ModelSettings(model="openai:any", base_url=server.base_url))

A *brain* decides what the model would say; a *fault* decides what goes wrong with saying it. Faults are taken from an
iterator, one per chat request (`None` for a healthy one, and healthy again once it ends), or from a function of the request.
The server listens on a free port of 127.0.0.1 in a thread of its own and keeps every request for the test to count.
Protocol: https://platform.openai.com/docs/api-reference/chat (bodies, streamed chunks, errors).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests import model_faults as faults
from tests.model_faults import Fault, Faults, status
from tests.model_replies import Body, Brain, Reply, ToolCall, answer, answer_schema, call, calls, minimal, obedient, say
from tests.server_thread import ServerThread

__all__ = [
    "Body",
    "Brain",
    "Fault",
    "ModelServer",
    "RecordedRequest",
    "Reply",
    "ToolCall",
    "answer",
    "call",
    "calls",
    "faults",
    "minimal",
    "say",
]


@dataclass(slots=True)
class RecordedRequest:
    """One chat request as the server saw it. Times are `time.monotonic` seconds."""

    number: int
    """1 for the first since the server was new or cleared."""
    body: dict[str, Any]
    received_at: float
    concurrency: int
    """Requests in flight when this one arrived, itself included."""
    prompt_tokens: int
    fault: str | None
    finished_at: float | None = None

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))


def estimate_tokens(*parts: object) -> int:
    """A quarter of the text's length, rounded up; anything but text counts as its JSON. Absent parts count nothing."""
    texts = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
    return -(-sum(map(len, texts)) // 4)


def _prompt_tokens(body: Body) -> int:
    said = [message.get(key) for message in body.get("messages", ()) for key in ("content", "tool_calls")]
    return estimate_tokens(*said, body.get("tools"), answer_schema(body))


@dataclass
class ModelServer:
    """See the module. One server serves any number of models; `clear` makes it like new between tests."""

    brain: Brain = obedient
    delay: float = 0.0
    """Seconds per answer; a streamed answer spreads them over its chunks."""
    faults: Faults = ()
    api_key: str | None = None
    """When given, any other key is a 401."""
    side_by_side: Callable[[Body], tuple[str, int]] | None = None
    """The group that a request belongs to, and of how many: none of them is answered before all of them are here (30 s at
    most, then a 500). So a test of what runs together asks nothing of the machine's pace."""
    requests: list[RecordedRequest] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.misbehave(self.faults)
        self._in_flight = self._connected_before = 0
        self._groups: dict[str, asyncio.Barrier] = {}

    def misbehave(self, faults: Faults) -> None:
        """Replace what goes wrong from the next request on."""
        self.faults = faults
        self._queue: Iterator[Fault | None] = iter(()) if callable(faults) else iter(faults)

    def clear(self) -> None:
        """Forget requests, faults, brain and delay. Connections stay open."""
        self.brain, self.delay, self.api_key, self.side_by_side = obedient, 0.0, None, None
        self._groups.clear()
        self._connected_before = self._server.connections
        self.requests.clear()
        self.misbehave(())

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._server.connections - self._connected_before

    @property
    def max_concurrency(self) -> int:
        """The most requests that were ever in flight together."""
        return max((request.concurrency for request in self.requests), default=0)

    @property
    def depth(self) -> int:
        """How many finished calls had to wait for one another: the longest chain in which each began after the last ended."""
        chain, free_at = 0, float("-inf")
        finished = [(request.finished_at, request.received_at) for request in self.requests if request.finished_at is not None]
        for end, start in sorted(finished):
            if start >= free_at:
                chain, free_at = chain + 1, end
        return chain

    # Running

    def __enter__(self) -> Self:
        routes = [Route("/v1/chat/completions", self._chat, methods=["POST"]), Route("/v1/models", self._models)]
        self._server = ServerThread(Starlette(routes=routes))
        self.base_url = f"http://{self._server.address}/v1"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()

    # Answering

    async def _models(self, request: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": "test-model", "object": "model", "created": 0, "owned_by": "tests"}]}
        )

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if await request.is_disconnected():  # given up before it was read: perhaps by a test that is over
            return Response(status_code=499)
        brain = self.brain  # the one of now: when the answer is due, the server may be another test's
        fault = self.faults(body) if callable(self.faults) else next(self._queue, None)
        self._in_flight += 1
        name = fault.name if fault else None
        record = RecordedRequest(len(self.requests) + 1, body, time.monotonic(), self._in_flight, _prompt_tokens(body), name)
        self.requests.append(record)
        streaming = False
        try:
            response = await self._respond(request, record, fault, brain)
            streaming = isinstance(response, StreamingResponse)
            return response
        finally:
            if not streaming:
                self._finish(record)

    def _finish(self, record: RecordedRequest) -> None:
        self._in_flight -= 1
        record.finished_at = time.monotonic()

    async def _respond(self, request: Request, record: RecordedRequest, fault: Fault | None, brain: Brain) -> Response:
        given_key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.api_key is not None and given_key != self.api_key:
            fault = status(401)
        if fault and fault.status_code != 200:
            return _error(fault, given_key)
        body, stream = record.body, record.streamed
        if fault and fault.raw_body is not None:
            return Response(fault.raw_body, media_type="text/event-stream" if stream else "application/json")
        if self.side_by_side is not None:
            group, size = self.side_by_side(body)
            try:
                async with asyncio.timeout(30):
                    await self._groups.setdefault(group, asyncio.Barrier(size)).wait()
            except (TimeoutError, asyncio.BrokenBarrierError):
                return _error(status(500), given_key)
        await asyncio.sleep((fault.hang_seconds if fault else 0.0) + (0.0 if stream else self.delay))
        drop = self._server.transport(request).abort if fault and fault.drops else None
        reply = brain(body)
        if fault and fault.spoil:
            reply = fault.spoil(body, reply)
        if stream:
            return StreamingResponse(self._events(record, reply, drop), media_type="text/event-stream")
        if drop:
            drop()
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
        if reply.tool_calls:
            message["tool_calls"] = [_tool_call(f"{record.number}_{i}", made) for i, made in enumerate(reply.tool_calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
        return JSONResponse(_envelope(record, "chat.completion") | {"choices": [choice], "usage": _usage(record, reply)})

    async def _events(self, record: RecordedRequest, reply: Reply, drop: Callable[[], None] | None) -> AsyncIterator[str]:
        envelope = _envelope(record, "chat.completion.chunk")
        deltas = list(_deltas(record.number, reply))
        try:
            for delta in deltas:
                await asyncio.sleep(self.delay / len(deltas))
                yield _event(envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                if drop:
                    await asyncio.sleep(0.01)  # lets the first chunk leave
                    drop()
                    return
            yield _event(envelope | {"choices": [{"index": 0, "delta": {}, "finish_reason": _finish_reason(reply)}]})
            if record.body.get("stream_options", {}).get("include_usage"):
                yield _event(envelope | {"choices": [], "usage": _usage(record, reply)})
            yield "data: [DONE]\n\n"
        finally:
            self._finish(record)


def _event(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _envelope(record: RecordedRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{record.number}", "object": kind, "created": 0, "model": record.body["model"]}


def _finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(record: RecordedRequest, reply: Reply) -> dict[str, int]:
    prompt = record.prompt_tokens
    completion = estimate_tokens(reply.text, reply.refusal, *(made.name + made.arguments for made in reply.tool_calls))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _tool_call(call_id: str, made: ToolCall) -> dict[str, Any]:
    return {"id": f"call_{call_id}", "type": "function", "function": {"name": made.name, "arguments": made.arguments}}


def _pieces(text: str, count: int = 6) -> Iterator[str]:
    size = max(1, -(-len(text) // count))
    return (text[start : start + size] for start in range(0, len(text), size))


def _deltas(number: int, reply: Reply) -> Iterator[dict[str, Any]]:
    """The reply in the small steps a streaming endpoint sends."""
    yield {"role": "assistant", "content": None if reply.text is None else ""}
    yield from ({"content": piece} for piece in _pieces(reply.text or ""))
    yield from ({"refusal": piece} for piece in _pieces(reply.refusal or ""))
    for index, made in enumerate(reply.tool_calls):
        yield {"tool_calls": [{"index": index} | _tool_call(f"{number}_{index}", replace(made, arguments=""))]}
        yield from ({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in _pieces(made.arguments))


def _error(fault: Fault, given_key: str) -> Response:
    kinds = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    message = f"Incorrect API key provided: {given_key}" if fault.status_code == 401 else f"The server said {fault.status_code}"
    error = {"message": message, "type": "error", "param": None, "code": kinds.get(fault.status_code)}
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    return JSONResponse({"error": error}, status_code=fault.status_code, headers=headers)
