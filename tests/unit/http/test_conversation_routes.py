"""Conversations and cards over HTTP: each is one user's own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from api.services.turns import MOST_OPEN
from tests.unit.auth_cases import PASSWORD, ROOT
from tests.unit.http.manned_cases import Manned, events_of, manned
from trading_core.auth.roles import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Manned]:
    home = tmp_path_factory.mktemp("desk")
    async with manned(home, location=Path(shutil.copy(sqlite_template, home / "desk.db"))) as opened:
        await opened.doors.world.auth.users.create(ROOT, "other", "other@example.org", PASSWORD, Role.TRADER, ("paper",))
        yield opened


async def thread(here: Manned, user: str = "trader") -> str:
    return str((await here.post("/conversations", {"account": "paper"}, user, 201))["id"])


async def say(here: Manned, conversation: str, text: str, user: str = "trader") -> dict[str, Any]:
    """The last thing that was answered."""
    turn = await here.post(f"/conversations/{conversation}/messages", {"text": text}, user)
    assert await here.over(turn["run_id"]) == "done"
    return dict((await here.get(f"/conversations/{conversation}/messages", user))["items"][-1])


async def card(here: Manned, user: str = "trader") -> dict[str, Any]:
    """A card for a small buy."""
    before = {one["id"] for one in (await here.get("/proposals", user))["items"]}
    answer = await say(here, await thread(here, user), "buy 300 usdt of BTC", user)
    new = [one for one in (await here.get("/proposals", user))["items"] if one["id"] not in before]
    assert len(new) == 1, answer
    return dict(new[0])


async def test_a_question_is_answered_in_its_thread(here: Manned) -> None:
    made = await here.ask("POST", "/conversations", json={"account": "paper"})
    assert made.headers["location"] == f"/api/v1/conversations/{made.json()['id']}"
    path = f"/conversations/{made.json()['id']}"
    turn = await here.post(f"{path}/messages", {"text": "What is our exposure?"})
    assert turn["events"] == f"/api/v1/runs/{turn['run_id']}/events"
    told = events_of((await here.ask("GET", f"/runs/{turn['run_id']}/events")).text)
    assert {"token", "message", "run_done"} <= {event["kind"] for event in told}
    first, second = (await here.get(f"{path}/messages"))["items"]
    assert (first["author"], first["content"], first["run_id"]) == ("operator", "What is our exposure?", turn["run_id"])
    assert (second["author"], second["data"]["grounded"]) == ("agent", True)
    shown = await here.get(path)
    assert (shown["conversation"]["title"], shown["open_run"]) == ("What is our exposure?", None)
    assert [run["id"] for run in (await here.get("/runs", conversation=made.json()["id"]))["items"]] == [turn["run_id"]]
    assert (await here.get("/runs", "auditor", conversation=made.json()["id"]))["items"] == []


async def test_turns_of_a_thread_are_listed_in_pages_by_the_same_filters(here: Manned) -> None:
    conversation, asked = await thread(here), list[str]()
    for text in ("What is our exposure?", "And BTC?", "And ETH?"):
        asked.append((await here.post(f"/conversations/{conversation}/messages", {"text": text}))["run_id"])
        assert await here.over(asked[-1]) == "done"
    first = await here.get("/runs", conversation=conversation, limit=2)
    rest = await here.get("/runs", conversation=conversation, limit=2, cursor=first["next_cursor"])
    assert [run["id"] for run in first["items"] + rest["items"]] == asked[::-1]
    assert rest["next_cursor"] is None
    assert len((await here.get("/runs", conversation=conversation, kind="conversation", state="done"))["items"]) == 3
    assert (await here.get("/runs", conversation=conversation, kind="cycle"))["items"] == []


async def test_threads_are_listed_renamed_and_put_away(here: Manned) -> None:
    ids = [await thread(here, "viewer") for _ in range(5)]
    renamed = await here.ask("PATCH", f"/conversations/{ids[1]}", "viewer", json={"title": "Mine\u202e own"})
    assert renamed.json()["title"] == "Mine own", "nothing in a title turns letters around"
    seen: list[str] = []
    cursor = None
    while True:
        page = await here.get("/conversations", "viewer", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert sorted(seen) == sorted(ids)
    for _ in range(2):
        assert (await here.post(f"/conversations/{ids[0]}/archive", None, "viewer", 200))["archived_at"]
    assert ids[0] not in [one["id"] for one in (await here.get("/conversations", "viewer"))["items"]]
    assert [one["id"] for one in (await here.get("/conversations", "viewer", archived=True))["items"]] == [ids[0]]
    assert (await here.ask("POST", f"/conversations/{ids[0]}/messages", "viewer", json={"text": "?"})).status_code == 422


async def test_somebody_elses_thread_is_not_there(here: Manned) -> None:
    conversation = await thread(here)
    for user in ("other", "admin", "auditor"):
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"title": "x"}),
            ("POST", "/archive", None),
            ("GET", "/messages", None),
            ("POST", "/messages", {"text": "hello"}),
        ):
            answer = await here.ask(method, f"/conversations/{conversation}{path}", user, json=body)
            assert answer.status_code == 404, (user, method, path)
        assert conversation not in [one["id"] for one in (await here.get("/conversations", user))["items"]]
    assert (await here.ask("POST", "/conversations", "trader", json={"account": "other"})).status_code == 404


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "  \n "}, {"text": "x" * 4_001}, {"text": "x", "agent": "risk"}])
async def test_what_is_no_question_is_refused(here: Manned, body: dict[str, str]) -> None:
    assert (await here.ask("POST", f"/conversations/{await thread(here)}/messages", json=body)).status_code == 422


async def test_one_question_at_a_time(here: Manned) -> None:
    conversation = await thread(here)
    system = here.doors.state.desks.remove("paper")
    assert system is not None
    try:  # nobody answers meanwhile
        path, bodies = f"/conversations/{conversation}/messages", [{"text": f"question {n}"} for n in range(4)]
        answers = await asyncio.gather(*(here.ask("POST", path, json=body) for body in bodies))
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [202, 409, 409, 409]
        run_id = next(answer.json()["run_id"] for answer in answers if answer.status_code == 202)
        refused = await here.ask("POST", path, json={"text": "and now?"})
        assert refused.status_code == 409
        assert run_id in refused.json()["detail"]
        assert (await here.get(f"/conversations/{conversation}"))["open_run"] == run_id
        await here.post(f"/runs/{run_id}/cancel")
        keyed = {"Idempotency-Key": "asked-once"}
        first = await here.post(path, {"text": "again"}, headers=keyed)
        assert (await here.post(path, {"text": "again"}, headers=keyed))["run_id"] == first["run_id"]
    finally:
        here.doors.state.desks.add(system)
    assert await here.over(first["run_id"]) == "done"


async def test_one_users_questions_leave_room_for_those_of_others(here: Manned) -> None:
    threads = [await thread(here) for _ in range(MOST_OPEN + 1)]
    system = here.doors.state.desks.remove("paper")
    assert system is not None
    try:  # nobody answers meanwhile
        bodies = [(f"/conversations/{one}/messages", {"text": f"question {n}"}) for n, one in enumerate(threads)]
        keyed = {"Idempotency-Key": "the-first-question"}
        runs = [(await here.post(*bodies[0], headers=keyed))["run_id"]]
        runs += [(await here.post(path, body))["run_id"] for path, body in bodies[1:MOST_OPEN]]
        refused = await here.ask("POST", bodies[-1][0], json=bodies[-1][1])
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert "cancel some" in refused.json()["detail"]
        assert (await here.get(f"/conversations/{threads[-1]}/messages"))["items"] == [], "it was not asked"
        assert (await here.post(*bodies[0], headers=keyed))["run_id"] == runs[0], "the same question is no further one"
        others = await here.post(f"/conversations/{await thread(here, 'other')}/messages", {"text": "and mine?"}, "other")
        await here.post(f"/runs/{runs[1]}/cancel")
        last = await here.post(*bodies[-1])
    finally:
        here.doors.state.desks.add(system)
    assert [await here.over(run) for run in (runs[0], last["run_id"], others["run_id"])] == ["done"] * 3


async def test_a_confirmed_card_is_one_order(here: Manned) -> None:
    shown = await card(here)
    assert shown["state"] == "open"
    assert 0 < shown["seconds_left"] <= 600
    assert shown["ticket"]["symbol"] == "BTC/USDT"
    assert (await here.get("/accounts/paper/orders", symbol="BTC/USDT"))["items"] == [], "nothing was sent"
    path, body = f"/proposals/{shown['id']}", {"content_hash": shown["content_hash"]}
    run = await here.post(f"{path}/confirm", body)
    assert (run["kind"], run["account"]) == ("order", "paper")
    again = await asyncio.gather(*(here.post(f"{path}/confirm", body) for _ in range(3)))
    assert {one["run_id"] for one in again} == {run["run_id"]}
    assert await here.over(run["run_id"]) == "done"
    entries = [one for one in (await here.get("/accounts/paper/orders", symbol="BTC/USDT"))["items"] if one["purpose"] == "entry"]
    assert [one["run_id"] for one in entries] == [run["run_id"]]
    assert ((await here.get(path))["state"], (await here.get(path))["order_run_id"]) == ("confirmed", run["run_id"])
    assert (await here.ask("POST", f"{path}/dismiss")).status_code == 409


async def test_nobody_else_confirms_it_and_nobody_confirms_another_order(here: Manned) -> None:
    shown = await card(here)
    path, body = f"/proposals/{shown['id']}", {"content_hash": shown["content_hash"]}
    for user in ("other", "admin", "viewer"):
        assert (await here.ask("POST", f"{path}/confirm", user, json=body)).status_code == 404
        assert (await here.ask("POST", f"{path}/dismiss", user)).status_code == 404
        assert (await here.ask("GET", path, user)).status_code == 404
        assert shown["id"] not in [one["id"] for one in (await here.get("/proposals", user))["items"]]
    wrong = await here.ask("POST", f"{path}/confirm", json={"content_hash": "0" * 64})
    assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:problem-type:algotrendy:approval-conflict")
    assert (await here.post(f"{path}/dismiss", status=200))["state"] == "dismissed"
    assert (await here.ask("POST", f"{path}/confirm", json=body)).status_code == 409
    assert shown["id"] in [one["id"] for one in (await here.get("/proposals", state="dismissed"))["items"]]


async def test_an_expired_card_places_nothing(here: Manned) -> None:
    shown = await card(here)
    path = f"/proposals/{shown['id']}"
    here.system.clock.advance_to(here.system.clock.now() + timedelta(minutes=11))
    late = await here.ask("POST", f"{path}/confirm", json={"content_hash": shown["content_hash"]})
    assert late.status_code == 409
    assert ((await here.get(path))["state"], (await here.get(path))["seconds_left"]) == ("expired", 0)
    assert (await here.ask("GET", f"/runs/order-{shown['id']}")).status_code == 404
