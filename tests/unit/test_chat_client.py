"""The chat's client: logins that renew themselves, requests that are repeated safely, streams without a gap."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from api.chat import client as client_module
from api.chat.address import desk_address
from api.chat.client import DeskClient, http_client
from api.chat.login import KeyCredential, Login, LoginCredential, LoginFile, log_in
from api.chat.problems import ApiProblem, DeskUnreachable
from tests.unit.chat_client_cases import URL, told
from trading_core.domain.errors import ConfigurationError, NotAuthenticated

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_PAUSES", (0.0,))


@asynccontextmanager
async def desk(handler: Handler, credential: Any = None, **how: Any) -> AsyncIterator[DeskClient]:
    async with http_client(URL, httpx.MockTransport(handler)) as http:
        yield DeskClient(http, credential or KeyCredential(SecretStr("at_key")), **how)


def tokens(name: str, minutes: float = 10) -> dict[str, str]:
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    return {
        "access_token": f"access-{name}",
        "expires_at": ends.isoformat(),
        "refresh_token": f"refresh-{name}",
        "refresh_expires_at": ends.isoformat(),
    }


def problem(status: int, kind: str = "x", **headers: str) -> httpx.Response:
    told = {
        "type": f"urn:problem-type:algotrendy:{kind}",
        "detail": "it went wrong",
        "not_done": "Nothing was sent",
        "next_step": "Try something else",
        "errors": [],
    }
    return httpx.Response(status, json=told, headers=headers)


# Logins


def test_logins_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    file = LoginFile(tmp_path / "new" / "home")
    assert file.get(URL) is None
    file.put(URL, Login.of("ann", tokens("1")))
    file.put("http://other", Login.of("bob", tokens("2")))
    path = tmp_path / "new" / "home" / "chat-logins.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    kept = LoginFile(tmp_path / "new" / "home").get(URL)
    assert kept is not None
    assert (kept.user, kept.refresh.get_secret_value()) == ("ann", "refresh-1")
    file.put(URL, None)
    assert file.get(URL) is None
    assert file.get("http://other") is not None

    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others than its owner"):
        file.get("http://other")


def test_a_file_that_is_no_logins_is_no_login(tmp_path: Path) -> None:
    path = tmp_path / "chat-logins.json"
    for text in ("", "[1]", "{", json.dumps({URL: {"user": "ann"}})):
        path.write_text(text)
        path.chmod(0o600)
        assert LoginFile(tmp_path).get(URL) is None


async def test_a_login_renews_itself_before_it_ends_and_when_it_is_refused(tmp_path: Path) -> None:
    used: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/refresh"):
            used.append(json.loads(request.content)["refresh_token"])
            return httpx.Response(200, json=tokens(f"{len(used) + 1}"))
        return httpx.Response(200, json={"by": request.headers["Authorization"]}) if len(used) < 3 else problem(401)

    file = LoginFile(tmp_path)
    async with desk(answer, LoginCredential(file, URL, Login.of("ann", tokens("1", minutes=0)))) as client:
        told = await asyncio.gather(*(client.get("/auth/me") for _ in range(5)))
    assert {each["by"] for each in told} == {"Bearer access-2"}
    assert used == ["refresh-1"]  # a token that is used twice ends the login
    kept = file.get(URL)
    assert kept is not None
    assert kept.refresh.get_secret_value() == "refresh-2"

    # Another client of the home was first: what it got is used.
    async with desk(answer, LoginCredential(file, URL, Login.of("ann", tokens("1", minutes=0)))) as client:
        assert (await client.get("/auth/me"))["by"] == "Bearer access-2"
    assert used == ["refresh-1"]


async def test_a_login_that_is_over_is_forgotten(tmp_path: Path) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return problem(401, "not-authenticated")

    file = LoginFile(tmp_path)
    file.put(URL, login := Login.of("ann", tokens("1")))
    async with desk(answer, LoginCredential(file, URL, login)) as client:
        with pytest.raises(NotAuthenticated, match="Log in again"):
            await client.get("/auth/me")
    assert file.get(URL) is None


async def test_a_wrong_password_is_told_in_the_desks_words() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"name": "ann", "password": "wrong"}
        return problem(401, "not-authenticated")

    async with http_client(URL, httpx.MockTransport(answer)) as http:
        with pytest.raises(ApiProblem, match=r"it went wrong\. Nothing was sent\. Try something else"):
            await log_in(http, "ann", SecretStr("wrong"))


@pytest.mark.parametrize(
    "url", ["", "desk", "ftp://127.0.0.1", "http://", "http://[bad", "http://127.0.0.1:99999", "http://localhost:x"]
)
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address of a desk"):
        desk_address(url)


@pytest.mark.parametrize(
    "url", ["http://desk.example", "http://192.0.2.7:8000", "http://127.0.0.1.example", "http://localhost@desk"]
)
def test_no_password_crosses_a_network_unencrypted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Use https"):
        http_client(url)


@pytest.mark.parametrize("url", ["https://desk.example/", "http://127.0.0.1:8000/", "http://localhost", "http://[::1]:8000"])
def test_the_own_machine_and_encrypted_ways_are_taken(url: str) -> None:
    assert desk_address(url) == url.rstrip("/")


# Requests


async def test_a_write_whose_answer_was_lost_is_asked_again_under_the_same_key() -> None:
    keys: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadError("gone")
        if len(keys) == 2:
            return problem(409, "in-progress", **{"Retry-After": "0"})
        return httpx.Response(202, json={"run_id": "r"})

    async with desk(answer) as client:
        assert await client.post("/accounts/a/runs", {"symbols": []}) == {"run_id": "r"}
        assert len(set(keys)) == 1
        await client.post("/accounts/a/runs", {"symbols": []})
    assert len(set(keys)) == 2


async def test_what_is_refused_is_not_asked_again() -> None:
    asked = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return problem(409, "run-conflict")

    async with desk(answer) as client:
        with pytest.raises(ApiProblem) as caught:
            await client.post("/x")
    assert (asked, caught.value.status, caught.value.kind) == (1, 409, "run-conflict")


async def test_no_desk_and_no_desk_of_ours_are_told_apart() -> None:
    async def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async def somebody(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text="<html>no</html>")

    async with desk(nobody) as client:
        with pytest.raises(DeskUnreachable, match="no desk answers at http://localhost"):
            await client.get("/x")
    async with desk(somebody) as client:
        with pytest.raises(ApiProblem, match=r"says 404 \(Not Found\)"):
            await client.get("/x")


# Streams


class Broken(httpx.AsyncByteStream):
    """Some bytes, and then the connection breaks, or ends as if nothing were the matter."""

    def __init__(self, pieces: Iterable[bytes], breaks: bool) -> None:
        self._pieces, self._breaks = list(pieces), breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._breaks:
            raise httpx.ReadError("gone")


@given(
    st.lists(st.tuples(st.integers(0, 160), st.booleans(), st.integers(1, 30)), max_size=12),
    st.integers(0, 3),
)
def test_a_stream_that_breaks_anywhere_loses_and_repeats_nothing(cuts: list[tuple[int, bool, int]], overlap: int) -> None:
    """Cut at any byte, in pieces of any size, and told again by a desk that begins some events too early."""
    events = [told(number) for number in range(1, 8)] + [told(8, "run_done")]
    left = iter(cuts)

    async def answer(request: httpx.Request) -> httpx.Response:
        after = max(0, int(request.headers.get("Last-Event-ID", "0")) - overlap)
        body = b"retry: 1000\n\n: still here\n\n" + b"".join(events[after:])
        cut, breaks, size = next(left, (len(body), False, len(body)))
        shown = body[:cut]
        pieces = [shown[at : at + size] for at in range(0, len(shown), size)]
        return httpx.Response(200, stream=Broken(pieces, breaks), headers={"Content-Type": "text/event-stream"})

    async def followed() -> list[int]:
        async with desk(answer) as client:
            return [event.sequence async for event in client.follow("r")]

    assert asyncio.run(followed()) == list(range(1, 9))


async def test_a_stream_that_does_not_come_back_is_given_up() -> None:
    lost = 0

    def one_more() -> None:
        nonlocal lost
        lost += 1

    async def answer(request: httpx.Request) -> httpx.Response:
        return problem(503, "store-unavailable")

    async with desk(answer, patience=0.05) as client:
        with pytest.raises(DeskUnreachable, match="/watch r"):
            async for _ in client.follow("r", lost=one_more):
                pass
    assert lost > 1


async def test_a_silent_run_costs_no_patience() -> None:
    """The desk was there all the time, and told nothing but that. When it then goes away it has as long as ever to come back."""

    class Quiet(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(6):
                await asyncio.sleep(0.05)
                yield b": still here\n\n"
            raise httpx.ReadError("gone")

    answers = iter(
        [
            httpx.Response(200, stream=Quiet()),
            problem(503, "store-unavailable"),
            httpx.Response(200, content=told(1, "run_done")),
        ]
    )

    async def answer(request: httpx.Request) -> httpx.Response:
        return next(answers)

    async with desk(answer, patience=0.2) as client:
        assert [event.kind async for event in client.follow("r")] == ["run_done"]


async def test_a_stream_that_is_over_or_not_there_ends_at_once() -> None:
    answers = iter([httpx.Response(204), problem(404, "not-found")])

    async def answer(request: httpx.Request) -> httpx.Response:
        return next(answers)

    async with desk(answer) as client:
        assert [event async for event in client.follow("r", after=8)] == []
        with pytest.raises(ApiProblem):
            [event async for event in client.follow("r")]
