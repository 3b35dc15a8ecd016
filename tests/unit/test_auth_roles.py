"""The whole table of roles and actions, and what a user may do by it."""

from __future__ import annotations

import pytest

from tests.unit.auth_cases import START
from trading_core.auth.identity import by_api_key, by_login, user_name
from trading_core.auth.permissions import Action
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import NotPermitted
from trading_core.persistence.identity_records import ApiKey, Login, User

# Written out by hand, so that a slip in the table is not repeated here. What is not listed is the administrator's alone.
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
}


def user(role: Role) -> User:
    return User("u1", "alice", "alice@example.org", role, True, START, accounts=frozenset({"paper"}))


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_what_the_table_says_and_nothing_else(role: Role, action: Action) -> None:
    principal = by_login(user(role), Login("l", "u1", START, START)).principal
    if role in MAY.get(action.value, {Role.ADMIN}):
        principal.require(action, "paper")
        with pytest.raises(NotPermitted, match=r"'user:alice' may not .* on account 'live'"):
            principal.require(action, "live")
    else:
        with pytest.raises(NotPermitted, match=f"'user:alice' may not {action.value}"):
            principal.require(action)


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
