"""API keys: what they may, how long, and who may take them back; on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.unit.auth_cases import PASSWORD, ROOT, START, World, opened
from trading_core.auth.api_keys import LONGEST_LIFE, ApiKeys
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import InvalidInput, NotAuthenticated, NotPermitted, UserError
from trading_core.persistence.identity_records import ApiKey

DAY = timedelta(days=1)
READS = frozenset({Action.READ_MARKET, Action.READ_ORDERS})


@pytest.fixture
async def world(location: str) -> AsyncIterator[World]:
    async with opened(location) as world:
        await world.user(accounts=("paper", "live"))
        yield world


async def issued(world: World, *, life: timedelta = DAY) -> tuple[Identity, ApiKey, SecretStr]:
    identity = await world.identity()
    key, text = await world.auth.api_keys.issue(identity, "bot", READS, ["paper"], life)
    return identity, key, text


async def refused(keys: ApiKeys, text: SecretStr | str) -> None:
    with pytest.raises(NotAuthenticated) as error:
        await keys.authenticate(SecretStr(text) if isinstance(text, str) else text)
    assert str(error.value) == "the token was not accepted. Nothing was done. Log in again, or use a new key."


async def test_a_key_lets_in_with_its_scopes_and_accounts_and_no_more(world: World) -> None:
    _, key, text = await issued(world)
    identity = await world.auth.api_keys.authenticate(text)
    assert (identity.login_id, identity.api_key_id, identity.user.username) == (None, key.id, "alice")
    assert identity.principal.name == "user:alice"
    identity.principal.require(Action.READ_MARKET, "paper")
    for action, account in ((Action.SUBMIT, "paper"), (Action.PROPOSE_ENTRY, None), (Action.READ_MARKET, "live")):
        with pytest.raises(NotPermitted, match="'user:alice' may not"):
            identity.principal.require(action, account)


async def test_the_text_is_given_once_and_shown_nowhere(world: World) -> None:
    identity, key, text = await issued(world)
    secret = text.get_secret_value().rpartition("_")[2]
    async with world.database.reading() as uow:
        found = await uow.api_keys.get(key.id)
    assert found is not None
    for thing in (key, text, identity, await world.auth.api_keys.mine(identity), found):
        assert secret not in repr(thing)


async def test_spoilt_keys_are_refused_in_the_same_words(world: World) -> None:
    _, key, text = await issued(world)
    _, other, other_text = await issued(world)
    whole = text.get_secret_value()
    secret, other_secret = whole.split("_", 2)[2], other_text.get_secret_value().split("_", 2)[2]
    await world.auth.api_keys.authenticate(text)
    for spoilt in (
        whole[:-1],
        whole + "A",
        whole.swapcase(),
        whole.replace("at_", "atr_", 1),
        f"at_{key.id}_",
        f"at_{key.id}",
        f"at_{key.id}_{other_secret}",
        f"at_{other.id}_{secret}",
        f"at_{'0' * 32}_{secret}",
        f"_{key.id}_{secret}",
        secret,
        "at__",
        "",
        f" {whole}",
    ):
        await refused(world.auth.api_keys, spoilt)


TEXTS = st.text(max_size=60) | st.text("at_0aé\ud800\0", max_size=20).map(lambda text: f"at_{text}")


@settings(max_examples=8)
@given(texts=st.lists(TEXTS, min_size=20, max_size=40))  # opening the database is what takes time
async def test_what_is_no_key_is_refused(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    async with opened(str(tmp_path_factory.getbasetemp() / "no_keys.db")) as world:
        for text in texts:
            await refused(world.auth.api_keys, text)


async def test_a_key_expires(world: World) -> None:
    _, _, text = await issued(world)
    world.clock.advance_to(START + DAY - timedelta(microseconds=1))
    await world.auth.api_keys.authenticate(text)
    world.later(microseconds=1)
    await refused(world.auth.api_keys, text)


async def test_a_revoked_key_is_refused_at_once_and_the_first_time_stays(world: World) -> None:
    identity, key, text = await issued(world)
    await world.auth.api_keys.revoke(identity, key.id)
    await refused(world.auth.api_keys, text)
    at = world.clock.now()
    world.later(hours=1)
    await world.auth.api_keys.revoke(ROOT, key.id)
    assert [kept.revoked_at for kept in await world.auth.api_keys.of_user(ROOT, identity.user.id)] == [at]


async def test_nobody_revokes_or_sees_anothers_key_without_managing_users(world: World) -> None:
    _, key, text = await issued(world)
    await world.user("bob")
    bob = await world.identity("bob")
    with pytest.raises(UserError, match="no key has the id") as unknown:
        await world.auth.api_keys.revoke(bob, "no-such-key")
    with pytest.raises(UserError) as anothers:
        await world.auth.api_keys.revoke(bob, key.id)
    assert str(anothers.value).replace(key.id, "no-such-key") == str(unknown.value)
    with pytest.raises(NotPermitted):
        await world.auth.api_keys.revoke(bob.principal, key.id)
    assert await world.auth.api_keys.mine(bob) == ()
    await world.auth.api_keys.authenticate(text)
    await world.auth.api_keys.revoke(ROOT, key.id)
    await refused(world.auth.api_keys, text)


async def test_a_key_cannot_make_see_or_revoke_keys(world: World) -> None:
    _, key, text = await issued(world)
    machine = await world.auth.api_keys.authenticate(text)
    for attempt in (
        world.auth.api_keys.issue(machine, "another", READS, ["paper"], DAY),
        world.auth.api_keys.revoke(machine, key.id),
        world.auth.api_keys.mine(machine),
    ):
        with pytest.raises(NotPermitted, match="came by an API key"):
            await attempt


async def test_nobody_gives_a_key_what_he_has_not(world: World) -> None:
    identity = await world.identity()
    with pytest.raises(NotPermitted, match="'users:manage', 'vault'"):
        await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET, Action.MANAGE_USERS], ["paper", "vault"], DAY)
    assert await world.auth.api_keys.mine(identity) == ()


async def test_a_key_needs_a_name_a_scope_and_an_end(world: World) -> None:
    identity = await world.identity()
    nothing: frozenset[Action] = frozenset()
    lives = (timedelta(0), -DAY, LONGEST_LIFE + timedelta(microseconds=1))
    for name, scopes, life in (
        *((name, READS, DAY) for name in ("", "  ", "x" * 101, "a\nb")),
        ("bot", nothing, DAY),
        *(("bot", READS, life) for life in lives),
    ):
        with pytest.raises(InvalidInput):
            await world.auth.api_keys.issue(identity, name, scopes, ["paper"], life)


async def test_a_key_shrinks_with_its_user(world: World) -> None:
    identity = await world.identity()
    every = ROLE_ACTIONS[Role.TRADER]
    _, text = await world.auth.api_keys.issue(identity, "bot", every, ["paper", "live"], DAY)
    assert (await world.auth.api_keys.authenticate(text)).principal.actions == every
    await world.auth.users.change_role(ROOT, identity.user.id, Role.VIEWER)
    await world.auth.users.set_accounts(ROOT, identity.user.id, ["live"])
    shrunk = (await world.auth.api_keys.authenticate(text)).principal
    assert (shrunk.actions, shrunk.accounts) == (ROLE_ACTIONS[Role.VIEWER], frozenset({"live"}))
    await world.auth.users.deactivate(ROOT, identity.user.id)
    await refused(world.auth.api_keys, text)
    await world.auth.users.activate(ROOT, identity.user.id)
    await refused(world.auth.api_keys, text)  # deactivation revoked it


async def test_the_last_use_is_noted_once_a_minute(world: World) -> None:
    identity, _, text = await issued(world)

    async def noted() -> object:
        await world.auth.api_keys.authenticate(text)
        return (await world.auth.api_keys.mine(identity))[0].last_used_at

    first = world.clock.now()
    assert (await world.auth.api_keys.mine(identity))[0].last_used_at is None
    assert await noted() == first
    world.later(seconds=59)
    assert await noted() == first
    world.later(seconds=1)
    assert await noted() == world.clock.now()


async def test_a_scope_that_this_version_does_not_know_grants_nothing(world: World) -> None:
    identity, key, _ = await issued(world)
    row = replace(key, id="older")
    async with world.database.transaction() as uow:
        await uow.api_keys.add(row, "0" * 64)
        await uow.users._connection.exec_driver_sql(
            """UPDATE api_keys SET scopes = '["market:read","moon:fly"]' WHERE id = 'older'"""
        )
    kept = {key.id: key for key in await world.auth.api_keys.mine(identity)}
    assert kept["older"].scopes == {Action.READ_MARKET}


async def test_keys_survive_a_restart(location: str) -> None:
    async with opened(location) as world:
        await world.user()
        _, key, text = await issued(world)
    async with opened(location) as world:
        assert (await world.auth.api_keys.authenticate(text)).api_key_id == key.id
        await world.auth.logins.login("alice", PASSWORD)


async def test_whoever_manages_users_makes_a_machines_key_within_what_both_may(world: World) -> None:
    keys, alice = world.auth.api_keys, (await world.identity()).user
    key, text = await keys.issue_for(ROOT, alice.id, "nightly", READS, ["paper"], DAY)
    assert (await keys.authenticate(text)).api_key_id == key.id
    clerk = replace(ROOT, actions=frozenset({Action.MANAGE_USERS, Action.READ_MARKET}), accounts=frozenset({"paper"}))
    for attempt, said in (
        (keys.issue_for(clerk, alice.id, "x", READS, ["paper"], DAY), "'root' may not give a key .*'orders:read'"),
        (keys.issue_for(clerk, alice.id, "x", [Action.READ_MARKET], ["live"], DAY), "'root' may not give a key .*'live'"),
        (keys.issue_for(ROOT, alice.id, "x", [Action.READ_AUDIT], ["paper"], DAY), "'user:alice' may not give .*'audit:read'"),
        (keys.issue_for(replace(ROOT, actions=READS), alice.id, "x", READS, [], DAY), "'root' may not users:manage"),
    ):
        with pytest.raises(NotPermitted, match=said):
            await attempt
    with pytest.raises(UserError, match="no user is called 'nobody'"):
        await keys.issue_for(ROOT, "nobody", "x", READS, [], DAY)
    with pytest.raises(InvalidInput):
        await keys.issue_for(ROOT, alice.id, "", READS, [], DAY)
    assert await keys.of_user(ROOT, alice.id) == (replace(key, last_used_at=START),)


async def test_no_key_is_made_while_its_user_is_deactivated_that_would_live_on_afterwards(world: World) -> None:
    identity, key, _ = await issued(world)
    await world.auth.users.deactivate(ROOT, identity.user.id)
    for attempt in (
        world.auth.api_keys.issue(identity, "x", READS, [], DAY),  # with a login that ended a moment ago
        world.auth.api_keys.issue_for(ROOT, identity.user.id, "x", READS, [], DAY),
    ):
        with pytest.raises(UserError, match=r"'alice' is deactivated\. No key was made"):
            await attempt
    assert [each.id for each in await world.auth.api_keys.of_user(ROOT, identity.user.id)] == [key.id]
