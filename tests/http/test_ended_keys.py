"""A key that is taken away ends the answers that are still being told to it. What was asked goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from api.http.settings import ApiSettings
from api.live.hub import hub_of
from graph.control.agent_control import AgentControl
from tests.http.talking_desk import TalkingDesk, talking_desk
from tests.waiting import until
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.persistence.desk_records import Author
from trading_core.persistence.records import RunState

QUESTION = "what is our exposure?"


@pytest.fixture
def going(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Agents answer while it is set."""
    event = asyncio.Event()
    event.set()
    ruled = AgentControl.of

    async def waiting(self: AgentControl, *what: Any) -> Any:
        await event.wait()
        return await ruled(self, *what)

    monkeypatch.setattr(AgentControl, "of", waiting)
    return event


async def key_of(desk: TalkingDesk, user: str) -> tuple[str, Callable[[], Any]]:
    """An API key, and what revokes it once somebody follows."""
    world = desk.served.doors.world
    keys, identity = world.auth.api_keys, await world.identity(user)
    made, text = await keys.issue(identity, "tests", tuple(sorted(ROLE_ACTIONS[Role(user)])), ("paper",), timedelta(days=1))

    async def revoke() -> None:
        await until(lambda: bool(hub_of(desk.served.doors.app)._here))
        await keys.revoke(identity, made.id)

    return text.get_secret_value(), revoke


async def test_a_revoked_key_is_told_no_more_of_an_answer(sqlite_copy: Path, going: asyncio.Event) -> None:
    async with talking_desk(sqlite_copy, settings=ApiSettings(request_timeout=25)) as desk:
        hub = hub_of(desk.served.doors.app)
        hub.logins._seconds = 0.05

        async def streamed(key: str) -> None:
            async with openai.AsyncOpenAI(base_url=f"{desk.url}/v1", api_key=key, max_retries=0) as client:
                asked: Any = {"model": "algotrendy-risk", "messages": [{"role": "user", "content": QUESTION}]}
                with pytest.raises(openai.APIError, match="the login ended while the answer was made"):
                    async for _ in await client.chat.completions.create(stream=True, **asked):
                        pass

        async def whole(key: str) -> None:
            async with openai.AsyncOpenAI(base_url=f"{desk.url}/v1", api_key=key, max_retries=0) as client:
                asked: Any = {"model": "algotrendy-risk", "messages": [{"role": "user", "content": QUESTION}]}
                with pytest.raises(openai.AuthenticationError, match="the login ended while the answer was made"):
                    await client.chat.completions.create(**asked)

        async def as_a_tool(key: str) -> None:
            async with (
                create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http,
                Client(streamable_http_client(f"{desk.url}/api/v1/mcp", http_client=http)) as client,
            ):
                answer = await client.call_tool("ask_desk", {"question": QUESTION})
            assert answer.is_error
            assert "the login ended while the answer was made" in str(answer.content)
            assert "exposure" not in str(answer.structured_content)

        for user, door in (("viewer", streamed), ("auditor", whole), ("trader", as_a_tool)):
            going.clear()
            try:
                key, revoke = await key_of(desk, user)
                async with asyncio.timeout(30):
                    await asyncio.gather(door(key), revoke())
                await until(lambda: not hub._here)
            finally:
                going.set()
            (thread,) = await desk.threads(user)
            async with desk.system.database.reading() as uow:
                (request,) = await uow.run_requests.of_conversation(thread.id, 2)
            assert (await desk.served.doors.state.runs.wait(request.run_id, 60)).state is RunState.DONE
            assert [one.author for one in await desk.said(thread.id)] == [Author.OPERATOR, Author.AGENT], (
                "it was made all the same"
            )
