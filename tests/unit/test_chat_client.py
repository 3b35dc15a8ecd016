"""The chat's client: logins that renew themselves, requests that are repeated safely, streams without a gap, prompts that never
say yes by themselves. The API is played by a handler that answers as the API does.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from api.chat import client as client_module
from api.chat.answers import Flow, Turn
from api.chat.chat import Chat
from api.chat.client import DeskClient, Event, http_client
from api.chat.login import KeyCredential, Login, LoginCredential, LoginFile, log_in
from api.chat.problems import ApiProblem, DeskUnreachable
from api.chat.terminal import Terminal
from trading_core.domain.errors import ConfigurationError, NotAuthenticated

URL = "http://desk"
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
        with pytest.raises(DeskUnreachable, match="no desk answers at http://desk"):
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


def told(sequence: int, kind: str = "token", **data: object) -> bytes:
    event = json.dumps({"sequence": sequence, "kind": kind, "data": data})
    return f"id: {sequence}\nevent: {kind}\ndata: {event}\n\n".encode()


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


async def test_a_stream_that_is_over_or_not_there_ends_at_once() -> None:
    answers = iter([httpx.Response(204), problem(404, "not-found")])

    async def answer(request: httpx.Request) -> httpx.Response:
        return next(answers)

    async with desk(answer) as client:
        assert [event async for event in client.follow("r", after=8)] == []
        with pytest.raises(ApiProblem):
            [event async for event in client.follow("r")]


# What is shown


def screen(terminal: bool = False, width: int = 60) -> tuple[Console, io.StringIO]:
    shown = io.StringIO()
    return Console(file=shown, force_terminal=terminal, width=width, highlight=False, markup=False, color_system=None), shown


def test_agents_that_speak_at_once_are_shown_one_after_the_other() -> None:
    console, shown = screen()
    turn = Turn(console)
    message = {"grounded": False, "problems": ["99 is in no result"], "failed": ""}
    for event in (
        Event(1, "agent_started", {"agent": "risk"}),
        Event(2, "agent_started", {"agent": "signal"}),
        Event(3, "tool_called", {"agent": "risk", "tool": "get_portfolio", "arguments": {"about": "BTC"}, "call": "c1"}),
        Event(4, "token", {"agent": "signal", "text": "Because of "}),
        Event(
            5, "tool_answered", {"agent": "risk", "tool": "get_portfolio", "call": "c1", "evidence": "e12345678", "result": {}}
        ),
        Event(6, "token", {"agent": "risk", "text": "Half an ans"}),
        Event(7, "token", {"agent": "risk", "text": "", "restart": True}),
        Event(8, "token", {"agent": "risk", "text": "Nothing "}),
        Event(9, "message", {"agent": "signal", "content": "Because of \x1b[31mthat.", "grounded": True}),
        Event(10, "token", {"agent": "risk", "text": "is held [e12345678]."}),
        Event(11, "message", {"agent": "risk", "content": "Nothing is held [e12345678].", **message}),
        Event(12, "proposal_made", {"agent": "risk", "proposal": "p"}),
        Event(13, "run_done", {}),
    ):
        turn(event)
    assert shown.getvalue() == (
        "risk\n  · get_portfolio(about=BTC) → e12345678\n  Half an ans\n  the answer was cut off, and starts again\n"
        "  Nothing is held [e12345678].\n  not shown by the evidence: 99 is in no result\n"
        "signal\n  Because of\n"
    )
    assert [each["agent"] for each in turn.messages] == ["risk", "signal"]
    assert [each["proposal"] for each in turn.cards] == ["p"]
    assert turn.ended == "run_done"


@given(st.lists(st.text(alphabet="ab \n\x1b\x07\u202e[]é", max_size=12), max_size=12), st.integers(20, 40))
def test_text_in_pieces_is_the_text_and_steers_no_terminal(pieces: list[str], width: int) -> None:
    console, shown = screen(terminal=True, width=width)
    flow = Flow(console)
    for piece in pieces:
        flow.say(piece)
    flow.end()
    text = "".join(pieces)
    assert shown.getvalue().split() == "".join(c for c in text if c not in "\x1b\x07\u202e").split()
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.getvalue())
    words = max((len(word) for word in text.split()), default=0)
    assert all(len(line) <= max(width, words + 2) for line in shown.getvalue().splitlines())


# Yes and no

DENIED = {"code": "trading_state", "passed": False, "found": "halted", "limit": "active", "detail": ""}
CARD = {
    "agent": "execution",
    "proposal": "p1",
    "ticket": {"symbol": "ETH/USDT", "side": "buy", "notional": "500", "type": "market", "stop_price": "3000"},
    "content_hash": "h1",
    "preview": {"verdict": "denied", "checks": [DENIED], "quantity": "0.16", "worst_price": "3142"},
    "expires_at": "2026-03-02T12:10:05Z",
    "reason": "",
}
REFUSED = {"intent": {"symbol": "ETH/USDT"}, "decision": {"reason_codes": ["trading_state"]}}


class Desk:
    """The API's side of a question that becomes a card."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if request.method == "POST":
            self.posts.append((path, json.loads(request.content or b"null")))
            return httpx.Response(202, json={"id": "c1", "run_id": "order-p1" if "proposals" in path else "turn", "note": ""})
        if path == "/approvals":
            return httpx.Response(200, json={"items": [], "next_cursor": None})
        events = {
            "/runs/turn/events": told(1, "proposal_made", **CARD) + told(2, "run_done"),
            "/runs/order-p1/events": told(1, "order_denied", **REFUSED) + told(2, "run_done"),
        }
        return httpx.Response(200, content=events[path])

    @property
    def wrote(self) -> list[str]:
        return [path for path, _ in self.posts if "proposals" in path]


def talk(desk: Desk, lines: Iterable[str], *, interactive: bool) -> str:
    """What is shown when these lines are typed."""
    console, shown = screen(width=110)
    typed = iter(lines)

    def ask(prompt: str) -> str:
        shown.write(f"<{prompt}>\n")
        for line in typed:
            return line
        raise EOFError

    with asyncio.Runner() as runner:
        http = http_client(URL, httpx.MockTransport(desk))
        chat = Chat(DeskClient(http, KeyCredential(SecretStr("at_key"))), console, "practice")
        Terminal(runner, chat, ask, interactive=interactive).talk()
        runner.run(http.aclose())
    return shown.getvalue()


def test_a_card_is_confirmed_by_a_yes_and_by_its_hash() -> None:
    desk = Desk()
    shown = talk(desk, ["buy 500 USDT of ETH", "y", "/quit"], interactive=True)
    assert desk.posts[-1] == ("/proposals/p1/confirm", {"content_hash": "h1"})
    assert "buy 0.16 ETH/USDT, for 500 USDT, market" in shown
    assert "it would deny it now" in shown
    assert "trading_state: found halted, limit active" in shown
    assert shown.index("Place this order") < shown.index("nothing was sent: trading_state")


@pytest.mark.parametrize("said", ["", "n", "no", "yes please", " ", "Y y"])
def test_whatever_is_no_plain_yes_confirms_nothing(said: str) -> None:
    desk = Desk()
    shown = talk(desk, ["buy 500 USDT of ETH", said, "/quit"], interactive=True)
    assert desk.wrote == ["/proposals/p1/dismiss"]
    assert "Nothing was sent" in shown


def test_without_a_person_nothing_is_confirmed() -> None:
    desk = Desk()
    shown = talk(desk, ["buy 500 USDT of ETH", "y", "y"], interactive=False)
    assert desk.wrote == []
    assert "Place this order" not in shown
    assert "confirmed by a person" in shown


def test_the_end_of_the_lines_confirms_nothing() -> None:
    desk = Desk()
    assert "nothing was confirmed" in talk(desk, ["buy 500 USDT of ETH"], interactive=True)
    assert desk.wrote == []


def test_commands_that_lack_something_say_so() -> None:
    desk = Desk()
    shown = talk(desk, ["/halt", "", "/fly", "/approve 12", "/watch", "/help", "/quit"], interactive=True)
    assert desk.posts == []
    assert "no reason was given. Nothing was changed." in shown
    assert "there is no command /fly. Nothing was done. /help lists them." in shown
    assert "no approval that waits begins with '12'" in shown
    assert "no run was named" in shown
    assert "/quit" in shown


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """As in a terminal; whoever runs the tests may have it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_stops_the_answer_and_not_the_chat() -> None:
    """The real signal, while an answer is streamed."""
    desk = Desk()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/runs/turn/events"):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)
        return await desk(request)

    console, shown = screen()
    lines = iter(["how are you?", "/help", "/quit"])
    with asyncio.Runner() as runner:
        http = http_client(URL, httpx.MockTransport(answer))
        chat = Chat(DeskClient(http, KeyCredential(SecretStr("at_key"))), console, "practice")
        Terminal(runner, chat, lambda _: next(lines), interactive=True).talk()
        runner.run(http.aclose())
    assert desk.posts[-1][0] == "/runs/turn/cancel"
    assert "stopped" in shown.getvalue()
    assert "Ask anything" in shown.getvalue()
