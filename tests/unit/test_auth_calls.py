"""Every call of the core that reads or changes state asks its principal: each call against each role, agent and action."""

from __future__ import annotations

import inspect
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.auth_cases import CHEAP, OTHER, PASSWORD, ROOT, random_bytes
from tests.unit.desk_cases import ACCOUNT, OPERATOR, TRADER, D, World, buy, open_world, sell
from trading_core.audit.verify import audit_trail, verify_audit
from trading_core.auth.agents import AGENT_ACTIONS, agent, runner
from trading_core.auth.api_keys import ApiKeys
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.auth.service import Auth, AuthSettings
from trading_core.auth.tokens import KeyRing, SigningKey
from trading_core.auth.users import Users
from trading_core.domain.errors import AlgoTrendyError, NotPermitted
from trading_core.domain.intents import Verdict, make_client_order_id
from trading_core.domain.orders import Purpose
from trading_core.execution.book import AccountView
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.session import Database
from trading_core.secrets.credentials import VenueCredentials, VenueKeys
from trading_core.secrets.sealing import KeyRing as MasterKeys

A = Action
READY, ASKED = buy("10", leg="ready"), buy("30", leg="asked")
DAY = timedelta(days=1)


@dataclass
class Core:
    """Every service of the core over one database. One intent may be submitted, and one waits for an operator."""

    world: World
    auth: Auth
    control: Control
    credentials: VenueCredentials
    file: Path
    view: AccountView
    user_id: str
    key_id: str

    @property
    def desk(self) -> Desk:
        return self.world.desk

    def rows(self) -> str:
        """All that is on record."""
        connection = sqlite3.connect(self.file)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Core]:
    async with open_world(folder, approval_above_notional=D(2000)) as world:
        source = random_bytes().randbytes
        keys = KeyRing(SigningKey.generate(source))
        auth = Auth.over(world.database, world.clock, keys, AuthSettings(hash_cost=CHEAP), source)
        root = replace(ROOT, accounts=frozenset({ACCOUNT}))
        user = await auth.users.create(root, "alice", "alice@example.org", PASSWORD, Role.TRADER, [ACCOUNT])
        key, _ = await auth.api_keys.issue_for(root, user.id, "bot", [A.READ_MARKET], [ACCOUNT], DAY)
        credentials = VenueCredentials(world.database, MasterKeys(os.urandom(32)), world.clock)
        await credentials.put(root, "binance", ACCOUNT, VenueKeys(OTHER, OTHER))
        assert (await world.desk.propose(TRADER, READY)).verdict is Verdict.APPROVED
        assert (await world.desk.propose(TRADER, ASKED)).verdict is Verdict.NEEDS_APPROVAL
        control = Control(ACCOUNT, world.database, world.clock)
        yield Core(world, auth, control, credentials, folder / "ledger.db", await world.desk.account(OPERATOR), user.id, key.id)


Call = Callable[[Core, Principal], Awaitable[object]]
MANAGES, KEEPS, CONTROLS = frozenset({A.MANAGE_USERS}), frozenset({A.MANAGE_CREDENTIALS}), frozenset({A.CONTROL_RISK})
OPERATES, READS = frozenset({A.OPERATE}), frozenset({A.READ_RECORD})
ENTERS, LEAVES = frozenset({A.PROPOSE_ENTRY}), frozenset({A.PROPOSE_EXIT})

# By the method's name, and what for where it does several things. The last ones change what the others work on.
CALLS: dict[str, tuple[frozenset[Action], Call]] = {
    "Desk.propose entry": (ENTERS, lambda core, who: core.desk.propose(who, buy("1", leg="a", proposer=who.name))),
    "Desk.propose exit": (LEAVES, lambda core, who: core.desk.propose(who, sell("1", leg="a", proposer=who.name))),
    "Desk.propose stop": (
        frozenset({A.PROPOSE_STOP}),
        lambda core, who: core.desk.propose(who, sell("1", leg="s", proposer=who.name, purpose=Purpose.STOP)),
    ),
    "Desk.propose rebalance": (
        frozenset({A.PROPOSE_REBALANCE}),
        lambda core, who: core.desk.propose(who, sell("1", leg="r", proposer=who.name, purpose=Purpose.REBALANCE)),
    ),
    "Desk.propose_fitting": (ENTERS, lambda core, who: core.desk.propose_fitting(who, buy("1", leg="f", proposer=who.name))),
    "Desk.submit": (frozenset({A.SUBMIT}), lambda core, who: core.desk.submit(who, READY.intent_id, WorkingStyle.NOW)),
    "Desk.replace": (
        frozenset({A.PROPOSE_ENTRY, A.SUBMIT}),
        lambda core, who: core.desk.replace(who, make_client_order_id(READY.intent_id), buy("11", leg="n"), WorkingStyle.NOW),
    ),
    "Desk.decide_approval": (
        frozenset({A.APPROVE}),
        lambda core, who: core.desk.decide_approval(who, ASKED.intent_id, approve=False, reason="no"),
    ),
    "Desk.preview": (ENTERS, lambda core, who: core.desk.preview(who, buy("1", leg="p", proposer=who.name))),
    "Desk.affordable": (ENTERS, lambda core, who: core.desk.affordable(who, buy("1", proposer=who.name))),
    "Desk.account": (frozenset({A.READ_PORTFOLIO, A.READ_ORDERS, A.READ_RISK}), lambda core, who: core.desk.account(who)),
    "Desk.agrees": (frozenset({A.READ_PORTFOLIO}), lambda core, who: core.desk.agrees(who)),
    "Desk.observe": (OPERATES, lambda core, who: core.desk.observe(who, {}, core.view)),
    "Desk.cancel": (
        frozenset({A.SUBMIT}),
        lambda core, who: core.desk.cancel(who, make_client_order_id(READY.intent_id)),
    ),
    "Desk.cancel_entries": (OPERATES, lambda core, who: core.desk.cancel_entries(who, but_run="r2")),
    "Desk.sync": (OPERATES, lambda core, who: core.desk.sync(who)),
    "Desk.listen": (OPERATES, lambda core, who: heard_first(core.world.desk, who)),
    "Desk.book_transfers": (
        frozenset({A.OPERATE, A.MANAGE_BROKERS}),
        lambda core, who: core.desk.book_transfers(who, "a deposit"),
    ),
    "Desk.reconcile": (OPERATES, lambda core, who: core.desk.reconcile(who)),
    "verify_ledger": (READS, lambda core, who: verify_ledger(who, core.world.database, ACCOUNT)),
    "verify_venue": (READS, lambda core, who: verify_venue(who, core.world.database, ACCOUNT, core.world.broker)),
    "verify_audit": (frozenset({A.READ_AUDIT}), lambda core, who: verify_audit(who, core.world.database, print)),
    "audit_trail": (frozenset({A.READ_AUDIT}), lambda core, who: newest(who, core.world.database)),
    "Control.halt": (CONTROLS, lambda core, who: core.control.halt(who, "a test")),
    "Control.reduce": (CONTROLS, lambda core, who: core.control.reduce(who, "a test")),
    "Control.kill": (CONTROLS, lambda core, who: core.control.kill(who, "a test")),
    "Control.resume_trading": (CONTROLS, lambda core, who: core.control.resume_trading(who, "a test", {})),
    "Users.all": (MANAGES, lambda core, who: core.auth.users.all(who)),
    "Users.named": (MANAGES, lambda core, who: core.auth.users.named(who, "alice")),
    "Users.get": (MANAGES, lambda core, who: core.auth.users.get(who, core.user_id)),
    "Users.create": (
        MANAGES,
        lambda core, who: core.auth.users.create(who, "bob", "bob@example.org", PASSWORD, Role.VIEWER),
    ),
    "Users.create_demo_users": (MANAGES, lambda core, who: core.auth.users.create_demo_users(who, [])),
    "Users.change_role": (MANAGES, lambda core, who: core.auth.users.change_role(who, core.user_id, Role.VIEWER)),
    "Users.set_accounts": (MANAGES, lambda core, who: core.auth.users.set_accounts(who, core.user_id, [])),
    "Users.reset_password": (MANAGES, lambda core, who: core.auth.users.reset_password(who, core.user_id, OTHER)),
    "Users.end_logins": (MANAGES, lambda core, who: core.auth.users.end_logins(who, core.user_id)),
    "Users.deactivate": (MANAGES, lambda core, who: core.auth.users.deactivate(who, core.user_id)),
    "Users.activate": (MANAGES, lambda core, who: core.auth.users.activate(who, core.user_id)),
    "ApiKeys.of_user": (MANAGES, lambda core, who: core.auth.api_keys.of_user(who, core.user_id)),
    "ApiKeys.issue_for": (
        MANAGES,
        lambda core, who: core.auth.api_keys.issue_for(who, core.user_id, "bot", [A.READ_MARKET], [], DAY),
    ),
    "ApiKeys.revoke": (MANAGES, lambda core, who: core.auth.api_keys.revoke(who, core.key_id)),
    "VenueCredentials.put": (KEEPS, lambda core, who: core.credentials.put(who, "okx", "x", VenueKeys(OTHER, OTHER))),
    "VenueCredentials.list": (KEEPS, lambda core, who: core.credentials.list(who)),
    "VenueCredentials.rotate": (KEEPS, lambda core, who: core.credentials.rotate(who)),
    "VenueCredentials.get": (frozenset({A.USE_CREDENTIALS}), lambda core, who: core.credentials.get(who, "binance", ACCOUNT)),
    "VenueCredentials.delete": (KEEPS, lambda core, who: core.credentials.delete(who, "okx", "x")),
}
# For one's own: they take an `Identity`, and what is not the caller's is not reached by them.
OWN = {"Users.change_password", "ApiKeys.authenticate", "ApiKeys.issue", "ApiKeys.mine"}
STREAMS = {"Desk.listen"}  # no coroutine: what it gives is asked for, one after the other
# Managing users asks for more than its action where it gives something away: nobody gives what he has not.
GIVING = {"Users.create", "Users.create_demo_users", "Users.reset_password", "Users.activate", "ApiKeys.issue_for"}
EVERYBODY = {
    **{f"role {role.value}": Principal("user:somebody", ROLE_ACTIONS[role], frozenset({ACCOUNT}), role.value) for role in Role},
    **{f"agent {name}": agent(name, ACCOUNT) for name in AGENT_ACTIONS},
    "runner": runner(ACCOUNT),
    "operator": OPERATOR,
    "nobody": Principal("nobody", frozenset(), frozenset({ACCOUNT})),
}


@pytest.mark.parametrize("service", [Desk, Control, Users, ApiKeys, VenueCredentials])
def test_no_call_is_forgotten(service: type) -> None:
    public = {name for name, each in inspect.getmembers(service, inspect.iscoroutinefunction) if not name.startswith("_")}
    listed = ({name.partition(" ")[0] for name in CALLS} | OWN) - STREAMS
    of_service = {name for name in listed if name.startswith(f"{service.__name__}.")}
    assert {f"{service.__name__}.{name}" for name in public} == of_service


@pytest.mark.parametrize("who", EVERYBODY.values(), ids=EVERYBODY)
async def test_whoever_may_is_heard_and_nobody_else_changes_or_learns_anything(who: Principal, tmp_path: Path) -> None:
    async with opened(tmp_path) as core:
        before = core.rows()
        for name, (needed, call) in CALLS.items():
            if not needed <= who.actions:
                assert await told(call(core, who)) in {f"{who.name!r} may not {action.value}" for action in needed}, name
        assert core.rows() == before
        assert core.world.broker.attempted == []
        for name, (needed, call) in CALLS.items():
            if needed <= who.actions:
                assert "may not" not in await told(call(core, who)), name


@pytest.mark.parametrize("action", Action)
async def test_a_call_needs_its_actions_each_of_them_and_no_other(action: Action, tmp_path: Path) -> None:
    everything = Principal("trader", frozenset(Action), frozenset({ACCOUNT}))
    all_but = replace(everything, actions=everything.actions - {action})
    async with opened(tmp_path) as core:
        before = core.rows()
        for name, (needed, call) in CALLS.items():
            if action in needed:
                assert await told(call(core, all_but)) == f"'trader' may not {action.value}", name
        assert core.rows() == before
        for name, (needed, call) in CALLS.items():
            if action in needed and name not in GIVING:
                assert "may not" not in await told(call(core, replace(everything, actions=needed))), name


async def test_on_another_account_the_same_principal_may_nothing(tmp_path: Path) -> None:
    elsewhere = replace(OPERATOR, accounts=frozenset({"live"}))
    async with opened(tmp_path) as core:
        before = core.rows()
        for name, (needed, call) in CALLS.items():
            if name.startswith(("Desk.", "Control.", "verify_ledger", "verify_venue")):
                said = await told(call(core, elsewhere))
                assert said in {f"'olga' may not {action.value} on account {ACCOUNT!r}" for action in needed}, name
        assert core.rows() == before


async def heard_first(desk: Desk, who: Principal) -> object:
    async with aclosing(desk.listen(who)) as news:
        return await anext(news)


async def newest(who: Principal, database: Database) -> object:
    async with audit_trail(who, database) as trail:
        return await trail.newest(1)


async def told(attempt: Awaitable[object]) -> str:
    """What a refusal says, with the account left out; of anything else nothing that could be taken for one."""
    try:
        await attempt
    except NotPermitted as error:
        return error.what.removesuffix(f" on account {ACCOUNT!r}") if "olga" not in error.what else error.what
    except AlgoTrendyError as error:
        return type(error).__name__
    return "done"
