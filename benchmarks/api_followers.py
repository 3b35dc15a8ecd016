"""Followers for the load: server-sent events and sockets, read with as little as can be, each counting what it got.

An event's text is the instant at which it was told, in nanoseconds of the machine's monotonic clock, which all processes share.
Nothing is lost when each follower saw every sequence of its run up to the last, in order and once.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import struct
import sys
import time
from array import array
from dataclasses import dataclass, field
from typing import Any, cast

_STREAMED = re.compile(rb'id: (\d+)\nevent: token\ndata: [^\n]*?"text":"(\d+)"')
_SOCKET = re.compile(rb'"sequence":(\d+),[^{]*?"kind":"token"[^{]*?"data":\{[^}]*?"text":"(\d+)"')
_LATE = 20.0  # seconds that what is under way is given after the last was told


@dataclass(slots=True)
class Heard:
    """What all followers of one process got.

    Attributes:
        ages: seconds from told to read, of what was told after everybody had come.
        last: by follower, the sequence it is at.
    """

    ages: array[float] = field(default_factory=lambda: array("d"))
    counts_from: float = float("inf")
    events: int = 0
    broken: int = 0
    closed: int = 0
    why: str = ""

    def take(self, found: list[tuple[bytes, bytes]], last: int) -> int:
        """Count events in their order; gives the last sequence."""
        now = time.monotonic_ns()
        for sequence, told in found:
            number = int(sequence)
            if last and number != last + 1:
                self.broken += 1
            last = number
            at = int(told)
            if at >= self.counts_from:
                self.ages.append((now - at) / 1e9)
        self.events += len(found)
        return last


class Stream(asyncio.Protocol):
    """A request whose answer goes on."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        self._request, self._heard = request, heard
        self._tail = b""
        self.last = 0
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            if not data.startswith(b"HTTP/1.1 200 "):
                self._heard.why = self._heard.why or data[:600].decode("latin-1")
                self.transport.close()
                return
            self.ready.set_result(None)
        data = self._tail + data
        end = data.rfind(b"\n\n")
        if end < 0:
            self._tail = data
            return
        self._tail = data[end + 2 :]
        self.last = self._heard.take(_STREAMED.findall(data, 0, end), self.last)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.closed += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self._heard.why or str(exc)))


class Socket(asyncio.Protocol):
    """A WebSocket (RFC 6455): the client's frames are masked, the server's are not and come whole."""

    def __init__(self, account: str, run: str, token: str, heard: Heard) -> None:
        self._heard = heard
        self._frames = [
            {"type": "auth", "token": token},
            {"type": "subscribe", "account": account, "topics": [f"run:{run}"]},
        ]
        self._buffer = b""
        self._open = False
        self.last = 0
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            "GET /api/v1/live HTTP/1.1\r\nHost: desk\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = buffer
                return
            if not buffer.startswith(b"HTTP/1.1 101 "):
                self._heard.why = self._heard.why or buffer[:600].decode("latin-1")
                self.transport.close()
                return
            self._open, buffer = True, buffer[end + 4 :]
            for frame in self._frames:
                self._say(json.dumps(frame).encode())
        at = 0
        while (whole := _frame(buffer, at)) is not None:
            code, start, at = whole
            self._hear(code, buffer[start:at])
        self._buffer = buffer[at:]

    def _hear(self, code: int, payload: bytes) -> None:
        if code == 9:
            self._say(payload, code=10)
        elif code == 8 or payload.startswith((b'{"type":"error"', b'{"type":"gap"', b'{"type": "gap"')):
            self._heard.why = self._heard.why or payload[:600].decode("latin-1")
            self._heard.broken += 1
        elif code == 1:
            if not self.ready.done() and b'"subscribed"' in payload[:40]:
                self.ready.set_result(None)
            self.last = self._heard.take(_SOCKET.findall(payload), self.last)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.closed += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self._heard.why or str(exc)))

    def _say(self, payload: bytes, code: int = 1) -> None:
        size = len(payload)
        head = struct.pack("!BB", 0x80 | code, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x80 | code, 0xFE, size)
        # The mask is for proxies that there are none of here; zero leaves the text as it is.
        self.transport.write(head + bytes(4) + payload)


def _frame(buffer: bytes, at: int) -> tuple[int, int, int] | None:
    """The code of the frame at a place, and where its content begins and ends; None while it is not whole."""
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1] & 0x7F, at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < start + width:
            return None
        size, start = int.from_bytes(buffer[start : start + width], "big"), start + width
    return None if len(buffer) < start + size else (buffer[at] & 0x0F, start, start + size)


async def follow(job: dict[str, Any]) -> dict[str, Any]:
    """Connect everybody, say so, and read until the runs have told their last.

    Follower i follows run i with token i, counted around. What the runs told last comes on standard input.
    """
    loop, heard = asyncio.get_running_loop(), Heard()
    followers: list[Stream | Socket] = []
    runs, tokens, account = job["runs"], job["tokens"], job["account"]
    for begin in range(0, job["followers"], 50):
        group = []
        for number in range(begin, min(begin + 50, job["followers"])):
            run, token = runs[number % len(runs)], tokens[number % len(tokens)]
            one = Socket(account, run, token, heard) if job["kind"] == "sockets" else Stream(_request(run, token), heard)
            followers.append(one)
            group.append(one)
            await loop.create_connection(lambda one=one: one, "127.0.0.1", job["port"])
        await asyncio.gather(*(one.ready for one in group))
    heard.counts_from = time.monotonic_ns()
    print("ready", flush=True)
    cpu, began = time.process_time(), time.monotonic()
    last: dict[str, int] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    deadline = time.monotonic() + _LATE
    wanted = [last[runs[number % len(runs)]] for number in range(len(followers))]
    while time.monotonic() < deadline and any(map(int.__lt__, (one.last for one in followers), wanted)):  # noqa: ASYNC110 - answers come when they come
        await asyncio.sleep(0.05)
    busy = (time.process_time() - cpu) / (time.monotonic() - began)
    closed = heard.closed
    for one in followers:
        one.transport.close()
    ages = sorted(heard.ages)
    return {
        "followers": len(followers),
        "events": heard.events,
        "timed": len(ages),
        "missing": sum(max(0, most - one.last) for one, most in zip(followers, wanted, strict=True)),
        "broken": heard.broken,
        "closed": closed,
        "why": heard.why,
        "p50": 1000 * ages[len(ages) // 2] if ages else 0.0,
        "p99": 1000 * ages[int(len(ages) * 0.99)] if ages else 0.0,
        "worst": 1000 * ages[-1] if ages else 0.0,
        "own_cpu": busy,
    }


def _request(run: str, token: str) -> bytes:
    return (
        f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {token}\r\n"
        "Accept: text/event-stream\r\n\r\n"
    ).encode()
