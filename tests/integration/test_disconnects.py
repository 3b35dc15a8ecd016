"""Clients that vanish, at every event of a run and before the first one: the run ends once, and its log is told whole.

The desk is a real `serve` whose model is a real, slow endpoint, so that a run goes on while its followers come and go.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect

from graph.events import FINAL
from tests.http.estate import MANY
from tests.integration.serve_process import LOGIN, Served, start
from tests.model_replies import Body, Reply, say
from tests.model_server import ModelServer
from tests.rules_brain import rules_brain
from tests.unit.http.manned_cases import events_of
from tests.waiting import until

RATES = {f"ALGOTRENDY_API_{name}": str(MANY) for name in ("PER_IP", "READS_PER_USER", "WRITES_PER_USER")}
QUESTION = "what is our exposure?"
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset, as a client does that dies


def brain(body: Body) -> Reply:
    """The rules for a cycle; a sentence for a person."""
    return rules_brain(body) if "response_format" in body else say("Nothing is held at all, and nothing was bought this day.")


@dataclass(slots=True)
class Desk:
    """The serving process, and a user of it.

    Attributes:
        left: how often a client went away without a word.
    """

    url: str
    headers: dict[str, str]
    client: httpx.AsyncClient
    left: int = field(default=0)

    async def post(self, path: str, body: object) -> Any:
        answer = await self.client.post(path, json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def cycle(self) -> str:
        return str((await self.post("/accounts/practice/runs", {}))["run_id"])

    async def turn(self) -> str:
        thread = await self.post("/conversations", {"account": "practice"})
        return str((await self.post(f"/conversations/{thread['id']}/messages", {"text": QUESTION}))["run_id"])

    async def whole(self, run_id: str) -> list[dict[str, Any]]:
        """All that a run told, from the record, when it is over."""

        async def is_over() -> bool:
            return (await self.run(run_id))["state"] in {"done", "failed", "cancelled"}

        await until(is_over, within=60)
        answer = await self.client.get(f"/runs/{run_id}/events", params={"limit": 500}, headers=self.headers)
        assert answer.json()["is_over"]
        return list(answer.json()["items"])

    async def run(self, run_id: str) -> dict[str, Any]:
        return dict((await self.client.get(f"/runs/{run_id}", headers=self.headers)).json()["run"])

    # Going away

    async def asks_and_dies(self, path: str, body: object, key: str) -> None:
        """Ask for something, and be gone before it is answered."""
        text = json.dumps(body, separators=(",", ":"))  # the bytes that the client sends when it comes back
        async with self._raw() as (_, writer):
            head = {**self.headers, "Idempotency-Key": key, "Content-Type": "application/json", "Content-Length": str(len(text))}
            writer.write(_head("POST", f"/api/v1{path}", head) + text.encode())
            await writer.drain()
            await asyncio.sleep(0.05)

    async def in_the_middle_of_a_word(self, run_id: str) -> None:
        """Before the request's own headers are whole."""
        async with self._raw() as (_, writer):
            writer.write(_head("GET", f"/api/v1/runs/{run_id}/events", self.headers)[:-30])
            await writer.drain()

    async def after_the_headers(self, run_id: str) -> None:
        async with self._raw() as (reader, writer):
            writer.write(_head("GET", f"/api/v1/runs/{run_id}/events", self.headers))
            assert b" 200 " in await reader.readline()

    async def some(self, run_id: str, after: int, count: int) -> list[dict[str, Any]]:
        """The next events of a stream, until `count` have come; then the connection is reset."""
        head = {**self.headers, "Last-Event-ID": str(after), "Accept": "text/event-stream"}
        told = b""
        async with self._raw() as (reader, writer), asyncio.timeout(60):
            writer.write(_head("GET", f"/api/v1/runs/{run_id}/events", head))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in answer, answer
            while chunk := await reader.read(4_096):
                told += chunk
                if len(found := _events(told)) >= count:
                    return found[:count]
        return _events(told)

    async def some_of_socket(self, run_id: str, position: int, count: int) -> list[dict[str, Any]]:
        """The same over a WebSocket."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60), connect(f"{self.url.replace('http', 'ws', 1)}/api/v1/live") as opened:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            await opened.send(json.dumps({"type": "auth", "token": token}))
            wanted = {"account": "practice", "topics": [f"run:{run_id}"], "after": position}
            await opened.send(json.dumps({"type": "subscribe", **wanted}))
            while len(found) < count and not (found and found[-1]["kind"] in FINAL):
                frame = json.loads(await opened.recv())
                found += frame["items"] if frame["type"] == "events" else []
            self.left += 1
            opened.transport.abort()
        return found[:count]

    @asynccontextmanager
    async def _raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        where = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        try:
            yield reader, writer
        finally:
            self.left += 1
            writer.transport.abort()


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: desk",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _events(told: bytes) -> list[dict[str, Any]]:
    """What is whole of a chunked stream so far."""
    lines = told.split(b"\r\n")
    text = b"".join(line for line in lines if not _is_size(line)).decode(errors="replace")
    return events_of(text.rpartition("\n\n")[0])


def _is_size(line: bytes) -> bool:
    with suppress(ValueError):
        return bool(line) and len(line) < 6 and int(line, 16) >= 0
    return False


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Served, str, dict[str, str]]]:
    with ModelServer(brain=brain, delay=0.6) as model:
        paid = ("--model", "openai:local", "--base-url", model.base_url)
        desk = start(tmp_path / "home", "--no-schedule", "--account", "20000", *paid, OPENAI_API_KEY="local", **RATES)
        try:
            url = desk.url()
            name, password = desk.until(LOGIN).groups()
            answer = httpx.post(f"{url}/api/v1/auth/login", json={"name": name, "password": password}, timeout=20)
            yield desk, url, {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert desk.stop() == 0
            assert "Traceback" not in desk.text
        finally:
            desk.end()


async def _follow(desk: Desk, run_id: str, rng: random.Random, most: int) -> list[dict[str, Any]]:
    """A stream that is left behind every few events, and taken up again."""
    await desk.in_the_middle_of_a_word(run_id)
    await desk.after_the_headers(run_id)
    found: list[dict[str, Any]] = []
    while not found or found[-1]["kind"] not in FINAL:
        found += await desk.some(run_id, len(found), rng.randint(1, most))
    return found


async def _follow_by_socket(desk: Desk, run_id: str, rng: random.Random, most: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1]["kind"] not in FINAL:
        position = found[-1]["position"] if found else 0
        found += await desk.some_of_socket(run_id, position, rng.randint(1, most))
    return [{name: value for name, value in event.items() if name != "topics"} for event in found]


async def _vanish(serving: tuple[Served, str, dict[str, str]], least: int) -> int:
    """Rounds of one cycle and one turn, until that many clients have gone away; how many runs there were."""
    _, url, headers = serving
    rng, runs = random.Random(7), list[str]()
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, headers={"Accept": "application/json"}) as client:
        desk = Desk(url, headers, client)
        thread = (await desk.post("/conversations", {"account": "practice"}))["id"]
        while desk.left < least:
            key = f"gone-before-{len(runs)}"
            path, body = f"/conversations/{thread}/messages", {"text": QUESTION}
            await desk.asks_and_dies(path, body, key)
            answer = await client.post(path, json=body, headers={**headers, "Idempotency-Key": key})
            while answer.status_code == 409 and "retry-after" in answer.headers:  # the first is at it
                await asyncio.sleep(0.1)
                answer = await client.post(path, json=body, headers={**headers, "Idempotency-Key": key})
            assert answer.status_code == 202, answer.text
            asked = [str(answer.json()["run_id"]), await desk.cycle(), await desk.turn()]
            followed = [
                *(_follow(desk, run_id, rng, most) for run_id in asked for most in (1, 5)),
                *(_follow_by_socket(desk, run_id, rng, 4) for run_id in asked),
            ]
            seen = await asyncio.gather(*followed)
            for index, run_id in enumerate(asked):
                whole = await desk.whole(run_id)
                assert [event["sequence"] for event in whole] == list(range(1, len(whole) + 1))
                assert [event["kind"] in FINAL for event in whole] == [False] * (len(whole) - 1) + [True]
                assert whole[-1]["kind"] == "run_done", whole[-1]
                for found in (seen[2 * index], seen[2 * index + 1], seen[6 + index]):
                    assert [event["sequence"] for event in found] == [event["sequence"] for event in whole]
                    assert found == whole
            runs += asked
        known = (await client.get("/runs", params={"limit": 200}, headers=headers)).json()["items"]
        assert sorted(run["id"] for run in known) == sorted(runs), "whoever asked and went away asked once"
    return len(runs)


async def test_clients_vanish_at_every_event_and_change_nothing(serving: tuple[Served, str, dict[str, str]]) -> None:
    assert await _vanish(serving, 60) >= 3


@pytest.mark.slow
async def test_two_hundred_clients_vanish(serving: tuple[Served, str, dict[str, str]]) -> None:
    assert await _vanish(serving, 600) >= 6
