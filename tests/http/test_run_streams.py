"""A run's stream over a real connection: followed, left and taken up again."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.http.served import Served, served
from tests.unit.http.manned_cases import events_of
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    location = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("desk") / "desk.db"))
    async with served(location) as opened:
        yield opened


async def read(here: Served, run_id: str, after: int = 0, most: int | None = None) -> list[dict[str, Any]]:
    """The events that come, until the stream ends or `most` have come; then the client is gone without a word."""
    headers = {**await here.manned.doors.as_user("trader"), "Last-Event-ID": str(after)}
    text = ""
    with suppress(httpx.StreamError):
        async with here.client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=headers, timeout=20) as stream:
            if stream.status_code == 204:
                return []
            assert stream.status_code == 200, await stream.aread()
            async for chunk in stream.aiter_text():
                text += chunk
                whole = events_of(text.rpartition("\n\n")[0])
                if most is not None and len(whole) >= most:
                    return whole[:most]
    return events_of(text)


async def test_clients_that_come_and_go_see_all_of_it_once_and_change_nothing(here: Served) -> None:
    """Every follower leaves after each few events, at other places than the others; the run goes on."""
    conversation = (await here.manned.post("/conversations", {"account": "paper"}, status=201))["id"]
    asked = [await here.manned.post("/accounts/paper/runs", {})]
    asked.append(await here.manned.post(f"/conversations/{conversation}/messages", {"text": "why did you buy SOL?"}))

    async def restless(run_id: str, seed: int) -> list[dict[str, Any]]:
        chance, found = random.Random(seed), list[dict[str, Any]]()
        while not found or found[-1]["kind"] != "run_done":
            found += await read(here, run_id, len(found), most=chance.randint(1, 8))
        return found

    for run in asked:
        seen = await asyncio.gather(*(restless(run["run_id"], seed) for seed in range(6)))
        whole = await read(here, run["run_id"])
        assert [event["sequence"] for event in whole] == list(range(1, len(whole) + 1))
        assert [event["kind"] for event in whole].count("run_done") == 1
        assert all(one == whole for one in seen)
    await until(lambda: not here.hub._here and not here.hub._feeds)


async def test_a_stream_ends_when_its_reader_may_no_longer_see_it(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.hub.logins, "_seconds", 0.05)
    await here.hub.logins.stop()
    system = here.manned.doors.state.desks.remove("paper")
    assert system is not None
    try:
        run = await here.manned.post("/accounts/paper/runs", {})
        following = asyncio.create_task(read(here, run["run_id"]))
        await until(lambda: bool(here.hub._here))
        await here.manned.ask("POST", "/auth/logout-all", "trader")
        assert [event["kind"] for event in await asyncio.wait_for(following, 30)] == ["run_queued"]
        here.manned.doors.known.clear()
        await here.manned.post(f"/runs/{run['run_id']}/cancel")
    finally:
        here.manned.doors.state.desks.add(system)


async def test_silence_is_filled_and_followers_cost_no_reading_each(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.sse.HEARTBEAT_SECONDS", 0.1)
    system, state = here.manned.doors.state.desks.remove("paper"), here.manned.doors.state
    assert system is not None
    try:
        run = await here.manned.post("/accounts/paper/runs", {})
        headers = await here.manned.doors.as_user("trader")
        async with here.client.stream("GET", f"/api/v1/runs/{run['run_id']}/events", headers=dict(headers)) as stream:
            async for chunk in stream.aiter_text():
                if chunk.startswith(":"):
                    break
        followers = [asyncio.create_task(read(here, run["run_id"])) for _ in range(40)]
        await until(lambda: len(here.hub._here) == 40)
        assert state.log.following == 1, "one reading of the log for all of them"
        for number in range(50):
            state.log.tell("paper", "token", {"text": str(number)}, run_id=run["run_id"])
        await here.manned.post(f"/runs/{run['run_id']}/cancel")
        seen = await asyncio.gather(*followers)
        assert all(one == seen[0] for one in seen)
        assert [event["data"]["text"] for event in seen[0] if event["kind"] == "token"] == [str(n) for n in range(50)]
        assert seen[0][-1]["kind"] == "run_cancelled"
    finally:
        state.desks.add(system)


async def test_a_reader_that_takes_nothing_is_let_go(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.sse.SEND_SECONDS", 0.1, raising=False)
    run = await here.manned.post("/accounts/paper/runs", {})
    headers = {**await here.manned.doors.as_user("trader")}
    scope = {
        "type": "http", "method": "GET", "path": f"/api/v1/runs/{run['run_id']}/events", "query_string": b"", "root_path": "",
        "http_version": "1.1", "scheme": "http", "server": ("desk", 80), "client": ("192.0.2.9", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def send(message: Any) -> None:
        if message.get("body"):
            await never.wait()

    await asyncio.wait_for(here.manned.doors.app(scope, receive, send), 30)
    assert not here.hub._here
