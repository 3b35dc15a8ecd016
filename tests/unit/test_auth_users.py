"""Making and changing users, by whom, and what is told of it; on both databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.unit.auth_cases import OTHER, PASSWORD, ROOT, World, opened
from trading_core.audit.entry import AuditAction
from trading_core.auth.passwords import WeakPassword
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import InvalidInput, NotAuthenticated, NotPermitted, UserError
from trading_core.persistence.identity_records import User
from trading_core.persistence.repositories.users import folded

CLERK = Principal("clerk", frozenset({Action.MANAGE_USERS}), frozenset({"paper"}))  # a key that may manage users and nothing else
TRADER = Principal("user:bob", ROLE_ACTIONS[Role.TRADER], frozenset({"paper"}))


@pytest.fixture
async def world(location: str) -> AsyncIterator[World]:
    async with opened(location) as world:
        yield world


async def test_a_user_is_kept_as_it_was_made(world: World) -> None:
    made = await world.auth.users.create(ROOT, "Alice", "Alice@Example.org", PASSWORD, Role.AUDITOR, ["paper", "live"])
    assert made == User(
        made.id, "Alice", "Alice@Example.org", Role.AUDITOR, True, world.clock.now(), None, frozenset({"paper", "live"})
    )
    bob = await world.user("bob", Role.VIEWER, ())
    assert await world.auth.users.all(ROOT) == (made, bob)


async def test_names_and_addresses_are_unique_in_every_spelling(world: World) -> None:
    await world.user()
    new = "new@example.org"
    for username, email in (("alice", new), ("ALICE", new), ("new", "alice@example.org"), ("new", "ALICE@EXAMPLE.ORG")):
        with pytest.raises(UserError, match="is taken"):
            await world.auth.users.create(ROOT, username, email, PASSWORD, Role.VIEWER)
    assert len(await world.auth.users.all(ROOT)) == 1


async def test_addresses_with_other_letters_are_compared_by_letter_too(world: World) -> None:
    await world.auth.users.create(ROOT, "jose", "JOSÉ@example.org", PASSWORD, Role.VIEWER)
    with pytest.raises(UserError, match="is taken"):
        await world.auth.users.create(ROOT, "jose2", "jose\u0301@example.org", PASSWORD, Role.VIEWER)
    await world.identity("josé@EXAMPLE.org")


@given(st.text(max_size=30))
def test_folding_twice_changes_nothing_more(name: str) -> None:
    assert folded(folded(name)) == folded(name)


async def test_what_cannot_be_a_user_name_is_refused(world: World) -> None:
    for username in ("", "al", "a" * 33, "-alice", "al ice", "al@ice", "аlice", "alice\n", "ａlice", "../alice", "al\0ice"):
        with pytest.raises(InvalidInput, match="cannot be a user name"):
            await world.auth.users.create(ROOT, username, "a@example.org", PASSWORD, Role.VIEWER)


async def test_what_cannot_be_an_address_is_refused(world: World) -> None:
    for email in ("", "alice", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a\u200b@b", "a@b\ud800", "a@" + "b" * 253):
        with pytest.raises(InvalidInput, match="no e-mail address"):
            await world.auth.users.create(ROOT, "alice", email, PASSWORD, Role.VIEWER)


async def test_weak_passwords_are_refused_wherever_one_is_set(world: World) -> None:
    user = await world.user("maximilian")
    weak = SecretStr("maximilian-77")
    identity = await world.identity("maximilian")
    for attempt in (
        world.auth.users.create(ROOT, "maximilian", "m@example.org", weak, Role.VIEWER),
        world.auth.users.change_password(identity, PASSWORD, weak),
        world.auth.users.reset_password(ROOT, user.id, weak),
    ):
        with pytest.raises(WeakPassword):
            await attempt
    await world.auth.logins.logout(identity)  # nothing had ended it
    await world.identity("maximilian")


def managing(world: World, actor: Principal, user_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    users, keys = world.auth.users, world.auth.api_keys
    return {
        "create": lambda: users.create(actor, "carol", "carol@example.org", PASSWORD, Role.VIEWER),
        "create_demo_users": lambda: users.create_demo_users(actor, []),
        "all": lambda: users.all(actor),
        "change_role": lambda: users.change_role(actor, user_id, Role.VIEWER),
        "set_accounts": lambda: users.set_accounts(actor, user_id, []),
        "deactivate": lambda: users.deactivate(actor, user_id),
        "activate": lambda: users.activate(actor, user_id),
        "end_logins": lambda: users.end_logins(actor, user_id),
        "reset_password": lambda: users.reset_password(actor, user_id, OTHER),
        "of_user": lambda: keys.of_user(actor, user_id),
        "revoke": lambda: keys.revoke(actor, "no-key"),
    }


async def test_only_who_manages_users_may_look_at_or_change_them(world: World) -> None:
    user = await world.user()
    before = await world.auth.users.all(ROOT)
    for role in (Role.TRADER, Role.VIEWER, Role.AUDITOR):
        actor = Principal("user:bob", ROLE_ACTIONS[role], frozenset({"paper"}))
        for attempt in managing(world, actor, user.id).values():
            with pytest.raises(NotPermitted, match="'user:bob' may not users:manage"):
                await attempt()
    assert await world.auth.users.all(ROOT) == before
    await world.identity()


async def test_nobody_gives_what_is_not_his_own(world: World) -> None:
    admin = await world.user("boss", Role.ADMIN)
    viewer = await world.user("carol", Role.VIEWER)
    users = world.auth.users
    little_admin = Principal("user:boss", frozenset(Action), frozenset({"paper"}))
    await users.deactivate(ROOT, admin.id)
    for attempt in (
        users.create(CLERK, "dave", "dave@example.org", PASSWORD, Role.ADMIN),
        users.create(CLERK, "dave", "dave@example.org", PASSWORD, Role.VIEWER),
        users.create(little_admin, "dave", "dave@example.org", PASSWORD, Role.VIEWER, ["live"]),
        users.create_demo_users(CLERK, []),
        users.create_demo_users(little_admin, ["live"]),
        users.change_role(CLERK, viewer.id, Role.ADMIN),
        users.change_role(CLERK, viewer.id, Role.AUDITOR),
        users.set_accounts(little_admin, viewer.id, ["paper", "live"]),
        users.reset_password(CLERK, admin.id, OTHER),
        users.activate(CLERK, admin.id),
    ):
        with pytest.raises(NotPermitted, match="may less than"):
            await attempt
    assert {user.username: user.role for user in await users.all(ROOT)} == {"boss": Role.ADMIN, "carol": Role.VIEWER}


async def test_who_manages_users_may_take_away_from_anybody(world: World) -> None:
    admin = await world.user("boss", Role.ADMIN, ("paper", "live"))
    await world.identity("boss")
    assert await world.auth.users.end_logins(CLERK, admin.id) == 1
    assert (await world.auth.users.set_accounts(CLERK, admin.id, ["live"])).accounts == {"live"}
    assert (await world.auth.users.change_role(CLERK, admin.id, Role.VIEWER)).role is Role.VIEWER
    assert not (await world.auth.users.deactivate(CLERK, admin.id)).is_active


async def test_somebody_who_does_not_exist_cannot_be_changed(world: World) -> None:
    for name, attempt in managing(world, ROOT, "nobody").items():
        if name in {"create", "create_demo_users", "all", "of_user"}:
            continue
        with pytest.raises(UserError, match="has the id"):
            await attempt()
    async with world.database.reading() as uow:
        assert not await uow.audit.newest(10)


async def test_a_changed_password_ends_every_login_and_leaves_the_keys(world: World) -> None:
    user = await world.user()
    identity, _ = await world.identity(), await world.identity()
    key, text = await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET], [], timedelta(days=1))
    with pytest.raises(NotAuthenticated):
        await world.auth.users.change_password(identity, OTHER, OTHER)
    await world.auth.users.change_password(identity, PASSWORD, OTHER)
    assert await world.auth.users.end_logins(ROOT, user.id) == 0
    with pytest.raises(NotAuthenticated):
        await world.identity()
    await world.identity(password=OTHER)
    assert (await world.auth.api_keys.authenticate(text)).api_key_id == key.id


async def test_a_stolen_login_cannot_try_passwords_without_end(world: World) -> None:
    await world.user()
    identity = await world.identity()
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await world.auth.users.change_password(identity, SecretStr("wrong wrong wrong"), OTHER)
    with pytest.raises(NotAuthenticated):
        await world.auth.users.change_password(identity, PASSWORD, OTHER)


async def test_a_key_cannot_change_the_password(world: World) -> None:
    await world.user()
    identity = replace(await world.identity(), login_id=None, api_key_id="k")
    with pytest.raises(NotPermitted, match="API key"):
        await world.auth.users.change_password(identity, PASSWORD, OTHER)


async def test_a_reset_ends_logins_and_keys_and_lifts_the_lock(world: World) -> None:
    user = await world.user()
    identity = await world.identity()
    _, text = await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET], [], timedelta(days=1))
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            await world.identity(password=OTHER)
    await world.auth.users.reset_password(ROOT, user.id, OTHER)
    with pytest.raises(NotAuthenticated):
        await world.auth.api_keys.authenticate(text)
    assert (await world.identity(password=OTHER)).user.id == user.id


async def test_demo_users_are_one_of_each_role_with_passwords_of_their_own(world: World) -> None:
    made = await world.auth.users.create_demo_users(ROOT, ["paper"])
    assert {demo.user.username: demo.user.role for demo in made} == {f"demo-{role.value}": role for role in Role}
    assert len({demo.password.get_secret_value() for demo in made}) == len(Role)
    for demo in made:
        assert demo.password.get_secret_value() not in repr(demo)
        identity = await world.identity(demo.user.username, demo.password)
        assert identity.principal.actions == ROLE_ACTIONS[demo.user.role]
        assert identity.principal.accounts == {"paper"}
    with pytest.raises(UserError, match="'demo-admin'"):
        await world.auth.users.create_demo_users(ROOT, ["paper"])


async def test_demo_users_are_all_made_or_none(world: World) -> None:
    await world.user("demo-auditor")
    with pytest.raises(UserError, match="'demo-auditor'"):
        await world.auth.users.create_demo_users(ROOT, [])
    assert len(await world.auth.users.all(ROOT)) == 1


async def test_every_change_is_told_to_the_audit_trail_without_any_secret(world: World) -> None:
    user = await world.user()
    identity = await world.identity()
    key, text = await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET], ["paper"], timedelta(days=1))
    await world.auth.api_keys.revoke(identity, key.id)
    await world.auth.users.change_role(ROOT, user.id, Role.VIEWER)
    await world.auth.users.set_accounts(ROOT, user.id, [])
    await world.auth.users.reset_password(ROOT, user.id, OTHER)
    await world.auth.users.end_logins(ROOT, user.id)
    await world.auth.users.deactivate(ROOT, user.id)
    await world.auth.users.activate(ROOT, user.id)
    async with world.database.reading() as uow:
        told = [row async for row in uow.audit.walk()]
    assert [(row.action, row.actor) for row in told] == [
        (AuditAction.USER_CREATED, "root"),
        (AuditAction.LOGIN, "user:alice"),
        (AuditAction.API_KEY_ISSUED, "user:alice"),
        (AuditAction.API_KEY_REVOKED, "user:alice"),
        (AuditAction.USER_CHANGED, "root"),
        (AuditAction.USER_CHANGED, "root"),
        (AuditAction.USER_PASSWORD_CHANGED, "root"),
        (AuditAction.USER_SESSIONS_REVOKED, "root"),
        (AuditAction.USER_DEACTIVATED, "root"),
        (AuditAction.USER_CHANGED, "root"),
    ]
    assert (json.loads(told[4].before or ""), json.loads(told[4].after or "")) == ({"role": "trader"}, {"role": "viewer"})
    assert (json.loads(told[5].before or ""), json.loads(told[5].after or "")) == ({"accounts": ["paper"]}, {"accounts": []})
    for secret in (PASSWORD.get_secret_value(), OTHER.get_secret_value(), text.get_secret_value(), "argon2"):
        assert secret not in repr(told)


async def test_what_is_refused_leaves_no_trace(world: World) -> None:
    user = await world.user()
    with pytest.raises(NotPermitted):
        await world.auth.users.change_role(CLERK, user.id, Role.ADMIN)
    with pytest.raises(NotPermitted):
        await world.auth.users.reset_password(TRADER, user.id, OTHER)
    async with world.database.reading() as uow:
        assert len([row async for row in uow.audit.walk()]) == 1
    await world.identity()


async def test_the_database_file_holds_no_password_and_no_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("desk")
    async with opened(str(folder / "desk.db")) as world:
        await world.user()
        tokens = await world.auth.logins.login("alice", PASSWORD)
        tokens = await world.auth.logins.refresh(tokens.refresh)
        identity = await world.auth.logins.authenticate(tokens.access)
        _, text = await world.auth.api_keys.issue(identity, "bot", [Action.READ_MARKET], [], timedelta(days=1))
        kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"alice@example.org" in kept  # it is the right file
    secrets = [tokens.access, tokens.refresh, PASSWORD, text, SecretStr(text.get_secret_value().split("_", 2)[2])]
    for secret in secrets:
        assert secret.get_secret_value().encode() not in kept


async def test_an_account_without_an_id_is_given_to_nobody(world: World) -> None:
    user = await world.user()
    with pytest.raises(InvalidInput, match="an account without an id"):
        await world.auth.users.set_accounts(ROOT, user.id, ["paper", ""])
    assert await world.auth.users.named(ROOT, "ALICE@Example.org") == user


async def test_a_name_that_nobody_has_is_told_to_whoever_manages_users_alone(world: World) -> None:
    with pytest.raises(UserError, match=r"no user is called 'bob'\. Nothing was changed"):
        await world.auth.users.named(ROOT, "bob")
    with pytest.raises(NotPermitted):
        await world.auth.users.named(replace(ROOT, actions=frozenset()), "bob")


async def test_who_may_not_reset_a_password_is_not_told_what_is_wrong_with_it(world: World) -> None:
    user = await world.user()
    with pytest.raises(NotPermitted):
        await world.auth.users.reset_password(replace(ROOT, actions=frozenset()), user.id, SecretStr(user.username))
