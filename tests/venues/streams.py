"""The WebSocket frame of the local venues: one `Stream` for each client's socket, faults on demand.

A venue that streams remembers in `stream.facts` who a socket belongs to and what it asked for, and calls `stream.send`
from wherever it hears of something to tell; `tests.venues.server` carries it.
"""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Protocol, runtime_checkable

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.venues.stream_faults import StreamFaults

NORMAL, TEXT_FRAME, TWO_BYTE_LENGTH, BROKEN_LENGTH = 1000, 0x81, 126, 1000


@runtime_checkable
class Streaming(Protocol):
    """A venue that streams. All three are called under the exchange's lock."""

    def connected(self, stream: Stream) -> None:
        """A client opened a socket."""
        ...

    def heard(self, stream: Stream, message: object) -> None:
        """A client said something: JSON as it was parsed, or text that is none."""
        ...

    def gone(self, stream: Stream) -> None:
        """The socket is closed, by whomever; nothing reaches it any more."""
        ...


class Stream:
    """One client's socket.

    Attributes:
        path: with the query.
        facts: what the venue remembers of it: account, subscriptions.
        heard: what the client said, oldest first, for the test to look at.
    """

    def __init__(self, path: str, faults: StreamFaults, transport: asyncio.Transport) -> None:
        self.path = path
        self.facts: dict[str, object] = {}
        self.heard: list[object] = []
        self._faults = faults
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self._kept: str | bytes | None = None
        self._behind = 0

    def send(self, message: object) -> None:
        """Tell an event: text and bytes as they are, anything else as JSON. From any thread, under the exchange's lock."""
        told = message if isinstance(message, str | bytes) else exact_json(message)
        if self._faults.silent:
            return
        if self._kept is None and (behind := self._faults.keeps_back()):
            self._kept, self._behind = told, behind
            return
        for _ in range(self._faults.copies()):
            self._put(told)
        self._behind -= 1
        if self._kept is not None and self._behind == 0:
            self._put(self._kept)
            self._kept = None

    def answer(self, message: object) -> None:
        """Answer what the client said: like `send`, but an answer is neither doubled nor swapped."""
        if not self._faults.silent:
            self._put(message if isinstance(message, str | bytes) else exact_json(message))

    def close(self, code: int = NORMAL) -> None:
        """Close with a status code of RFC 6455, after what was sent."""
        self._put(code)

    def break_off(self) -> None:
        """Announce a text frame, send half of it, and cut the line."""
        self._loop.call_soon_threadsafe(self._break)

    def _break(self) -> None:
        head = bytes([TEXT_FRAME, TWO_BYTE_LENGTH]) + struct.pack("!H", BROKEN_LENGTH)
        self._transport.write(head + b"{" * (BROKEN_LENGTH // 2))
        self._transport.abort()

    def _put(self, item: str | bytes | int) -> None:
        # A loop that has ended has no sockets to write to.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, item)

    async def write(self, socket: WebSocket) -> None:
        """Carry what was sent to the client, until the socket is closed."""
        while True:
            match await self._waiting.get():
                case int() as code:
                    await socket.close(code)
                    return
                case bytes() as raw:
                    await socket.send_bytes(raw)
                case text:
                    await socket.send_text(text)


async def carry(socket: WebSocket, venue: Streaming, stream: Stream, lock: AbstractContextManager[object]) -> None:
    """Serve a socket that was accepted, to its end."""
    writing = asyncio.create_task(stream.write(socket))
    try:
        with lock:
            venue.connected(stream)
        while (event := await socket.receive())["type"] != "websocket.disconnect":
            message = _parsed(event.get("text") or event.get("bytes") or "")
            with lock:
                stream.heard.append(message)
                venue.heard(stream, message)
    finally:
        with lock:
            venue.gone(stream)
        writing.cancel()
        # What it could not write any more is nobody's concern.
        await asyncio.gather(writing, return_exceptions=True)


def _parsed(said: str | bytes) -> object:
    try:
        parsed: object = json.loads(said)
    except ValueError:
        return said if isinstance(said, str) else said.decode()
    return parsed


def exact_json(value: object) -> str:
    """JSON whose numbers are written digit by digit; `json` has no way to write a `Decimal`."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(name))}:{exact_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(exact_json, value)) + "]"
    return json.dumps(value)


def silenced(faults: StreamFaults) -> type[WebSocketsSansIOProtocol]:
    """uvicorn's WebSocket protocol, dead to pings where the faults say so; ASGI has no word for them."""

    class SilencedProtocol(WebSocketsSansIOProtocol):
        def handle_ping(self) -> None:
            if faults.answers_pings:
                super().handle_ping()
            else:
                # The answer waits there already; it is taken away.
                self.conn.data_to_send()

        def send_keepalive_ping(self) -> None:
            if faults.answers_pings:
                super().send_keepalive_ping()
            else:
                self.schedule_ping()

    return SilencedProtocol
