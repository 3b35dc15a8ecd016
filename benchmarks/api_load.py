"""The load, in a process of its own: requests that are sent as soon as the last was answered, and followers that count.

usage: python benchmarks/api_load.py reads|follow

The job comes as a line of JSON on standard input, the figures go as JSON to standard output. Nothing here is httpx or a library
for sockets: what reads the answers must cost less than what makes them. What it can do at its best is measured beside: `reads` of
an endpoint that does nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `benchmarks`, which is not installed

from benchmarks.api_followers import follow


@dataclass(slots=True)
class Reads:
    """What so many users at once came to.

    Attributes:
        taken: seconds of each request that was sent and answered while it counts.
        bad: answers that were not 200, and connections that were lost.
    """

    counts_from: float = float("inf")
    ends: float = float("inf")
    taken: array[float] = field(default_factory=lambda: array("d"))
    bad: int = 0
    bytes: int = 0
    first_bad: str = ""


class User(asyncio.Protocol):
    """One connection that asks, reads the whole answer, and asks again."""

    def __init__(self, requests: list[bytes], start: int, figures: Reads) -> None:
        self._requests, self._next, self._figures = requests, start, figures
        self._head = b""
        self._left = 0
        self._good = True
        self._sent = 0.0
        loop = asyncio.get_running_loop()
        self.came: asyncio.Future[None] = loop.create_future()
        self.left: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            self._head = b""
            self._good = data.startswith(b"HTTP/1.1 200 ")
            size = int(data[data.index(b"content-length: ") + 16 : end].split(b"\r\n", 1)[0])
            self._figures.bytes += size
            self._left = size - (len(data) - end - 4)
            if not self._good and not self._figures.first_bad:
                self._figures.first_bad = data[:1_000].decode("latin-1")
        else:
            self._left -= len(data)
        if self._left == 0:
            self._answered()

    def _answered(self) -> None:
        figures, now = self._figures, time.perf_counter()
        if not self.came.done():
            self.came.set_result(None)
        if not self._good:
            figures.bad += 1
        elif self._sent >= figures.counts_from and now < figures.ends:
            figures.taken.append(now - self._sent)
        if now < figures.ends:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._figures.ends:
            self._figures.bad += 1
            self._figures.first_bad = self._figures.first_bad or f"the connection was closed: {exc}"
        for each in (self.came, self.left):
            if not each.done():
                each.set_result(None)

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)


async def reads(job: dict[str, Any]) -> dict[str, Any]:
    """`users` connections over `ports`. User i has token i, and begins at the i-th path.

    When everybody has been answered once that is said, and a line on standard input begins the `seconds` that count.
    """
    loop, figures, began = asyncio.get_running_loop(), Reads(), time.perf_counter()
    ports, paths, tokens = job["ports"], job["paths"], job["tokens"]
    users = []
    for number in range(job["users"]):
        requests = [_request(path, tokens[number % len(tokens)]) for path in paths]
        user = User(requests, number % len(paths), figures)
        users.append(user)
        await loop.create_connection(lambda user=user: user, "127.0.0.1", ports[number % len(ports)])
    await asyncio.wait([user.came for user in users], timeout=60)
    came = time.perf_counter() - began
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    cpu, figures.bytes = time.process_time(), 0
    figures.counts_from = time.perf_counter()
    figures.ends = figures.counts_from + job["seconds"]
    await asyncio.sleep(job["seconds"])
    print("over", flush=True)
    busy = time.process_time() - cpu
    await asyncio.wait([user.left for user in users], timeout=30)
    taken = sorted(figures.taken)
    return {
        "requests": len(taken),
        "bad": figures.bad,
        "first_bad": figures.first_bad,
        "a_second": len(taken) / job["seconds"],
        "p50": _at(taken, 0.5),
        "p99": _at(taken, 0.99),
        "worst": _at(taken, 1.0),
        "came": came,
        "own_cpu": busy / job["seconds"],
        "bytes": figures.bytes,
    }


def _request(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: desk\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n\r\n".encode()


def _at(ordered: list[float], share: float) -> float:
    """The value that so large a share does not exceed; ms."""
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


WORK: dict[str, Any] = {"reads": reads, "follow": follow}


def main() -> None:
    job = json.loads(sys.stdin.readline())
    work: Coroutine[Any, Any, dict[str, Any]] = WORK[sys.argv[1]](job)
    try:
        import uvloop
    except ImportError:
        print(json.dumps(asyncio.run(work)))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(json.dumps(runner.run(work)))


if __name__ == "__main__":
    main()
