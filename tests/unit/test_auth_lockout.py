"""Proving a password: the one answer to every failure, locks that grow, hashes that are replaced; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import bcrypt
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from tests.unit.auth_cases import CHEAP, OTHER, PASSWORD, ROOT, START, World, count, opened, outcome
from trading_core.auth.lockout import LockoutSettings, PasswordGuard
from trading_core.auth.passwords import HashCost, PasswordHasher
from trading_core.domain.errors import NotAuthenticated
from trading_core.persistence.identity_records import LoginFailures
from trading_core.persistence.identity_tables import login_failures, logins

WRONG = "the login was not accepted. Nobody was logged in. Check the name and the password; after several attempts wait a while"


@pytest.fixture
async def world(location: str) -> AsyncIterator[World]:
    async with opened(location) as world:
        yield world


async def test_every_failure_to_log_in_has_the_same_words(world: World) -> None:
    await world.user()
    gone = await world.user("gone")
    await world.auth.users.deactivate(ROOT, gone.id)
    login = world.auth.logins.login
    attempts = [
        login("alice", OTHER),
        login("nobody", PASSWORD),
        login("gone", PASSWORD),
        login("", SecretStr("")),
        login("alice\0", PASSWORD),
        login("x" * 10_000, SecretStr("x" * 10_000)),
        login("alice' OR '1'='1", PASSWORD),
    ]
    assert {await outcome(attempt) for attempt in attempts} == {f"NotAuthenticated: {WRONG} before the next."}


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_failures_lock_a_name_for_longer_and_longer_whether_it_exists_or_not(world: World, name: str) -> None:
    await world.user()
    for _ in range(5):
        await outcome(world.auth.logins.login(name, OTHER))
    for lock in (30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600):
        world.later(seconds=lock - 0.001)
        assert (await outcome(world.auth.logins.login(name, PASSWORD))).startswith(
            "NotAuthenticated"
        )  # it is right, if there is one
        world.later(seconds=0.001)
        await outcome(world.auth.logins.login(name, OTHER))
    async with world.database.reading() as uow:
        kept = (await uow.users._connection.execute(select(login_failures))).mappings().one()
    assert (kept["failures"], kept["locked_until"]) == (15, world.clock.now() + timedelta(hours=1))


async def test_the_right_password_lets_in_when_the_lock_is_over_and_clears_the_count(world: World) -> None:
    await world.user()
    for _ in range(5):
        await outcome(world.auth.logins.login("alice", OTHER))
    world.later(seconds=30)
    await world.identity()
    assert await count(world, login_failures) == 0
    for _ in range(4):
        await outcome(world.auth.logins.login("alice", OTHER))
    await world.identity()


async def test_name_and_address_share_one_count(world: World) -> None:
    await world.user()
    for name in ("alice", "alice@example.org", "ALICE", "alice", "Alice@example.org"):
        await outcome(world.auth.logins.login(name, OTHER))
    assert await outcome(world.auth.logins.login("alice", PASSWORD)) != "in"


async def test_guesses_made_at_once_are_counted_one_by_one(world: World) -> None:
    await world.user()
    wrong = [world.auth.logins.login("alice", OTHER) for _ in range(8)]
    right = [world.auth.logins.login("alice", PASSWORD) for _ in range(1)]
    answers = await asyncio.gather(*(outcome(attempt) for attempt in (*wrong, *right)))
    async with world.database.reading() as uow:
        kept = (await uow.users._connection.execute(select(login_failures))).mappings().first()
    if answers[-1] == "in":  # it came before the lock, and started the count again
        assert kept is None or kept["failures"] <= 5
    else:
        assert kept is not None
        assert kept["failures"] == 5  # those that came to a locked door were not even counted


async def test_names_that_nobody_has_do_not_fill_the_database(world: World) -> None:
    subjects = set()
    for number in range(40):
        await outcome(world.auth.logins.login(f"invented-{number}", OTHER))
    async with world.database.reading() as uow:
        subjects = {row["subject"] for row in (await uow.users._connection.execute(select(login_failures))).mappings()}
    assert all(subject.startswith("name:") and len(subject) == len("name:") + 4 for subject in subjects)


def test_failures_long_ago_are_forgotten_and_no_count_overflows() -> None:
    settings = LockoutSettings()
    known = LoginFailures("s", 10**9, START, START)
    assert settings.after_one_more(known, START).locked_until == START + settings.longest
    assert settings.after_one_more(known, START + settings.forget_after) == LoginFailures("s", 1, START + settings.forget_after)


async def test_a_bcrypt_hash_is_replaced_by_the_login_that_proves_it(world: World) -> None:
    user = await world.user()
    old = bcrypt.hashpw(PASSWORD.get_secret_value().encode(), bcrypt.gensalt(4)).decode()
    async with world.database.transaction() as uow:
        await uow.users.set_password(user.id, old)
    assert await outcome(world.auth.logins.login("alice", OTHER)) != "in"
    assert await kept_hash(world, user.id) == old
    # Several at once: one replaces the hash, and the others are let in by the new one.
    assert await asyncio.gather(*(outcome(world.auth.logins.login("alice", PASSWORD)) for _ in range(4))) == ["in"] * 4
    assert (await kept_hash(world, user.id)).startswith("$argon2id$v=19$m=8,t=1,p=1$")
    await world.identity()


async def test_a_hash_at_another_cost_is_replaced_too(world: World) -> None:
    user = await world.user()
    old = await PasswordHasher(HashCost(memory_kib=16, passes=2)).hash(PASSWORD)
    async with world.database.transaction() as uow:
        await uow.users.set_password(user.id, old)
    await world.identity()
    assert f"m={CHEAP.memory_kib}" in await kept_hash(world, user.id)


async def kept_hash(world: World, user_id: str) -> str:
    async with world.database.transaction() as uow:
        return (await uow.users.locked(user_id)).password_hash


async def test_a_password_changed_while_the_old_one_is_being_verified_wins(world: World) -> None:
    user = await world.user()
    await world.auth.users.reset_password(ROOT, user.id, OTHER)
    answers = await asyncio.gather(
        outcome(world.auth.logins.login("alice", OTHER)), outcome(world.auth.users.reset_password(ROOT, user.id, PASSWORD))
    )
    assert answers[1] == "in"
    # Whoever came first: no login of the old password is open.
    async with world.database.reading() as uow:
        still_open = select(func.count()).select_from(logins).where(logins.c.ended_at.is_(None))
        assert (await uow.users._connection.execute(still_open)).scalar_one() == 0


async def test_a_password_proven_a_moment_after_it_was_changed_lets_nobody_in(world: World) -> None:
    user = await world.user()

    class Slow(PasswordHasher):
        """Verifies, and meanwhile the password is changed."""

        async def verify(self, known: str | None, password: SecretStr) -> bool:
            matches = await super().verify(known, password)
            if matches:
                await world.auth.users.reset_password(ROOT, user.id, OTHER)
            return matches

    guard = PasswordGuard(world.database, world.clock, Slow(CHEAP), LockoutSettings())
    with pytest.raises(NotAuthenticated):
        async with guard.proven("alice", PASSWORD):
            pytest.fail("the old password let somebody in")
    await world.identity(password=OTHER)
