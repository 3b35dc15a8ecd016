"""A write that is sent twice is done once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from api.http.dependencies import Caller, holds_secret
from api.http.idempotency import Idempotency
from tests.unit.auth_cases import PASSWORD
from tests.unit.http.doors import Doors, paper_account
from trading_core.auth.opaque import digest
from trading_core.domain.errors import StoreUnavailable
from trading_core.persistence.desk_records import Conversation
from trading_core.persistence.repositories.kept_answers import KeptAnswersRepository

KEY = {"Idempotency-Key": "0b6c1d1e-6a54"}
NEW = {"username": "carol", "email": "carol@example.org", "password": PASSWORD.get_secret_value(), "role": "viewer"}


class Counting:
    """A route that counts how often it was done, and can be told what to answer and to wait."""

    def __init__(self, desk: Doors) -> None:
        self.done = 0
        self.begun = asyncio.Event()
        self.answers: list[Response] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        desk.app.add_api_route("/count", self, methods=["POST"])
        desk.app.add_api_route("/secret", self, methods=["POST"], dependencies=[holds_secret])

    async def __call__(self, caller: Caller, request: Request) -> Any:
        self.done += 1
        done = self.done
        self.begun.set()
        await self.go_on.wait()
        return self.answers.pop(0) if self.answers else JSONResponse({"done": done}, 201, {"ETag": '"7"', "X-Other": "1"})


async def test_the_same_request_gets_the_same_answer(desk: Doors) -> None:
    first = await desk.ask("POST", "/api/v1/users", "admin", json=NEW, headers=KEY)
    again = await desk.ask("POST", "/api/v1/users", "admin", json=NEW, headers=KEY)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == "application/json"
    assert (await desk.ask("POST", "/api/v1/users", "admin", json=NEW)).status_code == 409, "without the key it is a second one"


async def test_another_request_under_the_key_is_refused_and_another_caller_is_not(desk: Doors) -> None:
    route = Counting(desk)
    await desk.ask("POST", "/count", "trader", headers=KEY, json={"a": 1})
    for path, body in (("/count", {"a": 2}), ("/count?b=1", {"a": 1}), ("/secret", {"a": 1})):
        other = await desk.ask("POST", path, "trader", headers=KEY, json=body)
        assert (other.status_code, other.json()["type"]) == (422, "urn:problem-type:algotrendy:idempotency-key-reused")
    assert (await desk.ask("POST", "/count", "viewer", headers=KEY, json={"a": 1})).json() == {"done": 2}
    assert route.done == 2


async def test_of_many_at_once_one_is_done(desk: Doors) -> None:
    route = Counting(desk)
    route.go_on.clear()
    await desk.as_user("trader")
    first = asyncio.create_task(desk.ask("POST", "/count", "trader", headers=KEY))
    await route.begun.wait()
    others = await asyncio.gather(*(desk.ask("POST", "/count", "trader", headers=KEY) for _ in range(20)))
    assert {(other.status_code, other.headers["retry-after"]) for other in others} == {(409, "1")}
    route.go_on.set()
    assert (await first).json() == {"done": 1}
    assert (await desk.ask("POST", "/count", "trader", headers=KEY)).json() == {"done": 1}
    assert route.done == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
async def test_what_failed_can_be_tried_again(desk: Doors, status: int) -> None:
    route = Counting(desk)
    route.answers = [JSONResponse({}, status)]
    assert (await desk.ask("POST", "/count", "trader", headers=KEY)).status_code == status
    assert (await desk.ask("POST", "/count", "trader", headers=KEY)).json() == {"done": 2}


async def test_an_unforeseen_error_does_not_hold_the_key(desk: Doors) -> None:
    async def broken(caller: Caller) -> None:
        raise RuntimeError("broken")

    desk.app.add_api_route("/broken", broken, methods=["POST"])
    for _ in range(2):
        assert (await desk.ask("POST", "/broken", "trader", headers=KEY)).status_code == 500


async def test_a_secret_is_not_kept_and_not_made_twice(desk: Doors) -> None:
    body = {"name": "k", "scopes": ["market:read"]}
    first = await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json=body, headers=KEY)
    again = await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json=body, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["type"] == "urn:problem-type:algotrendy:answer-not-kept"
    assert len((await desk.ask("GET", "/api/v1/auth/api-keys", "trader")).json()["items"]) == 1
    async with desk.world.database.reading() as uow:
        rows = await uow.kept_answers._all(_every_row())
    secret = first.json()["key"].rsplit("_", 1)[1]
    assert rows
    assert secret not in repr(rows)


async def test_logging_in_is_never_kept(desk: Doors) -> None:
    body = {"name": "trader", "password": PASSWORD.get_secret_value()}
    tokens = {(await desk.ask("POST", "/api/v1/auth/login", json=body, headers=KEY)).json()["refresh_token"] for _ in range(2)}
    assert len(tokens) == 2
    async with desk.world.database.reading() as uow:
        assert not await uow.kept_answers._all(_every_row())


@pytest.mark.parametrize("key", ["short", "x" * 201, "with a space", "tab\there-it-is"])
async def test_a_key_that_is_none_is_refused(desk: Doors, key: str) -> None:
    route = Counting(desk)
    answer = await desk.ask("POST", "/count", "trader", headers={"Idempotency-Key": key})
    assert (answer.status_code, route.done) == (422, 0)


async def test_a_key_whose_process_died_is_free_again_after_a_while(desk: Doors) -> None:
    route = Counting(desk)
    await desk.as_user("trader")
    async with desk.world.database.transaction() as uow:  # what a process leaves that is killed at work
        await uow.kept_answers.begin("user:trader", digest(KEY["Idempotency-Key"]), "a request", desk.world.clock.now())
    desk.world.later(seconds=2 * desk.state.settings.request_timeout - 1)
    assert (await desk.ask("POST", "/count", "trader", headers=KEY)).status_code == 422
    desk.world.later(seconds=1)
    assert (await desk.ask("POST", "/count", "trader", headers=KEY)).status_code == 201
    assert route.done == 1


class Making:
    """A route that makes something, tells so, and never comes to its answer."""

    def __init__(self, desk: Doors) -> None:
        self.desk = desk
        self.made = asyncio.Event()
        self.fails = False
        desk.app.add_api_route("/make", self, methods=["POST"], status_code=201)

    async def __call__(self, caller: Caller) -> None:
        now = self.desk.world.clock.now()
        async with self.desk.world.database.transaction() as uow:
            await uow.conversations.add(Conversation(f"c-{self.made.is_set()}", "paper", caller.principal.name, "", now, now))
        self.made.set()
        if self.fails:
            raise RuntimeError("broken after the write")
        await asyncio.Event().wait()

    async def again(self) -> None:
        """The same request is not done again, and says so."""
        answer = await self.desk.ask("POST", "/make", "trader", headers=KEY)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem-type:algotrendy:write-cut-off")
        assert "use a new key" in answer.json()["next_step"]
        async with self.desk.world.database.reading() as uow:
            assert len(await uow.conversations.page("user:trader", limit=10)) == 1


async def account(desk: Doors) -> None:
    async with desk.world.database.transaction() as uow:
        await paper_account(uow)
    await desk.as_user("trader")


async def test_what_was_made_before_the_server_ended_is_not_made_again(desk: Doors) -> None:
    await account(desk)
    route = Making(desk)
    asking = asyncio.create_task(desk.ask("POST", "/make", "trader", headers=KEY))
    await route.made.wait()
    asking.cancel()  # as the server does at its end
    await asyncio.wait([asking])
    await route.again()


async def test_what_was_made_before_the_time_was_over_is_not_made_again(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    await account(desk)
    route = Making(desk)
    times: list[asyncio.Timeout] = []

    def kept(_: float) -> asyncio.Timeout:
        times.append(asyncio.timeout(None))
        return times[-1]

    with monkeypatch.context() as timed:
        timed.setattr("api.http.limits.asyncio", SimpleNamespace(timeout=kept))
        asking = asyncio.create_task(desk.ask("POST", "/make", "trader", headers=KEY))
        await route.made.wait()
        times[0].reschedule(0.0)
        slow = await asking
    assert (slow.status_code, slow.json()["type"]) == (503, "urn:problem-type:algotrendy:too-slow")
    await route.again()


async def test_what_was_made_before_an_unforeseen_error_is_not_made_again(desk: Doors) -> None:
    await account(desk)
    route = Making(desk)
    route.fails = True
    assert (await desk.ask("POST", "/make", "trader", headers=KEY)).status_code == 500
    await route.again()


async def test_what_was_made_before_the_process_died_is_not_made_again(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    await account(desk)
    route = Making(desk)

    async def dead(*_: object) -> None:
        """A process that was killed settles nothing."""

    with monkeypatch.context() as killed:
        killed.setattr(Idempotency, "_settle", dead)
        asking = asyncio.create_task(desk.ask("POST", "/make", "trader", headers=KEY))
        await route.made.wait()
        asking.cancel()
        await asyncio.wait([asking])
    at_work = await desk.ask("POST", "/make", "trader", headers=KEY)
    assert at_work.json()["type"] == "urn:problem-type:algotrendy:in-progress"
    desk.world.later(seconds=2 * desk.state.settings.request_timeout)
    await route.again()


async def test_an_answer_is_given_even_where_it_cannot_be_kept(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise StoreUnavailable("the database is gone")

    route = Counting(desk)
    with monkeypatch.context() as broken:
        broken.setattr(KeptAnswersRepository, "finish", gone)
        broken.setattr(KeptAnswersRepository, "drop", gone)
        assert (await desk.ask("POST", "/count", "trader", headers=KEY)).json() == {"done": 1}
        route.answers = [JSONResponse({}, 503)]
        other = {"Idempotency-Key": "another-key"}
        assert (await desk.ask("POST", "/count", "trader", headers=other)).status_code == 503


async def test_a_kept_answer_is_forgotten_after_a_day(desk: Doors) -> None:
    route = Counting(desk)
    key = (await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json={"name": "k", "scopes": ["market:read"]})).json()["key"]
    headers = {**KEY, "X-API-Key": key}
    await desk.ask("POST", "/count", headers=headers)
    desk.world.clock.advance_to(desk.world.clock.now() + timedelta(hours=23))
    assert (await desk.ask("POST", "/count", headers=headers)).json() == {"done": 1}
    desk.world.clock.advance_to(desk.world.clock.now() + timedelta(hours=1))
    assert (await desk.ask("POST", "/count", headers=headers)).json() == {"done": 2}
    assert route.done == 2


async def test_what_is_too_old_is_not_in_the_database_for_long(desk: Doors) -> None:
    key = (await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json={"name": "k", "scopes": ["market:read"]})).json()["key"]
    Counting(desk)
    for hours, rows in ((0, 1), (0, 2), (24, 3), (2, 2)):
        desk.world.clock.advance_to(desk.world.clock.now() + timedelta(hours=hours))
        headers = {"Idempotency-Key": f"number-{desk.world.clock.now():%d%H}-{rows}", "X-API-Key": key}
        assert (await desk.ask("POST", "/count", headers=headers)).status_code == 201
        async with desk.world.database.reading() as uow:
            assert len(await uow.kept_answers._all(_every_row())) == rows


async def test_a_stream_is_let_through_and_not_kept(desk: Doors) -> None:
    async def stream(caller: Caller) -> StreamingResponse:
        async def events() -> Any:
            yield b"data: 1\n\n"
            yield b"data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    desk.app.add_api_route("/stream", stream, methods=["POST"])
    for _ in range(2):
        answer = await desk.ask("POST", "/stream", "trader", headers=KEY)
        assert answer.text == "data: 1\n\ndata: 2\n\n"


def _every_row() -> Any:
    from sqlalchemy import select

    from trading_core.persistence.desk_tables import kept_answers

    return select(kept_answers)
