"""Who may come in at a desk that is started: the first user, once, and nobody is given anything unasked after that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from api.first_login import EMAIL, USERNAME, FirstLogin, first_login
from tests.unit.auth_cases import ROOT, World, opened
from trading_core.auth.roles import Role


@pytest.fixture
async def world(sqlite_copy: str) -> AsyncIterator[World]:
    async with opened(str(sqlite_copy)) as world:
        yield world


async def test_the_first_start_makes_an_administrator_who_can_come_in(world: World) -> None:
    made = await first_login(world.auth.users, ROOT, ["paper"])
    assert made.password is not None
    identity = await world.identity(USERNAME, made.password)
    assert identity.user.role is Role.ADMIN
    assert identity.user.accounts == {"paper"}
    assert made.without == ()


async def test_the_password_is_told_once_and_is_long(world: World) -> None:
    first = await first_login(world.auth.users, ROOT, ["paper"])
    assert await first_login(world.auth.users, ROOT, ["paper"]) == FirstLogin(None, ())
    assert first.password is not None
    assert len(first.password.get_secret_value()) >= 24
    assert first.password.get_secret_value() not in repr(first)


async def test_an_account_that_is_served_later_is_given_to_the_first_user(world: World) -> None:
    await first_login(world.auth.users, ROOT, ["paper"])
    assert await first_login(world.auth.users, ROOT, ["live"]) == FirstLogin(None, ())
    (user,) = await world.auth.users.all(ROOT)
    assert user.accounts == {"paper", "live"}


async def test_users_that_a_person_made_are_given_nothing(world: World) -> None:
    alice = await world.user("alice", Role.ADMIN, ("paper",))
    assert await first_login(world.auth.users, ROOT, ["live", "paper"]) == FirstLogin(None, ("live",))
    assert await world.auth.users.all(ROOT) == (alice,)


async def test_a_first_user_who_was_made_less_stays_less(world: World) -> None:
    await first_login(world.auth.users, ROOT, ["paper"])
    (user,) = await world.auth.users.all(ROOT)
    assert user.email == EMAIL
    await world.auth.users.change_role(ROOT, user.id, Role.VIEWER)
    assert (await first_login(world.auth.users, ROOT, ["live"])).without == ("live",)
    await world.auth.users.deactivate(ROOT, user.id)
    assert (await first_login(world.auth.users, ROOT, ["paper"])).without == ("paper",)


async def test_two_processes_that_start_at_once_make_one_user(world: World) -> None:
    found = await asyncio.gather(*(first_login(world.auth.users, ROOT, ["paper"]) for _ in range(4)))
    told = [each.password for each in found if each.password is not None]
    assert len(told) == 1
    assert isinstance(told[0], SecretStr)
    assert len(await world.auth.users.all(ROOT)) == 1
