"""Readings that are shared: fresh for everybody, done once, and shown to nobody who may not see them."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.shared_reads import SharedReads
from api.http.shared_route import SharedRoute
from api.routes import ROUTERS
from tests.unit.auth_cases import PASSWORD, opened
from tests.unit.http.doors import Doors, paper_account
from trading_core.auth.login_lookup import LoginLookup
from trading_core.auth.roles import Role
from trading_core.domain.errors import NotAuthenticated, StoreUnavailable


class World:
    """Something that changes, and how often it was read. A reading takes a moment, and sees the world as it begins."""

    def __init__(self) -> None:
        self.state, self.readings = 0, 0

    async def read(self) -> int:
        self.readings += 1
        found = self.state
        for _ in range(3):
            await asyncio.sleep(0)
        return found


async def test_who_asks_together_gets_one_reading() -> None:
    reads, world = SharedReads(), World()
    assert await asyncio.gather(*(reads.once("a", world.read) for _ in range(100))) == [0] * 100
    assert world.readings == 1


async def test_different_things_are_read_apart() -> None:
    reads, world = SharedReads(), World()
    await asyncio.gather(reads.once("a", world.read), reads.once("b", world.read))
    assert world.readings == 2


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_nobody_gets_what_was_true_before_asking(pauses: list[int]) -> None:
    async def run() -> int:
        reads, world = SharedReads(), World()

        async def ask() -> None:
            at_least = world.state
            assert await reads.once("a", world.read) >= at_least

        asked = []
        for pause in pauses:
            for _ in range(pause):
                await asyncio.sleep(0)
            world.state += 1
            asked.append(asyncio.create_task(ask()))
        await asyncio.gather(*asked)
        assert not reads._next
        assert not reads._at_work
        return world.readings

    assert asyncio.run(run()) <= len(pauses)


async def test_an_error_is_everybodys_and_the_next_reading_is_a_new_one() -> None:
    reads, world = SharedReads(), World()

    async def fail() -> int:
        raise StoreUnavailable("the disk is gone")

    found = await asyncio.gather(*(reads.once("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [StoreUnavailable] * 3
    assert await reads.once("a", world.read) == 0


async def test_who_leaves_takes_nothing_from_the_others_and_the_last_one_ends_it() -> None:
    reads, gate = SharedReads(), asyncio.Event()
    ended = []

    async def wait() -> str:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "read"

    first, second = (asyncio.create_task(reads.once("a", wait)) for _ in range(2))
    await asyncio.sleep(0.01)
    third = asyncio.create_task(reads.once("a", wait))
    await asyncio.sleep(0.01)
    first.cancel()
    third.cancel()
    await asyncio.gather(first, third, return_exceptions=True)
    assert not ended
    gate.set()
    assert await second == "read"
    gate.clear()
    alone = asyncio.create_task(reads.once("a", wait))
    await asyncio.sleep(0.01)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    await asyncio.sleep(0)
    assert ended == ["cancelled"]
    assert not reads._next
    assert not reads._at_work


def shared_routes() -> list[SharedRoute]:
    return [each for router in ROUTERS for each in router.routes if isinstance(each, SharedRoute) and each.needs is not None]


def test_shared_answers_depend_on_no_caller() -> None:
    assert len(shared_routes()) >= 15
    for route in shared_routes():
        written = inspect.getsource(route.endpoint)
        assert "on.who" not in written, route.path
        assert "on.identity" not in written, route.path
        assert "Caller" not in written, route.path


def test_writes_are_not_shared() -> None:
    writes = [each for router in ROUTERS for each in router.routes if isinstance(each, SharedRoute) and each.methods != {"GET"}]
    assert writes
    assert all(route.needs is None for route in writes)


async def test_each_asker_is_judged_alone(desk: Doors) -> None:
    async with desk.world.database.transaction() as uow:
        await paper_account(uow)
    await desk.world.user("stranger", Role.TRADER, accounts=())
    path = "/api/v1/accounts/paper/portfolio"
    asked = [desk.ask("GET", path, user) for user in ("trader", "viewer", "stranger", None, "trader")]
    seen, viewed, strange, unknown, again = await asyncio.gather(*asked)
    assert [one.status_code for one in (seen, viewed, strange, unknown, again)] == [200, 200, 404, 401, 200]
    assert seen.content == viewed.content == again.content
    assert len({one.headers["x-request-id"] for one in (seen, viewed, again)}) == 3
    assert seen.headers.get_list("x-request-id") == [seen.headers["x-request-id"]]


async def test_a_bad_question_is_everybodys_own(desk: Doors) -> None:
    async with desk.world.database.transaction() as uow:
        await paper_account(uow)
    path = "/api/v1/accounts/paper/orders?limit=0"
    found = await asyncio.gather(*(desk.ask("GET", path, "trader") for _ in range(3)))
    assert [one.status_code for one in found] == [422] * 3
    assert len({one.json()["instance"] for one in found}) == 3


async def test_what_was_written_is_in_the_next_answer(desk: Doors) -> None:
    async with desk.world.database.transaction() as uow:
        await paper_account(uow)
    path = "/api/v1/accounts/paper/risk"
    for verb, state in (("halt", "halted"), ("reduce", "reducing")):
        await asyncio.gather(*(desk.ask("GET", path, "trader") for _ in range(5)))
        answer = await desk.ask("POST", f"{path}/{verb}", "trader", json={"reason": "test"})
        assert answer.status_code == 200, answer.text
        found = await asyncio.gather(*(desk.ask("GET", path, "viewer") for _ in range(5)))
        assert {one.json()["state"] for one in found} == {state}


async def test_logins_are_looked_up_together_and_never_from_before(sqlite_copy: Path) -> None:
    async with opened(str(sqlite_copy)) as world:
        for name in ("ann", "bob"):
            await world.user(name)
        known = {name: await world.identity(name) for name in ("ann", "bob")}
        lookup = LoginLookup(world.database)
        ids = [identity.login_id or "" for identity in known.values()]
        found = await asyncio.gather(*(lookup.get(each) for each in (*ids, "nobody", *ids)))
        assert [one and one[1].username for one in found] == ["ann", "bob", None, "ann", "bob"]
        before = asyncio.create_task(lookup.get(ids[0]))
        await world.auth.logins.logout(known["ann"])
        after = await lookup.get(ids[0])
        assert after is not None
        assert after[0].ended_at is not None
        assert await before is not None


async def test_a_login_that_ended_lets_nobody_in_however_often_its_token_was_good(sqlite_copy: Path) -> None:
    async with opened(str(sqlite_copy)) as world:
        await world.user()
        tokens = await world.auth.logins.login("alice", PASSWORD)
        identity = await world.auth.logins.authenticate(tokens.access)
        await asyncio.gather(*(world.auth.logins.authenticate(tokens.access) for _ in range(5)))
        await world.auth.logins.logout(identity)
        with pytest.raises(NotAuthenticated):
            await world.auth.logins.authenticate(tokens.access)
