"""The live socket, by a real client over a real connection."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from api.live.access import RunFacts
from api.observability.metrics import Metrics
from tests.http.served import Served, hear, say, served
from tests.unit.http.manned_cases import events_of
from tests.waiting import until
from trading_core.persistence.desk_records import StoredEvent

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    location = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("desk") / "desk.db"))
    async with served(location) as opened:
        yield opened


async def follow(socket: ClientConnection, *topics: str, account: str = "paper", **more: Any) -> int:
    await say(socket, type="subscribe", topics=topics, account=account, **more)
    return int((await hear(socket, "subscribed"))["position"])


async def items(socket: ClientConnection, last: str) -> list[dict[str, Any]]:
    """What comes until there is an event of the kind `last`."""
    found: list[dict[str, Any]] = []
    while not any(event["kind"] == last for event in found):
        found += (await hear(socket, "events", 15))["items"]
    return found


async def closed(socket: ClientConnection) -> int:
    """How the server ended it."""
    async with asyncio.timeout(30):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code


async def test_a_cycle_is_followed_live_and_again_from_the_ledger(here: Served) -> None:
    async with here.known() as socket:
        begin = await follow(socket, "orders", "runs", "risk")
        asked = await here.manned.post("/accounts/paper/runs", {})
        live = await items(socket, "run_done")
    kinds = {event["kind"] for event in live}
    assert {"run_queued", "run_started", "gate_decided", "order_sent", "fill_booked", "run_done"} <= kinds
    assert "agent_answered" not in kinds, "what agents say is told to whoever follows the run"
    positions = [event["position"] for event in live]
    assert positions == sorted(set(positions))
    assert begin < positions[0]

    async with here.known() as late:
        await follow(late, "orders", "runs", "risk", after=begin)
        assert await items(late, "run_done") == live
    stream = events_of((await here.manned.ask("GET", f"/runs/{asked['run_id']}/events")).text)
    async with here.known() as one:
        await follow(one, f"run:{asked['run_id']}", after=0)
        found = await items(one, "run_done")
    assert [{name: event[name] for name in stream[0]} for event in found] == stream


async def test_prices_and_worths_come_to_whoever_listens(here: Served) -> None:
    async with here.known("viewer") as socket:
        await follow(socket, "market:BTC/USDT", "positions", "equity")
        found: dict[str, Any] = {}
        while len(found) < 3:
            for item in (await hear(socket, "events"))["items"]:
                found[item["kind"]] = item["data"]
        assert float(found["ticker"]["bid"]) <= float(found["ticker"]["ask"])
        shown = await here.manned.get("/accounts/paper/portfolio")
        assert found["equity"]["equity"] == shown["equity"]
        held = [(one["symbol"], one["quantity"], one["value"]) for one in shown["positions"]]
        assert [(one["symbol"], one["quantity"], one["value"]) for one in found["positions"]["positions"]] == held
        await say(socket, type="unsubscribe", topics=["market:BTC/USDT", "positions", "equity"], account="paper")
        assert (await hear(socket, "unsubscribed"))["topics"]
        assert not here.hub.values._tasks, "nobody listens, so nothing is looked up"
        for topics in (["market:DOGE/USDT"], ["run:nothing"]):
            await say(socket, type="subscribe", topics=topics, account="paper")
            assert (await hear(socket, "error"))["problem"]["status"] in {404, 422}


async def test_the_first_frame_says_who_is_there(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in ({"type": "auth", "token": "nonsense"}, {"type": "ping"}, {"type": "auth", "token": "x", "more": 1}):
        async with here.socket() as socket:
            await say(socket, **first)
            problem = (await hear(socket, "error"))["problem"]
            assert problem["status"] in {401, 422}
            assert "nonsense" not in str(problem)
            assert await closed(socket) == 1008
    monkeypatch.setattr("api.live.socket.AUTH_SECONDS", 0.1)
    async with here.socket() as silent:
        assert await closed(silent) == 1008


async def test_a_token_in_the_url_and_a_strange_page_are_turned_away(here: Served) -> None:
    with pytest.raises(InvalidStatus):
        async with here.socket(additional_headers={"Origin": "https://evil.example.org"}):
            pass
    with pytest.raises(InvalidStatus):
        async with here.socket(query="?token=x"):
            pass
    async with here.socket(additional_headers={"Origin": here.url}):
        pass


async def test_topics_need_their_permission_and_a_conversation_is_its_owners(here: Served) -> None:
    made = await here.manned.post("/conversations", {"account": "paper"}, status=201)
    async with here.known("auditor") as auditor, here.known("trader") as trader:
        await follow(auditor, "runs", "orders", "risk")
        turn = await here.manned.post(f"/conversations/{made['id']}/messages", {"text": "What is our exposure?"})
        await say(auditor, type="subscribe", topics=[f"run:{turn['run_id']}"], account="paper")
        refused = await hear(auditor, "error")
        assert refused["problem"]["status"] == 404
        await follow(trader, f"run:{turn['run_id']}", after=0)
        told = await items(trader, "run_done")
        assert {"token", "message"} <= {event["kind"] for event in told}
        cycle = await here.manned.post("/accounts/paper/runs", {})
        seen = await items(auditor, "run_done")
        assert {event["run_id"] for event in seen} == {cycle["run_id"]}, "nothing of somebody else's conversation"
    async with here.known("viewer") as viewer:
        await follow(viewer, "runs", "orders", after=0)
        seen = await items(viewer, "fill_booked")
        assert all(event["kind"] in {"gate_decided", "order_sent", "fill_booked"} for event in seen)
        await say(viewer, type="subscribe", topics=["orders"], account="other")
        assert (await hear(viewer, "error"))["problem"]["status"] == 404


async def test_a_login_that_ends_ends_its_socket(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.hub.logins, "_seconds", 0.05)
    await here.hub.logins.stop()  # it has begun to wait for longer
    async with here.known("viewer") as socket:
        await follow(socket, "orders")
        await say(socket, type="ping")
        assert (await hear(socket))["type"] == "pong"
        await here.manned.ask("POST", "/auth/logout-all", "viewer")
        assert await closed(socket) == 1008
    here.manned.doors.known.pop("viewer")


@pytest.mark.parametrize(
    ("frames", "code"),
    [([b"binary"], 1003), (["x" * 9_000], 1009), (['{"type":"ping"}'] * 40, 1008)],
)
async def test_frames_that_nobody_should_send_end_it(here: Served, frames: list[str | bytes], code: int) -> None:
    async with here.known() as socket:
        for frame in frames:
            await socket.send(frame)
        assert await closed(socket) == code


async def test_there_is_room_for_so_many(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await until(lambda: not here.hub._here)
    monkeypatch.setitem(here.hub.state.settings.__dict__, "followers_per_user", 2)
    async with here.known(), here.known() as second, here.known("viewer"):
        async with here.socket() as third:
            await say(third, type="auth", token=await here.token())
            assert (await hear(third, "error"))["problem"]["status"] == 429
            assert await closed(third) == 1013
        await second.close()
        await until(lambda: here.hub._by_name["user:trader"] == 1)
        async with here.known():
            pass


async def test_who_reads_too_slowly_is_told_from_where_to_go_on_and_loses_nothing(here: Served) -> None:
    log = here.manned.doors.state.log
    await until(lambda: not here.hub._here)
    async with here.known() as socket:
        begin = await follow(socket, "risk")
        await say(socket, type="ping")
        await hear(socket, "pong")  # the ledger has been read by then
        (subscription,) = _sockets(here)
        subscription._inbox._most = 5
        for number in range(12):  # at once, in one piece of work of the reader
            log.tell("paper", "paused", {"number": number})
        await log.flush()
        gap = await hear(socket, "gap")
        assert (gap["account"], gap["after"]) == ("paper", begin)
        subscription._inbox._most = 1_000
        await follow(socket, "risk", after=gap["after"])
        found: list[int] = []
        while len(found) < 12:
            found += [item["data"]["number"] for item in (await hear(socket, "events"))["items"]]
        assert found == list(range(12))


async def test_who_asks_to_go_back_while_events_are_read_is_told_all_of_them(
    here: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames in a row, as clients send them: the second came while the first one's events were read."""
    log, looks = here.manned.doors.state.log, here.hub.runs.of
    async with here.known() as socket:
        begin = await follow(socket, "runs")
        for number in range(3):
            log.tell("paper", "paused", {"number": number})
        await log.flush()
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(event: StoredEvent) -> RunFacts | None:
        """The first is passed by before the second frame is there."""
        if event.data["number"]:
            reading.set()
            await go_on.wait()
        return await looks(event)

    monkeypatch.setattr(here.hub.runs, "of", slow)
    async with here.known() as socket:
        await say(socket, type="subscribe", topics=["orders"], account="paper", after=begin)
        await asyncio.wait_for(reading.wait(), 30)
        await say(socket, type="subscribe", topics=["risk"], account="paper", after=begin)
        await asyncio.sleep(0.2)  # it is there
        go_on.set()
        assert [item["data"]["number"] for item in (await hear(socket, "events"))["items"]] == [0, 1, 2]


async def test_a_long_past_comes_in_frames_that_every_client_takes(here: Served) -> None:
    """Clients refuse a frame of more than a megabyte, and would come back for the same one again and again."""
    log = here.manned.doors.state.log
    async with here.known() as socket:
        begin = await follow(socket, "risk")
    for number in range(400):
        log.tell("paper", "paused", {"number": number, "reason": "x" * 4_000})
    await log.flush()
    found: list[int] = []
    async with here.known() as socket:
        await follow(socket, "risk", after=begin)
        while len(found) < 400:
            frame = await hear(socket, "events")
            assert sum(len(json.dumps(item)) for item in frame["items"]) < 300_000
            assert frame["positions"] == {"paper": frame["items"][-1]["position"]}, "from here a client goes on"
            found += [item["data"]["number"] for item in frame["items"]]
    assert found == list(range(400))


async def test_what_belongs_to_a_run_that_nobody_knows_is_told_to_nobody(here: Served) -> None:
    log = here.manned.doors.state.log
    async with here.known() as socket:
        begin = await follow(socket, "orders", "risk")
        log.tell("paper", "order_denied", {}, run_id="turn-that-was-removed")
        log.tell("paper", "paused", {"number": 1})
        await log.flush()
        assert [item["kind"] for item in (await hear(socket, "events"))["items"]] == ["paused"]
    async with here.known() as socket:
        await follow(socket, "orders", "risk", after=begin)
        assert [item["kind"] for item in (await hear(socket, "events"))["items"]] == ["paused"]


def _sockets(here: Served) -> list[Any]:
    return [one for socket in here.hub._here for one in socket._followed.values()]


async def test_the_end_of_the_server_is_told_to_sockets_and_streams(sqlite_template: Path, tmp_path: Path) -> None:
    metrics = Metrics()

    def counted() -> list[float | None]:
        kinds = ("sse", "websocket")
        return [metrics.registry.get_sample_value("algotrendy_stream_followers", {"transport": kind}) for kind in kinds]

    async with served(Path(shutil.copy(sqlite_template, tmp_path / "desk.db")), working=False, observer=metrics) as here:
        asked = await here.manned.post("/accounts/paper/runs", {})
        headers = dict(await here.manned.doors.as_user("trader"))
        async with here.known() as socket:
            async with here.client.stream("GET", f"/api/v1/runs/{asked['run_id']}/events", headers=headers) as stream:
                chunks = stream.aiter_text()
                assert "retry" in await anext(chunks)
                await until(lambda: len(here.hub._here) == 2)
                assert counted() == [1, 1]
                here.hub.end()
                rest = "".join([chunk async for chunk in chunks])
                assert "run_queued" in rest
            assert await closed(socket) == 1012
        await until(lambda: not here.hub._here)
        assert counted() == [0, 0]
