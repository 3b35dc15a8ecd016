"""MCP clients of a real server: who sees which tool, what calls come to, and that nobody gets further than their rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from tests.http.talking_desk import TalkingDesk, talking_desk
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import NewEvent

ACTS = {"confirm_order", "approve", "reject", "halt", "run_cycle"}
QUESTION = "what is our exposure and why did you buy SOL?"


@asynccontextmanager
async def client_of(desk: TalkingDesk, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client(f"{desk.url}/api/v1/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """What a call that must succeed comes to."""
    answer = await client.call_tool(name, arguments)
    assert not answer.is_error, told(answer)
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


async def refused(client: Client, name: str, **arguments: Any) -> str:
    """The sentence of a call that must fail."""
    answer = await client.call_tool(name, arguments)
    assert answer.is_error, told(answer)
    return told(answer)


def told(answer: CallToolResult) -> str:
    (block,) = answer.content
    assert block.type == "text"
    return block.text


async def test_a_trader_asks_looks_orders_and_halts(sqlite_copy: Path) -> None:
    async with talking_desk(sqlite_copy) as desk, client_of(desk, await desk.key("trader")) as client:
        pieces: list[tuple[float, str]] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            assert total is None
            pieces.append((progress, message or ""))

        answer = await client.call_tool("ask_desk", {"question": QUESTION}, progress_callback=hear)
        asked: Any = answer.structured_content
        assert [one["agent"] for one in asked["answers"]] == ["risk", "signal"]
        assert all(one["grounded"] and one["evidence"] for one in asked["answers"])
        assert told(answer).startswith("".join(text for _, text in pieces)), "what was streamed is what was answered"
        assert [at for at, _ in pieces] == [*range(1, len(pieces) + 1)]
        again = await call(client, "ask_desk", question="and ETH?", conversation_id=asked["conversation_id"])
        assert again["conversation_id"] == asked["conversation_id"]
        said = [message.agent for message in await desk.said(asked["conversation_id"])]
        assert said == ["", "risk", "signal", "", *(one["agent"] for one in again["answers"])]

        portfolio = await call(client, "get_portfolio")
        assert [held["symbol"] for held in portfolio["holdings"]] == ["SOL/USDT"]
        assert portfolio["evidence"].startswith("e")
        assert "Known: BTC/USDT" in await refused(client, "get_ticker", symbol="NO/PE")

        before = len(await desk.orders())
        card = await call(client, "propose_order", symbol="SOL/USDT", side="sell", fraction="0.5")
        assert card["gate"] == "approved"
        assert len(await desk.orders()) == before, "a card sends nothing"
        wrong = await refused(client, "confirm_order", proposal_id=card["card"], content_hash="0" * 64)
        assert "is not the order that was confirmed" in wrong
        runs = [
            await call(client, "confirm_order", proposal_id=card["card"], content_hash=card["content_hash"]) for _ in range(2)
        ]
        assert {run["run"]["id"] for run in runs} == {f"order-{card['card']}"}
        assert runs[1]["run"]["state"] == "done"
        sold = [order for order in await desk.orders() if order.side.value == "sell"]
        assert sum(order.purpose.value == "exit" for order in sold) == 1, "one card, one order"

        assert (await call(client, "halt", reason="enough for today"))["state"] == "halted"
        second = await call(client, "propose_order", symbol="BTC/USDT", side="buy", notional=500, stop_price="60000")
        denied = await call(client, "confirm_order", proposal_id=second["card"], content_hash=second["content_hash"])
        assert denied["result"]["outcome"] == "denied"
        assert denied["result"]["reason_codes"] == ["trading_state"]
        assert (await call(client, "get_run", run_id=denied["run"]["id"]))["result"] == denied["result"]


async def test_a_run_of_many_events_is_read_to_its_end(sqlite_copy: Path) -> None:
    async with talking_desk(sqlite_copy) as desk, client_of(desk, await desk.key("trader")) as client:
        async with desk.system.database.transaction() as uow:
            record = await uow.runs.last_of_account("paper")
            assert record is not None
            at = desk.system.clock.now()
            steps = [NewEvent("paper", record.id, "noted", at, {"number": number}) for number in range(450)]
            told_last = (await uow.events.append_many(steps))[-1].sequence
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            shown = await call(client, "get_run", run_id=record.id, after=after)
            assert len(shown["events"]) <= 200
            seen += [event["data"]["number"] for event in shown["events"] if event["kind"] == "noted"]
            after = shown.get("more_events_after")
        assert seen == list(range(450))
        assert (await call(client, "get_run", run_id=record.id, after=told_last))["events"] == []
        assert "greater than or equal to 0" in await refused(client, "get_run", run_id=record.id, after=-1)


async def test_what_was_asked_can_be_read_where_there_was_no_room_to_follow_it(
    sqlite_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talking_desk(sqlite_copy) as desk, client_of(desk, await desk.key("trader")) as client:
        monkeypatch.setitem(desk.served.doors.state.settings.__dict__, "followers_per_user", 0)
        answer = await client.call_tool("ask_desk", {"question": QUESTION})
        assert "get_run with run_id" in told(answer)
        assert isinstance(answer.structured_content, dict)
        await desk.served.doors.state.runs.wait(answer.structured_content["run_id"], 60)
        run = await call(client, "get_run", run_id=answer.structured_content["run_id"])
        assert [one["agent"] for one in run["answers"]] == ["risk", "signal"]


async def test_nobody_sees_or_calls_what_their_key_is_not_for(sqlite_copy: Path) -> None:
    async with talking_desk(sqlite_copy) as desk:
        trader, viewer = await desk.key("trader"), await desk.key("viewer")
        narrow = await desk.key("trader", Action.READ_MARKET)
        async with client_of(desk, trader) as client:
            everything = {tool.name for tool in (await client.list_tools()).tools}
            mine = await call(client, "ask_desk", question="what are our limits?")
        assert everything >= ACTS
        async with client_of(desk, trader, "legacy") as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == everything, "clients of the handshake era, too"
            heard: list[str | None] = []

            async def hear(_: float, __: float | None, message: str | None) -> None:
                heard.append(message)

            assert not (await client.call_tool("ask_desk", {"question": "why?"}, progress_callback=hear)).is_error
            assert heard
        async with client_of(desk, viewer) as client:
            seen = {tool.name for tool in (await client.list_tools()).tools}
            assert everything - seen == {
                *ACTS, "propose_order", "explain_decision", "get_past_decisions",
            }  # fmt: skip
            for name in sorted(everything - seen):
                assert "may not" in await refused(client, name)
            assert "you have no conversation" in await refused(
                client, "ask_desk", question="go on", conversation_id=mine["conversation_id"]
            )
            assert "no run is called" in await refused(client, "get_run", run_id=mine["run_id"])
            wish = await call(client, "ask_desk", question="close SOL")
            assert wish["proposals"] == [], "asking in words gets nobody a right"
            with pytest.raises(MCPError, match="there is no tool 'get_secrets'"):
                await client.call_tool("get_secrets", {})
        async with client_of(desk, narrow) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "get_ticker", "get_indicators", "get_bars",
            }  # fmt: skip
            assert "may not" in await refused(client, "get_portfolio")
        bearer = {"Authorization": f"Bearer {trader}"}
        async with httpx.AsyncClient(base_url=desk.url) as plain:
            nobody = await plain.post("/api/v1/mcp", json={})
            page = await plain.post("/api/v1/mcp", json={}, headers={**bearer, "Origin": "http://evil.example"})
            broken = await plain.post(
                "/api/v1/mcp", content=b"{", headers={**bearer, "Accept": "application/json, text/event-stream"}
            )
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
        assert page.status_code == 403
        assert broken.status_code in {400, 415}
        desk.served.doors.state.desks.remove("paper")
        try:
            async with client_of(desk, trader) as client:
                assert "no desk in this process" in await refused(client, "get_portfolio")
                assert "so nobody can answer" in await refused(client, "ask_desk", question="anybody there?")
        finally:
            desk.served.doors.state.desks.add(desk.system)


async def test_what_waits_for_a_person_is_listed_and_answered_by_who_may(sqlite_copy: Path) -> None:
    async with talking_desk(sqlite_copy, limits={"approval_above_notional": 1000}) as desk:
        async with client_of(desk, await desk.key("viewer")) as client:
            (waiting,) = (await call(client, "list_approvals"))["items"]
            assert "may not" in await refused(client, "approve", intent_id=waiting["intent"]["id"], reason="why not")
        async with client_of(desk, await desk.key("trader")) as client:
            intent = await desk.asked()
            assert waiting["intent"]["id"] == intent.intent_id
            assert "reason" in await refused(client, "approve", intent_id=intent.intent_id)
            answered = await call(client, "reject", intent_id=intent.intent_id, reason="too large for today")
            assert (answered["state"], answered["decided_by"]) == ("rejected", "user:trader")
            assert (await call(client, "list_approvals"))["items"] == []
            assert "already rejected" in await refused(client, "approve", intent_id=intent.intent_id, reason="after all")
        assert await desk.orders() == ()
