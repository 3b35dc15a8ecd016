"""The chat in a terminal: agents that speak at once, prompts that never say yes by themselves, and what Ctrl-C stops."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from rich.console import Console

from api.chat.answers import Flow, Turn
from api.chat.chat import Chat
from api.chat.client import DeskClient, Event, http_client
from api.chat.login import KeyCredential
from api.chat.terminal import Terminal
from tests.unit.chat_client_cases import URL, told


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
