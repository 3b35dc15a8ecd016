"""The whole table of roles and actions, and what a user may do by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.auth_cases import ROOT, START, opened
from trading_core.auth.identity import by_api_key, by_login, user_name, user_principal
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import NotPermitted
from trading_core.persistence.identity_records import ApiKey, Login, User

# Written out by hand, so that a slip in the table is not repeated here.
EVERYBODY = {Role.ADMIN, Role.TRADER, Role.VIEWER, Role.AUDITOR}
TRADES = {Role.ADMIN, Role.TRADER}
MAY = {
    "market:read": EVERYBODY,
    "channels:read": EVERYBODY,
    "portfolio:read": EVERYBODY,
    "orders:read": EVERYBODY,
    "risk:read": EVERYBODY,
    "record:read": {Role.ADMIN, Role.TRADER, Role.AUDITOR},
    "audit:read": {Role.ADMIN, Role.AUDITOR},
    "propose:entry": TRADES,
    "propose:exit": TRADES,
    "propose:stop": TRADES,
    "propose:rebalance": TRADES,
    "intent:submit": TRADES,
    "intent:approve": TRADES,
    "risk:control": TRADES,
    "desk:operate": TRADES,
    "users:manage": {Role.ADMIN},
    "credentials:manage": {Role.ADMIN},
    "brokers:manage": {Role.ADMIN},
    "credentials:use": set[Role](),  # the process that trades has it, and no person
}


def user(role: Role) -> User:
    return User("u1", "alice", "alice@example.org", role, True, START, accounts=frozenset({"paper"}))


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_the_table_says_and_nothing_else(role: Role, action: Action) -> None:
    principal = by_login(user(role), Login("l", "u1", START, START)).principal
    if role in MAY[action.value]:
        principal.require(action, "paper")
        with pytest.raises(NotPermitted, match=r"'user:alice' may not .* on account 'live'"):
            principal.require(action, "live")
    else:
        with pytest.raises(NotPermitted, match=f"'user:alice' may not {action.value}") as refused:
            principal.require(action)
        assert f"{role.value!r} does not" in str(refused.value)


def test_every_role_is_in_the_table_and_none_can_be_added_at_run_time() -> None:
    assert set(ROLE_ACTIONS) == set(Role)
    with pytest.raises(TypeError):
        ROLE_ACTIONS[Role.VIEWER] = frozenset(Action)  # type: ignore[index]  # that it cannot is the point


@pytest.mark.parametrize("role", Role)
def test_a_key_may_do_what_both_it_and_its_user_may(role: Role) -> None:
    key = ApiKey("k", "u1", "bot", frozenset(Action), frozenset({"paper", "live"}), START, START)
    principal = by_api_key(user(role), key).principal
    assert (principal.actions, principal.accounts) == (ROLE_ACTIONS[role], frozenset({"paper"}))
    narrow = ApiKey("k", "u1", "bot", frozenset({Action.READ_MARKET}), frozenset(), START, START)
    assert by_api_key(user(role), narrow).principal.actions == {Action.READ_MARKET}
    assert not by_api_key(user(role), narrow).principal.accounts


def test_no_user_has_the_name_of_an_agent_or_of_the_operator() -> None:
    assert user_name(user(Role.VIEWER)) == "user:alice"


async def test_a_user_behind_a_name_is_what_the_user_is_today(sqlite_copy: Path) -> None:
    async def today(name: str = "user:alice") -> Principal | None:
        async with world.database.reading() as uow:
            return await user_principal(uow, name)

    async with opened(str(sqlite_copy)) as world:
        alice = await world.user()
        assert await today() == (await world.identity()).principal
        for nobody in ("alice", "user:bob", "user:", "user:ALICE", "user:alice@example.org", "agent:risk"):
            assert await today(nobody) is None, nobody
        await world.auth.users.change_role(ROOT, alice.id, Role.VIEWER)
        assert (await today()) == Principal("user:alice", ROLE_ACTIONS[Role.VIEWER], frozenset({"paper"}), "viewer")
        await world.auth.users.deactivate(ROOT, alice.id)
        assert await today() is None
