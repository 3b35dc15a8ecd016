"""Accounts at venues over HTTP: added, switched, forgotten; their keys go in and are never answered."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.unit.auth_cases import PASSWORD, ROOT
from tests.unit.http.doors import Doors, doors
from tests.unit.http.trading_cases import Trading, trading
from trading_core.audit.entry import AuditAction
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Action
from trading_core.auth.roles import Role
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio

NEW = {"id": "binance-main", "venue": "binance"}
KEYS = {"api_key": "K" * 24, "secret": "the-venues-secret"}


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Doors]:
    async with doors(tmp_path / "ledger.db") as opened:
        yield opened


async def test_an_account_is_added_without_real_money_and_listed(door: Doors) -> None:
    added = await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    assert added.status_code == 201, added.text
    assert (added.json()["production"], added.json()["keys_stored"], added.json()["created_by"]) == (False, False, "user:admin")
    for name in ("bybit-a", "okx-b"):
        await door.ask("POST", "/api/v1/brokers", "admin", json={"id": name, "venue": name.partition("-")[0]})
    first = (await door.ask("GET", "/api/v1/brokers", "admin", params={"limit": 2})).json()
    rest = (await door.ask("GET", "/api/v1/brokers", "admin", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == ["binance-main", "bybit-a", "okx-b"]
    assert rest["next_cursor"] is None
    assert (await door.ask("GET", "/api/v1/brokers", "viewer")).json()["items"] == [], "none of them is the viewer's"


@pytest.mark.parametrize(
    "body",
    [
        {"id": "paper-x", "venue": "binance"},
        {"id": "Bad Name", "venue": "binance"},
        {"id": "a", "venue": "nowhere"},
        {"id": "a", "venue": "binance", "url": "http://evil.example"},
        {"id": "a", "venue": "binance", "url": "https://user:pass@host"},
        {"id": "a", "venue": "binance", "production": True},
    ],
)
async def test_what_cannot_be_an_account_is_refused(door: Doors, body: dict[str, object]) -> None:
    assert (await door.ask("POST", "/api/v1/brokers", "admin", json=body)).status_code == 422


async def test_real_money_is_switched_on_by_a_person_who_names_the_account_twice(door: Doors) -> None:
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    path, body = "/api/v1/brokers/binance-main/production", {"production": True, "reason": "trials are over"}
    wrong = await door.ask("PUT", path, "admin", json={**body, "confirm": "binance-mian"})
    assert wrong.status_code == 422
    me = await door.world.identity("admin")
    life = timedelta(hours=1)
    _, key = await door.world.auth.api_keys.issue(me, "script", [Action.MANAGE_BROKERS], ["paper"], life)
    by_key = await door.client.put(path, json={**body, "confirm": "binance-main"}, headers={"X-API-Key": key.get_secret_value()})
    assert by_key.status_code == 403, by_key.text
    done = await door.ask("PUT", path, "admin", json={**body, "confirm": "binance-main"})
    assert done.json()["production"] is True
    async with door.world.database.transaction() as uow:
        actions = [row.action async for row in uow.audit.walk()]
        await uow.portfolios.open_account(Portfolio.opened("binance-main", "USDT", ZERO), "binance", door.world.clock.now())
    assert AuditAction.BROKER_PRODUCTION in actions
    theirs = await door.ask("PUT", path, "admin", json={**body, "production": False, "confirm": "binance-main"})
    assert theirs.status_code == 403, "what is on record is for those who may act on it"
    await door.world.auth.users.set_accounts(
        replace(ROOT, accounts=frozenset({"paper", "binance-main"})), me.user.id, ("binance-main",)
    )
    back = await door.ask("PUT", path, "admin", json={**body, "production": False, "confirm": "binance-main"})
    assert back.status_code == 422, "an account that has traded stays what it is"
    unknown = await door.ask("PUT", "/api/v1/brokers/x/production", "admin", json={**body, "confirm": "x"})
    assert unknown.status_code == 404


async def test_an_account_is_forgotten_once(door: Doors) -> None:
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    assert (await door.ask("DELETE", "/api/v1/brokers/binance-main", "admin")).status_code == 204
    assert (await door.ask("DELETE", "/api/v1/brokers/binance-main", "admin")).status_code == 404


async def test_an_account_of_others_is_not_for_whoever_manages_brokers_elsewhere(
    door: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", b64encode(bytes(range(32))).decode())
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    await door.world.auth.users.create(ROOT, "olga", "olga@example.org", PASSWORD, Role.TRADER, ("live",))
    await door.ask("POST", "/api/v1/brokers", "admin", json={"id": "fund", "venue": "okx"})
    users = {user.username: user.id for user in await door.world.auth.users.all(ROOT)}
    over = replace(ROOT, accounts=ROOT.accounts | {"binance-main"})
    await door.world.auth.users.set_accounts(over, users["olga"], ("binance-main",))
    here, production = "/api/v1/brokers/binance-main", {"production": True, "reason": "mine", "confirm": "binance-main"}
    changes: list[tuple[str, str, Mapping[str, object] | None]] = [
        ("PUT", f"{here}/production", production),
        ("PUT", f"{here}/credentials", KEYS),
    ]
    changes += [("DELETE", f"{here}/credentials", None), ("DELETE", here, None), ("POST", "/api/v1/brokers", NEW)]
    for method, path, body in changes:
        assert (await door.ask(method, path, "admin", json=body)).status_code == 403, (method, path)
    assert (await door.ask("PUT", "/api/v1/brokers/fund/credentials", "admin", json=KEYS)).status_code == 200, "nobody's yet"
    await door.world.auth.users.set_accounts(over, users["admin"], ("paper", "binance-main"))
    assert (await door.ask("PUT", f"{here}/production", "admin", json=production)).status_code == 200


async def test_keys_go_in_encrypted_and_never_out(door: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOTRENDY_CREDENTIALS_KEY", b64encode(bytes(range(32))).decode())
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    path = "/api/v1/brokers/binance-main/credentials"
    put = await door.ask("PUT", path, "admin", json=KEYS)
    assert put.status_code == 200, put.text
    assert put.json() == {"account": "binance-main", "venue": "binance", "keys_stored": True}
    listed = await door.ask("GET", "/api/v1/brokers", "admin")
    assert listed.json()["items"][0]["keys_stored"] is True
    refused = await door.ask("PUT", path, "admin", json={**KEYS, "secret": ["the-venues-secret"]})
    assert refused.status_code == 422
    said = put.text + listed.text + refused.text
    async with door.world.database.reading() as uow:
        (record,) = await uow.credentials.all()
        audited = [str(row) async for row in uow.audit.walk()]
    assert not any(secret in text for secret in KEYS.values() for text in [said, str(record), *audited])
    assert (await door.ask("GET", path, "admin")).status_code == 405, "nothing answers them"
    assert (await door.ask("DELETE", path, "admin")).status_code == 204
    assert (await door.ask("DELETE", path, "admin")).status_code == 404


async def test_keys_cannot_be_stored_where_nothing_encrypts_them(door: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOTRENDY_CREDENTIALS_KEY", raising=False)
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    answer = await door.ask("PUT", "/api/v1/brokers/binance-main/credentials", "admin", json=KEYS)
    assert answer.status_code in (422, 503)
    assert KEYS["secret"] not in answer.text


@pytest.mark.parametrize("user", ["trader", "viewer", "auditor"])
async def test_only_who_manages_brokers_changes_them(door: Doors, user: str) -> None:
    await door.ask("POST", "/api/v1/brokers", "admin", json=NEW)
    production = {"production": True, "reason": "mine", "confirm": "binance-main"}
    answers = [
        await door.ask("POST", "/api/v1/brokers", user, json={"id": "b", "venue": "okx"}),
        await door.ask("PUT", "/api/v1/brokers/binance-main/production", user, json=production),
        await door.ask("PUT", "/api/v1/brokers/binance-main/credentials", user, json=KEYS),
        await door.ask("DELETE", "/api/v1/brokers/binance-main/credentials", user),
        await door.ask("DELETE", "/api/v1/brokers/binance-main", user),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert [one["id"] for one in (await door.ask("GET", "/api/v1/brokers", "admin")).json()["items"]] == ["binance-main"]


async def test_health_is_what_the_desk_has_seen(tmp_path: Path) -> None:
    async with trading(tmp_path, cycles=1) as desk:
        shown = await _health(desk)
        known = await desk.system.desk.account(runner("paper"))
        desk.system.desk.inputs.disagreement = "a balance"
        differing = await _health(desk)
        async with desk.elsewhere():
            there = await desk.doors.ask("GET", "/api/v1/brokers/paper/health", "viewer")
    assert (shown["venue"], shown["is_paper"], shown["healthy"], shown["breaker"]) == ("paper", True, True, None)
    assert shown["known_at"] is not None
    assert known.known_at is not None
    assert (differing["healthy"], differing["disagreement"]) == (False, "a balance")
    assert there.status_code == 503


async def _health(desk: Trading) -> dict[str, object]:
    answer = await desk.doors.ask("GET", "/api/v1/brokers/paper/health", "viewer")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
