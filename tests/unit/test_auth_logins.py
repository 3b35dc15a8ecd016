"""Logging in and out, refreshing, and being locked out; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from tests.unit.auth_cases import PASSWORD, ROOT, START, World, count, opened, outcome
from trading_core.audit.entry import AuditAction
from trading_core.auth.logins import Tokens
from trading_core.auth.permissions import Action
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import NotAuthenticated, NotPermitted
from trading_core.persistence.identity_records import LoginEnd
from trading_core.persistence.identity_tables import logins, refresh_tokens

NO_TOKEN = "the token was not accepted"  # noqa: S105 - an answer, and no token


@pytest.fixture
async def world(location: str) -> AsyncIterator[World]:
    async with opened(location) as world:
        yield world


async def test_a_user_logs_in_by_name_or_address_in_any_spelling(world: World) -> None:
    user = await world.user()
    for name in ("ALICE", " Alice ", "alice@example.org", "Alice@Example.ORG"):
        assert (await world.identity(name)).user.id == user.id
    tokens = await world.auth.logins.login("alice", PASSWORD)
    identity = await world.auth.logins.authenticate(tokens.access)
    assert identity.user == replace(user, last_login=START)
    assert identity.principal.name == "user:alice"
    assert (identity.principal.actions, identity.principal.accounts) == (ROLE_ACTIONS[Role.TRADER], frozenset({"paper"}))
    assert tokens.access_expires_at == START.replace(microsecond=0) + timedelta(minutes=10)
    assert tokens.refresh_expires_at == START + timedelta(days=7)


async def refreshed(world: World, tokens: Tokens) -> Tokens:
    return await world.auth.logins.refresh(tokens.refresh)


async def test_a_refresh_brings_new_tokens_of_the_same_login(world: World) -> None:
    await world.user()
    first = await world.auth.logins.login("alice", PASSWORD)
    world.later(minutes=11)
    assert NO_TOKEN in await outcome(world.auth.logins.authenticate(first.access))
    second = await refreshed(world, first)
    identity = await world.auth.logins.authenticate(second.access)
    assert second.refresh != first.refresh
    world.later(minutes=11)
    third = await refreshed(world, second)
    assert (await world.auth.logins.authenticate(third.access)).login_id == identity.login_id


async def test_a_refresh_token_that_comes_twice_ends_the_login_for_everybody(world: World) -> None:
    await world.user()
    first = await world.auth.logins.login("alice", PASSWORD)
    elsewhere = await world.auth.logins.login("alice", PASSWORD)
    second = await refreshed(world, first)
    assert NO_TOKEN in await outcome(refreshed(world, first))
    assert NO_TOKEN in await outcome(refreshed(world, second))
    assert NO_TOKEN in await outcome(world.auth.logins.authenticate(second.access))
    await world.auth.logins.authenticate(elsewhere.access)
    async with world.database.reading() as uow:
        ended = (
            (await uow.users._connection.execute(select(logins.c.ended_for).where(logins.c.ended_at.is_not(None))))
            .scalars()
            .all()
        )
        told = await uow.audit.newest(1)
    assert ended == [LoginEnd.REUSE]
    assert (told[0].actor, told[0].action) == ("user:alice", AuditAction.USER_SESSIONS_REVOKED)
    assert told[0].after == '{"logins":1,"reason":"reuse"}'


async def test_of_refreshes_at_the_same_time_exactly_one_wins(world: World) -> None:
    await world.user()
    for _ in range(5):
        first = await world.auth.logins.login("alice", PASSWORD)
        answers = await asyncio.gather(*(outcome(refreshed(world, first)) for _ in range(4)))
        assert sorted(answers)[-1] == "in"
        assert answers.count("in") == 1
        assert NO_TOKEN in await outcome(world.auth.logins.authenticate(first.access))  # strict: the winner may be the thief


async def test_two_desks_on_one_database_agree_who_won(location: str) -> None:
    async with opened(location) as one, opened(location) as two:
        await one.user()
        # The same keys, as two processes of one desk have.
        first = await one.auth.logins.login("alice", PASSWORD)
        answers = await asyncio.gather(*(outcome(desk.auth.logins.refresh(first.refresh)) for desk in (one, two)))
        assert answers.count("in") == 1
        assert NO_TOKEN in await outcome(two.auth.logins.authenticate(first.access))


async def test_a_refresh_token_that_nobody_issued_is_refused(world: World) -> None:
    await world.user()
    await world.identity()
    for token in ("", "atr_", "atr_" + "A" * 43, "x" * 10_000, "\ud800", "' OR 1=1"):
        assert NO_TOKEN in await outcome(world.auth.logins.refresh(SecretStr(token)))


async def test_a_login_that_is_not_refreshed_ends_after_a_week(world: World) -> None:
    await world.user()
    here, there = [await world.auth.logins.login("alice", PASSWORD) for _ in range(2)]
    world.clock.advance_to(START + timedelta(days=7) - timedelta(microseconds=1))
    await refreshed(world, here)
    world.later(microseconds=1)
    assert NO_TOKEN in await outcome(refreshed(world, there))


async def test_every_login_ends_after_thirty_days(world: World) -> None:
    await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    for days in (6, 12, 18, 24):
        world.clock.advance_to(START + timedelta(days=days))
        tokens = await refreshed(world, tokens)
    assert tokens.refresh_expires_at == START + timedelta(days=30)
    world.clock.advance_to(START + timedelta(days=30))
    assert NO_TOKEN in await outcome(refreshed(world, tokens))


async def test_an_access_token_does_not_outlive_its_login(world: World) -> None:
    await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    for days in (6, 12, 18, 24):
        world.clock.advance_to(START + timedelta(days=days))
        tokens = await refreshed(world, tokens)
    world.clock.advance_to(START + timedelta(days=30) - timedelta(minutes=1))
    tokens = await refreshed(world, tokens)
    await world.auth.logins.authenticate(tokens.access)
    world.later(minutes=1)
    assert NO_TOKEN in await outcome(world.auth.logins.authenticate(tokens.access))


async def test_expired_logins_are_removed_at_the_next_login(world: World) -> None:
    await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    await refreshed(world, tokens)
    world.later(days=31)
    await world.identity()
    assert (await count(world, logins), await count(world, refresh_tokens)) == (1, 1)


async def test_a_logout_counts_at_once_and_for_this_login_only(world: World) -> None:
    await world.user()
    here, there = [await world.auth.logins.login("alice", PASSWORD) for _ in range(2)]
    identity = await world.auth.logins.authenticate(here.access)
    await world.auth.logins.logout(identity)
    await world.auth.logins.logout(identity)  # again changes nothing
    assert NO_TOKEN in await outcome(world.auth.logins.authenticate(here.access))
    assert NO_TOKEN in await outcome(refreshed(world, here))
    await world.auth.logins.authenticate(there.access)
    await refreshed(world, there)


async def test_all_logins_of_one_user_end_together(world: World) -> None:
    await world.user()
    await world.user("bob")
    mine = [await world.auth.logins.login("alice", PASSWORD) for _ in range(3)]
    bobs = await world.auth.logins.login("bob", PASSWORD)
    assert await world.auth.logins.logout_all(await world.auth.logins.authenticate(mine[0].access)) == 3
    for tokens in mine:
        assert NO_TOKEN in await outcome(world.auth.logins.authenticate(tokens.access))
        assert NO_TOKEN in await outcome(refreshed(world, tokens))
    await world.auth.logins.authenticate(bobs.access)


async def test_a_token_of_a_deactivated_user_is_refused_at_once_and_stays_so(world: World) -> None:
    user = await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    await world.auth.users.deactivate(ROOT, user.id)
    for _ in range(2):
        assert NO_TOKEN in await outcome(world.auth.logins.authenticate(tokens.access))
        assert NO_TOKEN in await outcome(refreshed(world, tokens))
        await world.auth.users.activate(ROOT, user.id)
    await world.identity()


async def test_a_token_of_the_old_role_is_stale_and_a_refresh_brings_the_new_role(world: World) -> None:
    user = await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    await world.auth.users.change_role(ROOT, user.id, Role.VIEWER)
    assert NO_TOKEN in await outcome(world.auth.logins.authenticate(tokens.access))
    new = await refreshed(world, tokens)
    assert (await world.auth.logins.authenticate(new.access)).principal.actions == ROLE_ACTIONS[Role.VIEWER]


async def test_accounts_count_as_of_now(world: World) -> None:
    user = await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    await world.auth.users.set_accounts(ROOT, user.id, ["live"])
    assert (await world.auth.logins.authenticate(tokens.access)).principal.accounts == {"live"}
    await world.auth.users.set_accounts(ROOT, user.id, [])
    assert (await world.auth.logins.authenticate(tokens.access)).principal.accounts == frozenset()


async def test_a_token_of_another_desk_is_refused(world: World, tmp_path: object) -> None:
    await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    async with opened(f"{tmp_path}/other.db") as other:  # the same keys, but it knows nothing of the login
        with pytest.raises(NotAuthenticated):
            await other.auth.logins.authenticate(tokens.access)


async def test_a_user_who_is_not_active_is_refused_even_where_nothing_else_was_ended(world: World) -> None:
    user = await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    identity = await world.auth.logins.authenticate(tokens.access)
    _, text = await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET], [], timedelta(days=1))
    async with world.database.transaction() as uow:
        await uow.users.set_active(user.id, active=False)
    for attempt in (
        world.auth.logins.authenticate(tokens.access),
        world.auth.logins.refresh(tokens.refresh),
        world.auth.api_keys.authenticate(text),
    ):
        assert NO_TOKEN in await outcome(attempt)


async def test_a_key_cannot_log_anybody_out(world: World) -> None:
    await world.user()
    identity = replace(await world.identity(), login_id=None, api_key_id="k")
    for attempt in (world.auth.logins.logout(identity), world.auth.logins.logout_all(identity)):
        with pytest.raises(NotPermitted, match="API key"):
            await attempt


async def test_tokens_are_shown_nowhere(world: World) -> None:
    await world.user()
    tokens = await world.auth.logins.login("alice", PASSWORD)
    identity = await world.auth.logins.authenticate(tokens.access)
    shown = repr(tokens) + str(tokens) + repr(identity)
    for secret in (tokens.access, tokens.refresh, PASSWORD):
        assert secret.get_secret_value() not in shown
    assert "argon2" not in shown
