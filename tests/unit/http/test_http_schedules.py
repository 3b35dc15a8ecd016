"""Schedules, agents and pauses through the doors, as each role."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from graph.config import SessionConfig
from tests.unit.http.doors import Doors
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunKind, RunRecord, SessionRecord

ON = "/api/v1/accounts/paper"
PLAN = {"name": "hourly", "every_seconds": 3600, "symbols": ["BTC/USDT"]}


@pytest.fixture
async def open_desk(desk: Doors) -> Doors:
    """With the account and one session of it on record."""
    config, now = SessionConfig(symbols=("BTC/USDT", "ETH/USDT")), desk.world.clock.now()
    async with desk.world.database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened("paper", "USDT", config.deposit), "paper", now)
        await uow.sessions.add(SessionRecord(config.session_id, config.stored(), now))
        await uow.runs.start(RunRecord("first", "paper", RunKind.CYCLE, now, now, session_id=config.session_id))
    return desk


async def _add(desk: Doors, **changes: Any) -> httpx.Response:
    return await desk.ask("POST", f"{ON}/schedules", "trader", json={**PLAN, **changes})


async def test_a_schedule_is_added_read_changed_and_removed(open_desk: Doors) -> None:
    made = await _add(open_desk, budget={"tokens": 1000, "cost": "0.50"})
    assert made.status_code == 201
    told = made.json()
    assert (told["owner"], told["version"], made.headers["etag"]) == ("user:trader", 1, '"1"')
    assert told["budget"] == {"tokens": 1000, "cost": "0.50", "orders": None}
    assert told["hindered"] is None
    path = f"{ON}/schedules/{told['id']}"
    stale = await open_desk.ask("PUT", path, "trader", json=PLAN, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    changed = await open_desk.ask("PUT", path, "trader", json={**PLAN, "every_seconds": 60}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"], changed.headers["etag"]) == (200, 2, '"2"')
    ticks = await open_desk.ask("GET", f"{path}/ticks?count=3", "viewer")
    assert len(ticks.json()["ticks"]) == 3
    listed = await open_desk.ask("GET", f"{ON}/schedules", "viewer")
    assert [each["id"] for each in listed.json()["items"]] == [told["id"]]
    assert (await open_desk.ask("DELETE", path, "trader")).status_code == 204
    assert (await open_desk.ask("GET", path, "trader")).status_code == 404


async def test_schedules_come_in_pages(open_desk: Doors) -> None:
    for name in ("c", "a", "b"):
        await _add(open_desk, name=name)
    first = (await open_desk.ask("GET", f"{ON}/schedules?limit=2", "viewer")).json()
    rest = (await open_desk.ask("GET", f"{ON}/schedules?limit=2&cursor={first['next_cursor']}", "viewer")).json()
    assert [each["name"] for each in (*first["items"], *rest["items"])] == ["a", "b", "c"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"every_seconds": 3},
        {"every_seconds": None},
        {"every_seconds": None, "cron": "x"},
        {"timezone": "Mars/X"},
        {"symbols": ["SOL/USDT"]},
        {"symbols": ["btc"]},
        {"name": " "},
        {"budget": {"cost": "-1"}},
        {"surprise": 1},
    ],
)
async def test_a_plan_that_cannot_be_kept_is_a_problem(open_desk: Doors, changes: dict[str, Any]) -> None:
    answer = await _add(open_desk, **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_a_name_is_taken_once(open_desk: Doors) -> None:
    assert (await _add(open_desk)).status_code == 201
    assert (await _add(open_desk, name="HOURLY")).status_code == 422


async def test_pausing_resuming_and_running_a_schedule(open_desk: Doors) -> None:
    path = f"{ON}/schedules/{(await _add(open_desk)).json()['id']}"
    paused = await open_desk.ask("POST", f"{path}/pause", "trader", json={"reason": "lunch"})
    assert (paused.status_code, paused.json()["reason"]) == (200, "lunch")
    assert (await open_desk.ask("GET", path, "viewer")).json()["hindered"]["reason"] == "paused"
    assert (await open_desk.ask("POST", f"{path}/resume", "trader")).status_code == 200
    assert (await open_desk.ask("POST", f"{path}/resume", "trader")).status_code == 409
    key = {"Idempotency-Key": "now-now-now"}
    asked = await open_desk.ask("POST", f"{path}/run", "trader", headers=key)
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    again = await open_desk.ask("POST", f"{path}/run", "trader", headers=key)
    assert again.json() == asked.json()


async def test_pauses_are_put_listed_and_lifted(open_desk: Doors) -> None:
    symbol = {"subject": "BTC/USDT"}
    put = await open_desk.ask("PUT", f"{ON}/pauses/symbol", "trader", params=symbol, json={"reason": "thin"})
    assert (put.status_code, put.json()["by"]) == (200, "user:trader")
    await open_desk.ask("PUT", f"{ON}/pauses/everything", "trader", json={"reason": "thin"})
    listed = (await open_desk.ask("GET", f"{ON}/pauses", "viewer")).json()["items"]
    assert [(each["kind"], each["subject"]) for each in listed] == [("everything", ""), ("symbol", "BTC/USDT")]
    assert (await open_desk.ask("DELETE", f"{ON}/pauses/symbol", "trader", params=symbol)).status_code == 200
    assert (await open_desk.ask("DELETE", f"{ON}/pauses/symbol", "trader", params=symbol)).status_code == 409
    bad = await open_desk.ask("PUT", f"{ON}/pauses/agent", "trader", params={"subject": "nobody"}, json={"reason": "x"})
    assert bad.status_code == 422


async def test_an_agent_is_shown_set_and_paused(open_desk: Doors) -> None:
    agents = (await open_desk.ask("GET", f"{ON}/agents", "viewer")).json()["items"]
    assert [agent["name"] for agent in agents] == ["market_analysis", "signal", "risk", "execution", "rebalancing"]
    assert {tool["name"]: tool["action"] for tool in agents[3]["tools"]}["get_ticker"] == "market:read"
    assert (agents[3]["model"], agents[3]["calls_today"], agents[3]["budget"]["tokens"]) == ("rules", 0, None)
    path = f"{ON}/agents/signal"
    before = (await open_desk.ask("GET", path, "trader")).headers["etag"]
    match = {"If-Match": before}
    budget = await open_desk.ask("PUT", f"{path}/budget", "trader", json={"tokens": 5}, headers=match)
    assert (budget.status_code, budget.json()["budget"]["tokens"]) == (200, 5)
    assert (await open_desk.ask("PUT", f"{path}/budget", "trader", json={"tokens": 6}, headers=match)).status_code == 412
    assert (await open_desk.ask("PUT", f"{path}/budget", "trader", json={"orders": 6})).status_code == 422
    assert (await open_desk.ask("PUT", f"{path}/model", "trader", json={"model": "rules"})).json()["model"] == "rules"
    assert (await open_desk.ask("PUT", f"{path}/model", "trader", json={"model": "gpt"})).status_code == 422
    assert (await open_desk.ask("POST", f"{path}/pause", "trader", json={"reason": "odd"})).status_code == 200
    assert (await open_desk.ask("GET", path, "viewer")).json()["paused"]["reason"] == "odd"
    assert (await open_desk.ask("POST", f"{path}/resume", "trader")).status_code == 200
    assert (await open_desk.ask("GET", f"{ON}/agents/nobody", "trader")).status_code == 404


async def test_of_two_who_change_an_agent_at_once_one_saw_another_version(open_desk: Doors) -> None:
    path = f"{ON}/agents/signal"
    match = {"If-Match": (await open_desk.ask("GET", path, "trader")).headers["etag"]}
    told = await asyncio.gather(
        *(open_desk.ask("PUT", f"{path}/budget", "trader", json={"tokens": tokens}, headers=match) for tokens in (5, 6)),
        open_desk.ask("PUT", f"{path}/model", "trader", json={"model": "rules"}, headers=match),
    )
    assert sorted(answer.status_code for answer in told) == [200, 412, 412]


@pytest.mark.parametrize("other", ["PUT", "DELETE"])
async def test_of_two_who_change_a_schedule_at_once_one_saw_another_version(open_desk: Doors, other: str) -> None:
    made = await _add(open_desk)
    path, match = f"{ON}/schedules/{made.json()['id']}", {"If-Match": made.headers["etag"]}
    bodies = [{**PLAN, "every_seconds": 60}, {**PLAN, "every_seconds": 120} if other == "PUT" else None]
    asked = zip(("PUT", other), bodies, strict=True)
    told = await asyncio.gather(*(open_desk.ask(method, path, "trader", json=body, headers=match) for method, body in asked))
    assert sorted(answer.is_success for answer in told) == [False, True]
    # Whoever finds it removed is told so.
    assert {answer.status_code for answer in told if not answer.is_success} <= {412, 404}
    assert not [answer.status_code for answer in told if answer.status_code == 409]


WRITES = [
    ("POST", "/schedules", PLAN),
    ("PUT", "/schedules/{id}", PLAN),
    ("DELETE", "/schedules/{id}", None),
    ("POST", "/schedules/{id}/pause", {"reason": "x"}),
    ("POST", "/schedules/{id}/resume", None),
    ("POST", "/schedules/{id}/run", None),
    ("PUT", "/pauses/everything", {"reason": "x"}),
    ("DELETE", "/pauses/everything", None),
    ("PUT", "/agents/signal/budget", {"tokens": 5}),
    ("PUT", "/agents/signal/model", {"model": None}),
    ("POST", "/agents/signal/pause", {"reason": "x"}),
    ("POST", "/agents/signal/resume", None),
]


@pytest.mark.parametrize("role", ["viewer", "auditor", None])
async def test_who_only_looks_changes_nothing(open_desk: Doors, role: str | None) -> None:
    schedule_id = (await _add(open_desk)).json()["id"]
    for method, path, body in WRITES:
        answer = await open_desk.ask(method, ON + path.format(id=schedule_id), role, json=body)
        assert answer.status_code == (403 if role else 401), (method, path)
    for path in (
        "/schedules",
        f"/schedules/{schedule_id}",
        f"/schedules/{schedule_id}/ticks",
        "/pauses",
        "/agents",
        "/agents/risk",
    ):
        assert (await open_desk.ask("GET", ON + path, role)).status_code == (200 if role else 401), path


async def test_a_schedule_of_another_account_is_not_there(open_desk: Doors) -> None:
    schedule_id = (await _add(open_desk)).json()["id"]
    async with open_desk.world.database.transaction() as uow:
        now = open_desk.world.clock.now()
        await uow.portfolios.open_account(
            Portfolio.opened("other", "USDT", SessionConfig(symbols=("BTC/USDT",)).deposit), "p", now
        )
    for method, path, body in WRITES[:6]:
        answer = await open_desk.ask(method, "/api/v1/accounts/other" + path.format(id=schedule_id), "trader", json=body)
        assert answer.status_code == 404
