"""The services behind the channels, on a real local HTTP server: given answers by path, and faults on demand.

    with ServiceServer({"/api/v3/simple/price": {"bitcoin": {"usd": 1}}}) as server:
        source = CoinGecko(base_url=f"{server.base_url}/api/v3", ...)
        server.spoil(SERVER_ERROR, times=2)     # the next two requests, whatever their path
        server.spoil(RATE_LIMITED, path="/fng/")  # every request of this path until `mend`
        assert server.count("/api/v3/simple/price") == 3

An answer is a JSON value, an `Answer` (status, headers, raw bytes), or a function of the `Call` that gives either. A path that
has none is a 404. Every request is kept in `server.seen`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.channels.faults import Fault
from tests.server_thread import ServerThread, reset

METHODS = ["GET", "POST", "HEAD"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came over the line; header names are in lower case."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]

    @property
    def params(self) -> dict[str, str]:
        """Of the query and of a form body, decoded."""
        return dict(parse_qsl(self.query, keep_blank_values=True) + parse_qsl(self.body, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says, when it is more than a JSON value with status 200."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode() if self.raw is None else self.raw


@dataclass(slots=True)
class _Order:
    """A fault that waits for its requests."""

    fault: Fault
    path: str | None
    left: int | None


class ServiceServer:
    """Any number of services on one free port of 127.0.0.1.

    Args:
        answers: by path, without the query.
    """

    def __init__(self, answers: Mapping[str, object] | None = None) -> None:
        self.answers: dict[str, object] = dict(answers or {})
        self.seen: list[Call] = []
        self._orders: list[_Order] = []
        self._lock = threading.Lock()

    def spoil(self, fault: Fault, *, path: str | None = None, times: int | None = None) -> None:
        """Spoil the next `times` answers of `path` (None: of any), or all until `mend`. The order given first goes first."""
        with self._lock:
            self._orders.append(_Order(fault, path, times))

    def mend(self) -> None:
        """Nothing is spoilt any more."""
        with self._lock:
            self._orders.clear()

    def reset(self, answers: Mapping[str, object]) -> None:
        """As if it had just been started with these answers: a server for many tests is faster than many servers."""
        self.mend()
        self.seen.clear()
        self.answers = dict(answers)

    def count(self, path: str | None = None) -> int:
        """Requests that came, of a path or in all, whatever became of them."""
        return sum(path in (None, call.path) for call in self.seen)

    def __enter__(self) -> Self:
        self._server = ServerThread(Starlette(routes=[Route("/{path:path}", self._serve, methods=METHODS)]))
        self.base_url = f"http://{self._server.address}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()

    async def _serve(self, request: Request) -> Response:
        query = request.scope["query_string"].decode("ascii")
        call = Call(request.method, request.url.path, query, (await request.body()).decode(), dict(request.headers))
        self.seen.append(call)
        fault = self._fault(call.path)
        answer = _answer(self.answers, call)
        return _plain(answer) if fault is None else await _spoilt(answer, fault, self._server.transport(request))

    def _fault(self, path: str) -> Fault | None:
        with self._lock:
            for order in self._orders:
                if order.path in (None, path):
                    if order.left is not None:
                        order.left -= 1
                        if order.left <= 0:
                            self._orders.remove(order)
                    return order.fault
        return None


def _answer(answers: Mapping[str, object], call: Call) -> Answer:
    if call.path not in answers:
        return Answer({"error": "no such path"}, 404)
    given = answers[call.path]
    if callable(given):
        ask: Callable[[Call], object] = given
        given = ask(call)
    return given if isinstance(given, Answer) else Answer(given)


def _plain(answer: Answer) -> Response:
    return Response(answer.content, answer.status, dict(answer.headers), media_type="application/json")


async def _spoilt(answer: Answer, fault: Fault, transport: asyncio.Transport) -> Response:
    await asyncio.sleep(fault.seconds)
    if fault.resets:
        reset(transport)
    if fault.reshaped is not None:
        answer = Answer(fault.reshaped(answer.body), answer.status, answer.headers)
    body = answer.content if fault.body is None else fault.body
    sent = body[: int(len(body) * fault.sent)]
    status = answer.status if fault.status is None else fault.status
    headers = {**answer.headers, **fault.headers}
    if fault.breaks_off:
        headers["Content-Length"] = str(len(body))
        return StreamingResponse(_breaking_off(sent, transport), status, headers, media_type="application/json")
    return Response(sent, status, headers, media_type=None if "Content-Type" in headers else "application/json")


async def _breaking_off(sent: bytes, transport: asyncio.Transport) -> AsyncIterator[bytes]:
    yield sent
    transport.close()
