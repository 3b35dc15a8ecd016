"""From a token or a key to the desk: who is let through with it, and how everybody else is refused."""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr

from tests.unit.auth_cases import CHEAP, PASSWORD, ROOT, random_bytes
from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUNNER, TRADER, D, World, buy, codes, open_world
from trading_core.auth.agents import AGENT_ACTIONS, AgentName, agent
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import Role
from trading_core.auth.service import Auth, AuthSettings
from trading_core.auth.tokens import KeyRing, SigningKey
from trading_core.domain.errors import AlgoTrendyError, LedgerError, NotAuthenticated, NotPermitted
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Order, OrderState
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.identity_records import User
from trading_core.risk.checks import ReasonCode

NOW, DAY = WorkingStyle.NOW, timedelta(days=1)
HERE = frozenset({ACCOUNT})
OURS = SigningKey.generate(random_bytes(1).randbytes)
THEIRS = SigningKey.generate(random_bytes(2).randbytes)


@dataclass
class House:
    """A desk and the users who may reach it."""

    world: World
    auth: Auth
    file: Path

    async def user(self, role: Role, name: str = "alice") -> User:
        root = replace(ROOT, accounts=HERE)
        return await self.auth.users.create(root, name, f"{name}@example.org", PASSWORD, role, [ACCOUNT])

    async def token(self, name: str = "alice") -> SecretStr:
        return (await self.auth.logins.login(name, PASSWORD)).access

    async def principal(self, token: SecretStr) -> Principal:
        return (await self.auth.logins.authenticate(token)).principal

    async def identity(self, name: str = "alice") -> Identity:
        return await self.auth.logins.authenticate(await self.token(name))

    async def key(self, scopes: set[Action], accounts: frozenset[str] = HERE) -> tuple[str, SecretStr]:
        key, text = await self.auth.api_keys.issue(await self.identity(), "bot", scopes, accounts, DAY)
        return key.id, text

    async def by_key(self, text: SecretStr) -> Principal:
        return (await self.auth.api_keys.authenticate(text)).principal

    def rows(self) -> str:
        connection = sqlite3.connect(self.file)
        try:
            return "\n".join(connection.iterdump())
        finally:
            connection.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_world(tmp_path, approval_above_notional=D(2000)) as world:
        settings = AuthSettings(hash_cost=CHEAP)
        auth = Auth.over(world.database, world.clock, KeyRing(OURS), settings, random_bytes().randbytes)
        yield House(world, auth, tmp_path / "ledger.db")


async def test_a_traders_token_reaches_the_venue_and_the_record_names_the_trader(house: House) -> None:
    await house.user(Role.TRADER)
    who = await house.principal(await house.token())
    intent = buy(proposer=who.name)
    assert (await house.world.desk.propose(who, intent)).verdict is Verdict.APPROVED
    sent = await house.world.desk.submit(who, intent.intent_id, NOW)
    assert isinstance(sent, Order)
    assert sent.state is OrderState.OPEN
    assert len(house.world.broker.arrived) == 1
    big = buy("30", leg="big", proposer=who.name)
    assert (await house.world.desk.propose(who, big)).verdict is Verdict.NEEDS_APPROVAL
    answered = await house.world.desk.decide_approval(OPERATOR, big.intent_id, approve=True, reason="yes")
    assert (intent.proposer, answered.decided_by) == ("user:alice", "olga")


async def test_a_trader_cannot_propose_as_somebody_else(house: House) -> None:
    await house.user(Role.TRADER)
    who = await house.principal(await house.token())
    decision = await house.world.desk.propose(who, buy(proposer=TRADER.name))
    assert ReasonCode.ACTOR_IDENTITY in decision.reason_codes


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
async def test_a_viewer_may_look_and_nothing_else(house: House, role: Role) -> None:
    waiting = buy(leg="waiting")
    await house.world.desk.propose(TRADER, waiting)
    await house.user(role)
    who, desk = await house.principal(await house.token()), house.world.desk
    before = house.rows()
    assert (await desk.account(who)).portfolio.cash > 0
    for attempt in (
        desk.propose(who, buy(proposer=who.name)),
        desk.submit(who, waiting.intent_id, NOW),
        desk.decide_approval(who, waiting.intent_id, approve=True, reason=""),
        desk.sync(who),
    ):
        with pytest.raises(NotPermitted, match=rf"^'user:alice' may not \S+ on account '{ACCOUNT}'\..*'{role.value}' does not"):
            await attempt
    assert house.rows() == before
    assert house.world.broker.attempted == []


def unsigned(token: str) -> str:
    """The token, said to be signed with `none`."""
    return f"{_part({**jwt.get_unverified_header(token), 'alg': 'none'})}.{token.split('.')[1]}."


def resigned(token: str) -> str:
    """The same content under another key that claims to be ours."""
    content = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(content, THEIRS.key, algorithm="EdDSA", headers=jwt.get_unverified_header(token))


def signed_with_the_public_half(token: str) -> str:
    """The same content under an HMAC whose secret everybody knows."""
    header = {**jwt.get_unverified_header(token), "alg": "HS256"}
    text = f"{_part(header)}.{token.split('.')[1]}"
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    return f"{text}.{_encoded(algorithm.sign(text.encode(), OURS.verifying.to_pem().encode()))}"


def promoted(token: str) -> str:
    """The token, its role raised, with the signature it had."""
    head, _, signature = token.split(".")
    return f"{head}.{_part({**jwt.decode(token, options={'verify_signature': False}), 'role': 'admin'})}.{signature}"


def _part(content: dict[str, object]) -> str:
    return _encoded(json.dumps(content).encode())


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "forged", [unsigned, resigned, signed_with_the_public_half, promoted, lambda token: token[:-8], lambda _: ""]
)
async def test_a_forged_token_is_refused_in_the_one_way_that_says_nothing(house: House, forged: Callable[[str], str]) -> None:
    await house.user(Role.TRADER)
    token = (await house.token()).get_secret_value()
    before = house.rows()
    await assert_refused(house, SecretStr(forged(token)))
    assert house.rows() == before
    assert (await house.principal(SecretStr(token))).name == "user:alice"  # and the true one stays good


async def test_a_stale_token_is_refused_though_nothing_ended_it(house: House) -> None:
    await house.user(Role.TRADER)
    token = await house.token()
    house.world.go(1.16)  # within ten minutes
    await house.principal(token)
    house.world.go(1.18)
    await assert_refused(house, token)


@pytest.mark.parametrize("end", ["logout", "logout elsewhere", "deactivated", "other role", "other password"])
async def test_a_token_that_was_revoked_is_refused_at_once(house: House, end: str) -> None:
    user, root = await house.user(Role.TRADER), replace(ROOT, accounts=HERE)
    token, users = await house.token(), house.auth.users
    await house.principal(token)
    if end == "logout":
        await house.auth.logins.logout(await house.auth.logins.authenticate(token))
    elif end == "logout elsewhere":
        await house.auth.logins.logout_all(await house.identity())
    elif end == "deactivated":
        await users.deactivate(root, user.id)
    elif end == "other role":
        await users.change_role(root, user.id, Role.VIEWER)
    else:
        await users.reset_password(root, user.id, SecretStr("granite willow comet 71"))
    await assert_refused(house, token)


async def test_an_api_key_out_of_scope_is_refused(house: House) -> None:
    await house.user(Role.TRADER)
    desk = house.world.desk
    _, looks = await house.key({Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RISK})
    who = await house.by_key(looks)
    assert (await desk.account(who)).portfolio.account_id == ACCOUNT
    _, nowhere = await house.key({Action.PROPOSE_ENTRY}, frozenset())
    before = house.rows()
    for short in (who, await house.by_key(nowhere)):
        with pytest.raises(NotPermitted, match=f"^'user:alice' may not propose:entry on account '{ACCOUNT}'"):
            await desk.propose(short, buy(proposer=short.name))
    assert [row for row in house.rows().splitlines() if row not in before and "api_keys" not in row] == []  # but when it was used
    assert house.world.broker.attempted == []


@pytest.mark.parametrize("end", ["revoked", "expired", "deactivated", "another's id", "cut"])
async def test_an_api_key_that_is_no_longer_good_is_refused(house: House, end: str) -> None:
    user = await house.user(Role.TRADER)
    key_id, text = await house.key({Action.PROPOSE_ENTRY})
    root = replace(ROOT, accounts=HERE)
    if end == "revoked":
        await house.auth.api_keys.revoke(root, key_id)
    elif end == "expired":
        house.world.go(26)
    elif end == "deactivated":
        await house.auth.users.deactivate(root, user.id)
    elif end == "another's id":
        other_id, _ = await house.key({Action.READ_MARKET})
        text = SecretStr(text.get_secret_value().replace(key_id, other_id))
    else:
        text = SecretStr(text.get_secret_value()[:-1])
    with pytest.raises(NotAuthenticated) as refused:
        await house.by_key(text)
    assert_says_nothing(refused.value, text)


@pytest.mark.parametrize("change", ["role", "account", "deactivated"])
async def test_what_was_proposed_with_a_right_that_was_taken_away_is_not_sent(house: House, change: str) -> None:
    user, root = await house.user(Role.TRADER), replace(ROOT, accounts=HERE)
    who = await house.principal(await house.token())
    intent = buy(proposer=who.name)
    assert (await house.world.desk.propose(who, intent)).verdict is Verdict.APPROVED
    if change == "role":
        await house.auth.users.change_role(root, user.id, Role.VIEWER)
    elif change == "account":
        await house.auth.users.set_accounts(root, user.id, [])
    else:
        await house.auth.users.deactivate(root, user.id)
    answer = await house.world.desk.submit(agent("execution", ACCOUNT), intent.intent_id, NOW)
    expected = {"role": {ReasonCode.ACTOR_PERMISSION}, "account": {ReasonCode.ACTOR_ACCOUNT}}
    assert set(codes(answer)) == expected.get(change, {ReasonCode.ACTOR_PERMISSION, ReasonCode.ACTOR_ACCOUNT})
    assert house.world.broker.attempted == []


@pytest.mark.parametrize("name", AGENT_ACTIONS)
async def test_only_the_execution_agent_submits_and_only_what_was_approved(house: House, name: AgentName) -> None:
    desk, who = house.world.desk, agent(name, ACCOUNT)
    ready, asked, denied = buy(leg="ready"), buy("30", leg="asked"), buy("9999", leg="denied")
    verdicts = [(await desk.propose(TRADER, each)).verdict for each in (ready, asked, denied)]
    assert verdicts == [Verdict.APPROVED, Verdict.NEEDS_APPROVAL, Verdict.DENIED]
    unheard_of = "0" * 64
    if name == "execution":
        for each in (asked, denied):
            assert not isinstance(await desk.submit(who, each.intent_id, NOW), Order)
        with pytest.raises(LedgerError, match="is not on record"):
            await desk.submit(who, unheard_of, NOW)
    else:
        for intent_id in (ready.intent_id, asked.intent_id, denied.intent_id, unheard_of):
            with pytest.raises(NotPermitted, match=f"^'agent:{name}' may not intent:submit on account '{ACCOUNT}'"):
                await desk.submit(who, intent_id, NOW)
    assert house.world.broker.attempted == []
    if name == "execution":
        assert isinstance(await desk.submit(who, ready.intent_id, NOW), Order)
    with pytest.raises(NotPermitted):
        await desk.decide_approval(who, asked.intent_id, approve=True, reason="I am sure")
    assert not isinstance(await desk.submit(agent("execution", ACCOUNT), asked.intent_id, NOW), Order)


async def test_the_runner_keeps_house_and_cannot_trade(house: House) -> None:
    desk, intent = house.world.desk, buy(proposer=RUNNER.name)
    await desk.sync(RUNNER)
    assert (await desk.reconcile(RUNNER))[0].agrees
    for attempt in (desk.propose(RUNNER, intent), desk.submit(RUNNER, intent.intent_id, NOW)):
        with pytest.raises(NotPermitted):
            await attempt
    assert house.world.broker.attempted == []


async def assert_refused(house: House, token: SecretStr) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await house.principal(token)
    assert_says_nothing(refused.value, token)


def assert_says_nothing(error: AlgoTrendyError, token: SecretStr) -> None:
    """The same words whatever was wrong, and neither in them nor in what a traceback shows anything of whom or what."""
    assert str(error) == "the token was not accepted. Nothing was done. Log in again, or use a new key."
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    for secret in filter(None, ("alice", ACCOUNT, OURS.verifying.kid, *token.get_secret_value().split("."))):
        assert secret not in repr(error)
