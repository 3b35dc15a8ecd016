"""The frame of the local venues: real sockets, HTTP and WebSocket, one thread, faults on demand.

    with VenueServer(BinanceVenue(exchange)) as server:
        client.urls["api"] = ...                # server.base_url
        server.faults.queue("place", REPLY_LOST)

A venue turns a `Call` into an `Answer` and knows nothing of sockets; the frame carries both and spoils what the faults say.
Every request is kept in `server.seen`, for the test to count. A venue that also is `Streaming` takes WebSockets on every path;
`server.streams` has those that are open.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.server_thread import ServerThread, reset
from tests.venues.engine import Exchange
from tests.venues.faults import Fault, Faults, Line, Listing, Trouble
from tests.venues.streams import Stream, Streaming, carry, silenced

__all__ = ["Answer", "Call", "Key", "Seen", "Stream", "Streaming", "Venue", "VenueServer", "wall_clock_ms"]

METHODS = ["GET", "POST", "PUT", "DELETE"]
PAGE = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, whose account it opens, and what it may do there."""

    key: str
    secret: str
    account: str
    can_trade: bool = True
    can_withdraw: bool = False


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
    """What the venue says; `body` is its JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Venue(Protocol):
    """One venue's own protocol over an exchange."""

    exchange: Exchange
    skew_ms: int
    """Added to the venue's clock."""

    def operation(self, call: Call) -> str:
        """What the request asks for, in the words of `tests.venues.faults`."""
        ...

    def answer(self, call: Call) -> Answer:
        """Do what is asked, or say in the venue's words why not."""
        ...

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        """The venue's status and body for a trouble."""
        ...

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        """The answer with that wrong with the list in it."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A request, and what became of it. `status` is None when no answer was sent."""

    operation: str
    call: Call
    fault: str | None
    status: int | None


class VenueServer:
    """A venue on a free port of 127.0.0.1."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.streams: list[Stream] = []
        self.faults = Faults(self.streams)
        self.seen: list[Seen] = []

    def count(self, operation: str) -> int:
        """Requests of an operation that reached the venue, whatever became of them."""
        return sum(seen.operation == operation for seen in self.seen)

    def __enter__(self) -> Self:
        routes = [Route("/{path:path}", self._serve, methods=METHODS), WebSocketRoute("/{path:path}", self._stream)]
        self._server = ServerThread(Starlette(routes=routes), ws=silenced(self.faults.streams))
        self.base_url, self.ws_url = f"http://{self._server.address}", f"ws://{self._server.address}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.stop()

    async def _serve(self, request: Request) -> Response:
        call = Call(
            request.method,
            request.url.path,
            request.scope["query_string"].decode("ascii"),
            (await request.body()).decode(),
            dict(request.headers),
        )
        operation = self.venue.operation(call)
        fault = self.faults.take(operation)
        with self.venue.exchange.lock:
            answer = self._ask(call, fault)
        line = fault.line if fault else None
        silent = line in (Line.CLOSES, Line.RESETS)
        status = None if silent else fault.status if fault and line in (Line.HTML, Line.BREAKS_BODY) else answer.status
        self.seen.append(Seen(operation, call, fault.name if fault else None, status))
        return await self._over_the_line(request, answer, fault)

    async def _stream(self, socket: WebSocket) -> None:
        venue = self.venue
        if self.faults.streams.refuses or not isinstance(venue, Streaming):
            await socket.send_denial_response(PlainTextResponse("Service Unavailable", 503))
            return
        await socket.accept()
        path = f"{socket.url.path}?{socket.url.query}" if socket.url.query else socket.url.path
        stream = Stream(path, self.faults.streams, self._server.transport(socket))
        self.streams.append(stream)
        try:
            await carry(socket, venue, stream, venue.exchange.lock)
        finally:
            self.streams.remove(stream)

    def _ask(self, call: Call, fault: Fault | None) -> Answer:
        """The venue's answer, with what a fault makes of it; nothing is asked of a venue that does not execute."""
        if fault is None:
            return self.venue.answer(call)
        skew = self.venue.skew_ms
        self.venue.skew_ms = skew + fault.skew_ms
        try:
            answer = self.venue.answer(call) if fault.executes else Answer(None)
        finally:
            self.venue.skew_ms = skew
        if fault.trouble:
            return self.venue.trouble(fault.trouble, fault)
        return self.venue.relisted(answer, fault.listing) if fault.listing else answer

    async def _over_the_line(self, request: Request, answer: Answer, fault: Fault | None) -> Response:
        body = json.dumps(answer.body).encode()
        headers = dict(answer.headers)
        if fault and fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        transport = self._server.transport(request)
        match fault.line if fault else None:
            case Line.CLOSES:
                transport.abort()
            case Line.RESETS:
                reset(transport)
            case Line.BREAKS_BODY:
                assert fault is not None
                return Response(body[: len(body) // 2], fault.status, media_type="application/json")
            case Line.HTML:
                assert fault is not None
                return Response(PAGE, fault.status, media_type="text/html")
            case Line.WAITS:
                assert fault is not None
                await asyncio.sleep(fault.seconds)
            case Line.DRIPS:
                assert fault is not None
                drops = _drops(body, fault.seconds)
                return StreamingResponse(drops, answer.status, headers, media_type="application/json")
        return Response(body, answer.status, headers, media_type="application/json")


async def _drops(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for index in range(len(body)):
        yield body[index : index + 1]
        await asyncio.sleep(seconds / len(body))
