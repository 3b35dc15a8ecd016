"""The whole table of roles and actions, and what a user may do by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.auth_cases import ROOT, START, opened
from tests.unit.desk_cases import ACCOUNT, buy, open_world
from trading_core.auth.agents import runner
from trading_core.auth.identity import by_api_key, by_login, user_name, user_principal
from trading_core.auth.permissions import Action, Principal, operator
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.errors import NotPermitted
from trading_core.domain.intents import CORE, VENUE
from trading_core.execution.control import Control
from trading_core.persistence.identity_records import ApiKey, Login, User
from trading_core.risk.checks import ReasonCode

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
        ROLE_ACTIONS[Role.VIEWER] = frozenset(Action)


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


@pytest.mark.parametrize("name", [CORE, "Core", "runner", "venue", "user:alice", "agent:risk", "schedule:s1"])
def test_no_person_at_the_machine_bears_the_name_of_anybody_else(name: str) -> None:
    own = operator(name, "paper").name
    assert own.casefold() not in {CORE, VENUE, runner("paper").name}
    assert ":" not in own, "a kind of its own is what others have"
    assert operator(own, "paper").name == own, "a run that is taken up again is asked for by the same name"


async def test_who_is_called_core_sends_nothing_as_the_core(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        decision = await world.desk.propose(operator(CORE, ACCOUNT), replace(buy(), proposer=CORE))
        assert decision.reason_codes == (ReasonCode.ACTOR_IDENTITY,)
        risk = await Control(ACCOUNT, world.database, world.clock).halt(operator(CORE, ACCOUNT), "the news is bad")
        assert risk.changed_by == "core at the machine"


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
