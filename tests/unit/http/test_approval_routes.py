"""Approvals over HTTP: what is asked, who may answer, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.auth_cases import PASSWORD, ROOT
from tests.unit.http.manned_cases import Manned, events_of, manned
from trading_core.auth.roles import Role

WHY = {"reason": "as planned"}


@pytest.fixture
async def here(sqlite_copy: Path) -> AsyncIterator[Manned]:
    limits = {"approval_above_notional": "500", "max_position": "0.3", "four_eyes": True}
    async with manned(sqlite_copy.parent, location=sqlite_copy, **limits) as opened:
        await opened.doors.world.auth.users.create(ROOT, "other", "other@example.org", PASSWORD, Role.TRADER, ("paper",))
        await opened.doors.world.auth.users.create(ROOT, "stranger", "stranger@example.org", PASSWORD, Role.TRADER, ("live",))
        yield opened


async def asked(here: Manned, symbol: str = "BTC/USDT") -> tuple[str, dict[str, Any]]:
    """An order of the trader's that waits, and what is asked."""
    run = await here.post("/accounts/paper/orders", await here.ticket("600", symbol))
    assert await here.over(run["run_id"]) == "waiting", [
        one["intent"]["failed"] for one in (await here.get(f"/runs/{run['run_id']}/trail"))["intents"]
    ]
    (found,) = [
        one for one in (await here.get("/approvals", state="pending"))["items"] if one["intent"]["run_id"] == run["run_id"]
    ]
    return str(run["run_id"]), dict(found)


async def test_an_approved_order_is_sent_and_one_that_is_not_is_not(here: Manned) -> None:
    run_id, found = await asked(here)
    assert (found["state"], found["intent"]["proposer"], found["account"]) == ("pending", "user:trader", "paper")
    assert [one["code"] for one in found["decision"]["checks"] if not one["passed"]] == found["intent"]["failed"]
    assert found["price_now"]
    assert found["priced_by"] == "desk"
    assert found["seconds_left"] > 0
    waiting = (await here.get(f"/runs/{run_id}"))["waiting"]
    assert [one["id"] for one in waiting] == [found["intent"]["id"]]

    path = f"/approvals/{found['intent']['id']}"
    own = await here.ask("POST", f"{path}/approve", json=WHY)
    assert own.status_code == 403, "four eyes: not by whoever proposed it"
    assert (await here.get(path))["state"] == "pending"
    answer = await here.post(f"{path}/approve", WHY, "other", 200)
    assert (answer["state"], answer["decided_by"], answer["reason"], answer["seconds_left"]) == (
        "approved",
        "user:other",
        "as planned",
        0,
    )
    assert await here.ended(run_id) == "done"
    told = events_of((await here.ask("GET", f"/runs/{run_id}/events")).text)
    kinds = [event["kind"] for event in told]
    assert kinds.count("approval_decided") == 1
    assert kinds.index("approval_requested") < kinds.index("approval_decided") < kinds.index("order_sent")
    assert (await here.get("/accounts/paper/orders", run=run_id))["items"]
    assert (await here.ask("POST", f"{path}/reject", "other", json=WHY)).status_code == 409

    run_id, found = await asked(here, "ETH/USDT")
    rejected = await here.post(f"/approvals/{found['intent']['id']}/reject", WHY, "trader", 200)
    assert (rejected["state"], rejected["price_now"]) == ("rejected", None)
    assert await here.ended(run_id) == "done"
    assert (await here.get("/accounts/paper/orders", run=run_id))["items"] == []


async def test_what_waits_comes_first_and_pages_hold_each_once(here: Manned) -> None:
    _, answered = await asked(here, "SOL/USDT")
    await here.post(f"/approvals/{answered['intent']['id']}/reject", WHY, status=200)
    waiting = [(await asked(here, symbol))[1]["intent"]["id"] for symbol in ("BTC/USDT", "ETH/USDT")]
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await here.get("/approvals", limit=1, **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    ids = [one["intent"]["id"] for one in seen]
    assert len(ids) == len(set(ids))
    assert set(ids[:2]) == set(waiting)
    assert [one["state"] == "pending" for one in seen] == [True] * 2 + [False] * (len(seen) - 2)


async def test_who_sees_and_who_answers(here: Manned) -> None:
    _, found = await asked(here)
    path = f"/approvals/{found['intent']['id']}"
    for user, sees, answers in (("viewer", 200, 403), ("auditor", 200, 403), ("stranger", 404, 404)):
        assert (await here.ask("GET", path, user)).status_code == sees
        assert (await here.ask("POST", f"{path}/approve", user, json=WHY)).status_code == answers
        assert (await here.ask("POST", f"{path}/reject", user, json=WHY)).status_code == answers
    assert (await here.get("/approvals", "stranger"))["items"] == []
    for body in ({}, {"reason": ""}, {"reason": "x" * 501}, {**WHY, "force": True}):
        assert (await here.ask("POST", f"{path}/approve", "other", json=body)).status_code == 422
    assert (await here.get(path))["state"] == "pending"
    assert (await here.ask("POST", "/approvals/nothing/approve", "other", json=WHY)).status_code == 404


async def test_an_answer_that_comes_too_late_approves_nothing(here: Manned) -> None:
    run_id, found = await asked(here)
    system = here.doors.state.desks.remove("paper")
    assert system is not None
    here.doors.world.later(days=3)  # of a process without the desk
    here.doors.known.clear()
    assert (await here.get("/approvals", state="pending"))["items"] == []
    assert [one["intent"]["id"] for one in (await here.get("/approvals", state="expired"))["items"]] == [found["intent"]["id"]]
    late = await here.ask("POST", f"/approvals/{found['intent']['id']}/approve", "other", json=WHY)
    assert late.status_code == 409
    shown = await here.get(f"/approvals/{found['intent']['id']}")
    assert (shown["state"], shown["seconds_left"]) == ("expired", 0)
    here.system.clock.advance_to(here.system.clock.now() + timedelta(days=1))
    here.doors.state.desks.add(system)
    assert await here.ended(run_id) == "done"
    assert (await here.get("/accounts/paper/orders", run=run_id))["items"] == []
