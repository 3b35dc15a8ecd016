"""What only a real server shows: raw requests, clients that leave, spoofed addresses, and a server that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from api.http.dependencies import Caller
from api.http.settings import ApiSettings
from tests.http.serving import Served, served
from tests.unit.auth_cases import PASSWORD

LOGIN = {"name": "trader", "password": PASSWORD.get_secret_value()}


@pytest.fixture
async def server(sqlite_copy: Path) -> AsyncIterator[Served]:
    async with served(sqlite_copy, ApiSettings(body_limit=10_000)) as opened:
        yield opened


@pytest.fixture
async def hasty(sqlite_copy: Path) -> AsyncIterator[Served]:
    """A server that gives a request half a second."""
    async with served(sqlite_copy, ApiSettings(request_timeout=0.5)) as opened:
        yield opened


async def _raw(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65_536), 30)
    writer.close()
    return answer


async def test_a_login_over_the_network_and_nothing_told_of_the_server(server: Served) -> None:
    answer = await server.client.post("/api/v1/auth/login", json=LOGIN)
    assert answer.status_code == 200
    assert "server" not in answer.headers
    me = await server.client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.json()["principal"] == "user:trader"


async def test_nobody_on_the_machine_chooses_the_address_he_is_counted_under(server: Served) -> None:
    seen: list[str] = []

    async def look(request: Request) -> None:
        seen.append(request.scope["algotrendy"].address)

    server.doors.app.add_api_route("/look", look)
    await server.client.get("/look", headers={"X-Forwarded-For": "203.0.113.9"})
    assert seen == ["127.0.0.1"]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 10001\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1000\r\n"
        + b"x" * 4096
        + b"\r\n1000\r\n"
        + b"x" * 4096
        + b"\r\n1000\r\n"
        + b"x" * 4096,
    ],
    ids=["announced", "chunked"],
)
async def test_too_large_a_body_is_refused_before_it_has_come(server: Served, head: bytes) -> None:
    request = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + head
    answer = await _raw(server.port, request)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


async def test_a_body_that_never_comes_is_given_up(hasty: Served) -> None:
    answer = await _raw(
        hasty.port,
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
    )
    assert answer.startswith(b"HTTP/1.1 503 ")


async def test_a_client_that_leaves_does_not_stop_a_write(server: Served) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write(caller: Caller) -> None:
        begun.set()
        await go_on.wait()
        done.set()

    server.doors.app.add_api_route("/write", write, methods=["POST"])
    token = (await server.doors.as_user("trader"))["Authorization"].encode()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /write HTTP/1.1\r\nHost: x\r\nIdempotency-Key: leaving-now\r\nAuthorization: " + token + b"\r\n\r\n")
    await asyncio.wait_for(begun.wait(), 30)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.wait_for(done.wait(), 30)


async def test_a_stream_outlives_the_time_limit(hasty: Served) -> None:
    async def ticking() -> StreamingResponse:
        async def ticks() -> AsyncIterator[bytes]:
            for number in range(4):
                yield f"data: {number}\n\n".encode()
                await asyncio.sleep(0.25)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    hasty.doors.app.add_api_route("/ticking", ticking)
    async with hasty.client.stream("GET", "/ticking") as answer:
        text = "".join([part async for part in answer.aiter_text()])
    assert text.count("data: ") == 4


async def test_many_at_once_are_told_apart(sqlite_copy: Path) -> None:
    async with served(sqlite_copy) as server:
        bearers = {name: await server.doors.as_user(name) for name in ("admin", "trader", "viewer", "auditor")}

        async def me(name: str) -> bool:
            answer = await server.client.get("/api/v1/auth/me", headers=bearers[name], timeout=30)
            return bool(answer.json()["username"] == name)

        assert all(await asyncio.gather(*(me(name) for _ in range(50) for name in bearers)))


@pytest.mark.parametrize(
    "piece",
    [b"X-A: " + b"a" * 1_000 + b"\r\n", b"a" * 1_000],
    ids=["headers", "one header"],
)
@pytest.mark.parametrize(
    "begun",
    [b"GET /livez HTTP/1.1\r\nHost: x\r\nX-B: ", b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-B: "],
    ids=["head", "trailers"],
)
async def test_a_head_without_an_end_is_not_read_for_ever(server: Served, begun: bytes, piece: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(begun)
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            for _ in range(5_000):  # 5 MB
                writer.write(piece)
                await writer.drain()
                if writer.is_closing() or reader.at_eof():
                    break
                await asyncio.sleep(0)
            else:
                writer.close()
                raise AssertionError("the server took all of it")
    writer.close()


async def test_a_client_that_says_nothing_or_half_of_it_is_let_go(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.wire.HEAD_SECONDS", 0.2)
    for said in (b"", b"GET /livez HTTP/1.1\r\nHost:"):
        assert await _raw(server.port, said) == b""
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await _raw(server.port, one)).startswith(b"HTTP/1.1 200")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(3):  # the connection stays for further requests
        writer.write(one)
        assert b"200" in await reader.readuntil(b"}")
        await asyncio.sleep(0.15)
    writer.write(one[:20])
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_a_body_that_drips_after_its_answer_keeps_no_connection(hasty: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.wire.HEAD_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{")
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 30)).startswith(b"HTTP/1.1 503 ")
    rest = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while not rest.done():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
            await rest
    writer.close()
