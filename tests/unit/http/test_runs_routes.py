"""Runs over HTTP: asked for, listed, followed and stopped, by those who may."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.unit.http.manned_cases import Manned, events_of, manned

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Manned]:
    home = tmp_path_factory.mktemp("desk")
    async with manned(home, location=Path(shutil.copy(sqlite_template, home / "desk.db"))) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cycle(here: Manned) -> str:
    """A cycle that the trader asked for, and that is done."""
    asked = await here.post("/accounts/paper/runs", {}, headers={"Idempotency-Key": "first-cycle"})
    assert await here.over(asked["run_id"]) == "done"
    return str(asked["run_id"])


async def test_a_cycle_is_asked_for_and_read_back_whole(here: Manned, cycle: str) -> None:
    shown = await here.get(f"/runs/{cycle}")
    assert (shown["run"]["kind"], shown["run"]["state"], shown["run"]["requested_by"]) == ("cycle", "done", "user:trader")
    assert shown["result"] is not None
    assert (shown["waiting"], shown["worked_on_by"]) == ([], "this process")
    trail = await here.get(f"/runs/{cycle}/trail")
    assert {one["agent"] for one in trail["decisions"]} >= {"market_analysis", "signal"}
    assert trail["intents"][0]["decisions"][0]["checks"]
    (entry, *_) = [one for one in trail["orders"] if one["order"]["purpose"] == "entry"]
    assert entry["order"]["symbol"] == "SOL/USDT"
    assert entry["fills"]
    assert {cited for one in trail["decisions"] for cited in one["evidence"]} <= {one["id"] for one in trail["evidence"]}


async def test_the_same_key_is_the_same_run(here: Manned, cycle: str) -> None:
    answer = await here.ask("POST", "/accounts/paper/runs", json={}, headers={"Idempotency-Key": "first-cycle"})
    assert (answer.status_code, answer.json()["run_id"]) == (202, cycle)
    assert answer.headers["location"] == f"/api/v1/runs/{cycle}"


async def test_the_stream_and_the_pages_tell_the_same_once_and_in_order(here: Manned, cycle: str) -> None:
    answer = await here.ask("GET", f"/runs/{cycle}/events")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "no-store" in answer.headers["cache-control"]
    streamed = events_of(answer.text)
    assert [event["sequence"] for event in streamed] == list(range(1, len(streamed) + 1))
    assert (streamed[0]["kind"], streamed[-1]["kind"]) == ("run_queued", "run_done")
    paged, after = [], 0
    while True:
        page = (
            await here.ask(
                "GET", f"/runs/{cycle}/events", params={"after": after, "limit": 7}, headers={"Accept": "application/json"}
            )
        ).json()
        paged += page["items"]
        after = page["next_after"]
        if page["is_over"]:
            break
    assert paged == streamed


async def test_from_any_cut_the_rest_comes_without_loss_or_repeat(here: Manned, cycle: str) -> None:
    whole = events_of((await here.ask("GET", f"/runs/{cycle}/events")).text)
    for cut in range(len(whole)):
        rest = await here.ask("GET", f"/runs/{cycle}/events", headers={"Last-Event-ID": str(cut)})
        assert whole[:cut] + events_of(rest.text) == whole
        by_query = await here.ask("GET", f"/runs/{cycle}/events", params={"after": cut})
        assert by_query.text == rest.text
    nothing = await here.ask("GET", f"/runs/{cycle}/events", headers={"Last-Event-ID": str(len(whole))})
    assert (nothing.status_code, nothing.text) == (204, "")


@pytest.mark.parametrize("header", ["x", "-1", "1.5", "99999999999999999999"])
async def test_a_last_event_that_cannot_be_is_a_problem_and_no_stream(here: Manned, cycle: str, header: str) -> None:
    answer = await here.ask("GET", f"/runs/{cycle}/events", headers={"Last-Event-ID": header})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_who_may_read_a_run(here: Manned, cycle: str) -> None:
    for path in ("", "/trail", "/events"):
        codes = {
            user: (await here.ask("GET", f"/runs/{cycle}{path}", user)).status_code for user in ("trader", "auditor", "viewer")
        }
        assert codes == {"trader": 200, "auditor": 200, "viewer": 403}, path
        unknown = await here.ask("GET", f"/runs/nothing{path}", "trader")
        assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
        assert (await here.ask("GET", f"/runs/{cycle}{path}", None)).status_code == 401
    assert cycle in [run["id"] for run in (await here.get("/runs", "auditor"))["items"]]
    assert (await here.get("/runs", "viewer"))["items"] == []
    assert (await here.ask("POST", "/accounts/paper/runs", "viewer", json={})).status_code == 403
    assert (await here.ask("POST", "/accounts/other/runs", "trader", json={})).status_code == 404


async def test_pages_of_runs_hold_each_once_and_filters_hold(here: Manned, cycle: str) -> None:
    for number in range(3):
        ordered = await here.post(
            "/accounts/paper/orders", await here.ticket("300"), headers={"Idempotency-Key": f"order-{number:03}"}
        )
        assert await here.over(ordered["run_id"]) == "done"
    seen: list[str] = []
    cursor = None
    while True:
        page = await here.get("/runs", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [run["id"] for run in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert len(seen) == len(set(seen)) == 4
    assert seen[-1] == cycle
    assert {run["kind"] for run in (await here.get("/runs", kind="order"))["items"]} == {"order"}
    assert [run["id"] for run in (await here.get("/runs", kind="cycle", state="done"))["items"]] == [cycle]
    assert (await here.get("/runs", state="queued"))["items"] == []
    assert (await here.ask("GET", "/runs", params={"account": "other"})).status_code == 404
    assert (await here.ask("GET", "/runs", params={"kind": "dance"})).status_code == 422


async def test_a_run_that_waits_for_its_desk_is_stopped(here: Manned) -> None:
    system = here.doors.state.desks.remove("paper")
    try:
        asked = await here.post("/accounts/paper/runs", {"symbols": ["BTC/USDT"]})
        assert asked["worked_on_by"] == "none"
        assert "waits" in asked["note"]
        assert (await here.ask("POST", f"/runs/{asked['run_id']}/cancel", "viewer")).status_code == 403
        stopped = await here.post(f"/runs/{asked['run_id']}/cancel")
        assert (stopped["state"], stopped["cancel_requested_by"]) == ("cancelled", "user:trader")
        told = events_of((await here.ask("GET", f"/runs/{asked['run_id']}/events")).text)
        assert [event["kind"] for event in told] == ["run_queued", "run_cancelled"]
    finally:
        assert system is not None
        here.doors.state.desks.add(system)


@pytest.mark.parametrize("body", [{"symbols": ["BTC"]}, {"symbols": "BTC/USDT"}, {"symbol": "BTC/USDT"}, []])
async def test_a_cycle_that_cannot_be_meant_is_refused(here: Manned, body: object) -> None:
    assert (await here.ask("POST", "/accounts/paper/runs", json=body)).status_code == 422
