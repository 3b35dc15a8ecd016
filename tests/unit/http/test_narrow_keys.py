"""An API key is good for less than its user: not for what the user did before, nor for what the user may still do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sqlalchemy import select

from tests.unit.auth_cases import PASSWORD
from tests.unit.http.doors import Doors, paper_account
from trading_core.auth.permissions import Action
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.persistence.desk_tables import kept_answers

NAME = "0b6c1d1e-6a54-4b7e"
KEY = {"Idempotency-Key": NAME}
NEW = {"username": "carol", "email": "carol@example.org", "password": PASSWORD.get_secret_value(), "role": "viewer"}
WHY = {"reason": "A drill."}


async def key_of(desk: Doors, user: str, *scopes: Action) -> Mapping[str, str]:
    body = {"name": "narrow", "scopes": [scope.value for scope in scopes], "accounts": ["paper"]}
    made = await desk.ask("POST", "/api/v1/auth/api-keys", user, json=body)
    assert made.status_code == 201, made.text
    return {"X-API-Key": made.json()["key"]}


@pytest.fixture
async def paper(desk: Doors) -> Doors:
    async with desk.state.database.transaction() as uow:
        await paper_account(uow)
    return desk


async def test_a_key_that_may_less_is_told_so_and_not_that_its_users_role_does(paper: Doors) -> None:
    narrow = await key_of(paper, "admin", Action.READ_MARKET)
    answer = await paper.ask("POST", "/api/v1/accounts/paper/risk/halt", json=WHY, headers=narrow)
    assert answer.status_code == 403
    assert "or use another login or key" in answer.json()["next_step"]


async def test_a_kept_answer_is_not_for_a_key_that_may_less(paper: Doors) -> None:
    assert (await paper.ask("POST", "/api/v1/users", "admin", json=NEW, headers=KEY)).status_code == 201
    narrow = await key_of(paper, "admin", Action.READ_MARKET)
    answer = await paper.ask("POST", "/api/v1/users", json=NEW, headers={**KEY, **narrow})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:algotrendy:idempotency-key-reused")
    assert "carol" not in answer.text
    assert (await paper.ask("POST", "/api/v1/users", "admin", json=NEW, headers=KEY)).headers["idempotent-replayed"]


async def test_a_kept_answer_is_not_for_whoever_lost_the_right(paper: Doors) -> None:
    path = "/api/v1/accounts/paper/risk/halt"
    assert (await paper.ask("POST", path, "trader", json=WHY, headers=KEY)).status_code == 200
    user = await paper.world.auth.users.named((await paper.world.identity("admin")).principal, "trader")
    assert (await paper.ask("PUT", f"/api/v1/users/{user.id}/role", "admin", json={"role": "viewer"})).status_code == 200
    paper.known.pop("trader")
    assert (await paper.ask("POST", path, "trader", json=WHY, headers=KEY)).status_code == 422
    assert (await paper.ask("POST", path, "trader", json=WHY)).status_code == 403


async def test_whoever_reads_the_database_has_nothing_to_try_passwords_against(paper: Doors) -> None:
    for name in (NAME, "another-word-of-the-caller"):
        body = {"current": "not the password", "new": PASSWORD.get_secret_value()}
        user = await paper.world.auth.users.named((await paper.world.identity("admin")).principal, "trader")
        path, new = f"/api/v1/users/{user.id}/password", {"new": body["new"]}
        assert (await paper.ask("PUT", path, "admin", json=new, headers={"Idempotency-Key": name})).status_code == 204
    async with paper.state.database.reading() as uow:
        rows = await uow.kept_answers._all(select(kept_answers))
    assert len({row["request_hash"] for row in rows}) == 2, "the same request under two keys has two hashes"
    assert NAME not in repr(rows)


async def test_cards_are_for_keys_that_may_read_the_portfolio(paper: Doors) -> None:
    narrow = await key_of(paper, "trader", Action.READ_MARKET)
    for method, path in (("GET", ""), ("GET", "/x"), ("POST", "/x/dismiss")):
        assert (await paper.ask(method, f"/api/v1/proposals{path}", headers=narrow)).status_code == 403, path
    reads = await key_of(paper, "trader", Action.READ_PORTFOLIO)
    assert (await paper.ask("GET", "/api/v1/proposals", headers=reads)).json()["items"] == []


async def test_a_key_that_only_reads_stops_no_run(paper: Doors) -> None:
    asked = await paper.ask("POST", "/api/v1/accounts/paper/runs", "trader", json={})
    path = f"/api/v1/runs/{asked.json()['run_id']}"
    narrow = await key_of(paper, "trader", Action.READ_ORDERS, Action.READ_RECORD)
    assert (await paper.ask("GET", path, headers=narrow)).status_code == 200
    assert (await paper.ask("POST", f"{path}/cancel", headers=narrow)).status_code == 403
    assert (await paper.ask("GET", path, headers=narrow)).json()["run"]["state"] == "queued"
    assert (await paper.ask("POST", f"{path}/cancel", "trader")).json()["state"] == "cancelled"


async def test_a_key_gives_nothing_that_would_outlive_it(paper: Doors) -> None:
    assert (await paper.ask("POST", "/api/v1/users", "admin", json=NEW)).status_code == 201
    users = {user["username"]: user["id"] for user in (await paper.ask("GET", "/api/v1/users", "admin")).json()["items"]}
    carol = f"/api/v1/users/{users['carol']}"
    whole = await key_of(paper, "admin", *sorted(ROLE_ACTIONS[Role.ADMIN]))
    secret = PASSWORD.get_secret_value()
    given = [
        ("POST", "/api/v1/users", {**NEW, "username": "dave", "email": "dave@example.org"}),
        ("POST", f"{carol}/api-keys", {"name": "for ever", "scopes": ["portfolio:read"], "days": 366}),
        ("PUT", f"{carol}/role", {"role": "admin"}),
        ("PUT", f"{carol}/accounts", {"accounts": ["paper"]}),
        ("PUT", f"{carol}/password", {"new": secret}),
        ("POST", f"{carol}/activate", None),
    ]
    for method, path, body in given:
        assert (await paper.ask(method, path, headers=whole, json=body)).status_code == 403, path
    for method, path in (
        ("GET", carol),
        ("GET", f"{carol}/api-keys"),
        ("DELETE", f"{carol}/logins"),
        ("POST", f"{carol}/deactivate"),
    ):
        assert (await paper.ask(method, path, headers=whole)).status_code == 200, path


async def test_a_key_points_no_account_at_another_host(paper: Doors) -> None:
    """Stored keys outlive their account's entry: added again under its name with another address, they would be sent there."""
    narrow = await key_of(paper, "admin", Action.MANAGE_BROKERS)
    body = {"id": "binance-main", "venue": "binance"}
    assert (await paper.ask("POST", "/api/v1/brokers", headers=narrow, json=body)).status_code == 201
    assert (await paper.ask("DELETE", "/api/v1/brokers/binance-main", headers=narrow)).status_code == 204
    moved = {**body, "url": "https://elsewhere.example"}
    assert (await paper.ask("POST", "/api/v1/brokers", headers=narrow, json=moved)).status_code == 403
    assert (await paper.ask("POST", "/api/v1/brokers", "admin", json=moved)).status_code == 201
