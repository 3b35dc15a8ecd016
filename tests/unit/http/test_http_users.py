"""Users, API keys and the audit trail over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.auth_cases import OTHER, PASSWORD
from tests.unit.http.doors import Doors
from trading_core.audit.verify import AuditVerdict, verify_audit

NEW = {
    "username": "carol",
    "email": "carol@example.org",
    "password": PASSWORD.get_secret_value(),
    "role": "viewer",
    "accounts": ["paper"],
}


async def _carol(desk: Doors) -> str:
    made = await desk.ask("POST", "/api/v1/users", "admin", json=NEW)
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/v1/users/{made.json()['id']}"
    return str(made.json()["id"])


async def test_a_user_is_made_changed_shut_out_and_let_in(desk: Doors) -> None:
    path = f"/api/v1/users/{await _carol(desk)}"
    assert (await desk.ask("GET", path, "admin")).json()["role"] == "viewer"
    assert (await desk.ask("PUT", f"{path}/role", "admin", json={"role": "trader"})).json()["role"] == "trader"
    assert (await desk.ask("PUT", f"{path}/accounts", "admin", json={"accounts": []})).json()["accounts"] == []
    carol = await desk.as_user("carol")
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=carol)).json()["role"] == "trader"
    assert (await desk.ask("POST", f"{path}/deactivate", "admin")).json()["is_active"] is False
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=carol)).status_code == 401, "at once, in this process"
    assert (await desk.ask("POST", f"{path}/activate", "admin")).json()["is_active"] is True
    reset = await desk.ask("PUT", f"{path}/password", "admin", json={"new": OTHER.get_secret_value()})
    assert (reset.status_code, reset.content) == (204, b"")
    assert (await desk.ask("DELETE", f"{path}/logins", "admin")).json() == {"count": 0}


async def test_a_name_that_is_taken_and_a_user_that_is_not_there(desk: Doors) -> None:
    await _carol(desk)
    taken = await desk.ask("POST", "/api/v1/users", "admin", json={**NEW, "username": "CAROL"})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:problem-type:algotrendy:user-conflict")
    for method, path in (("GET", ""), ("PUT", "/role"), ("POST", "/deactivate"), ("DELETE", "/logins"), ("GET", "/api-keys")):
        answer = await desk.ask(
            method, f"/api/v1/users/nobody{path}", "admin", json={"role": "viewer"} if method == "PUT" else None
        )
        assert answer.status_code == 404, path


@pytest.mark.parametrize("role", ["trader", "viewer", "auditor"])
async def test_only_who_manages_users_sees_users(desk: Doors, role: str) -> None:
    for method, path in (("GET", "/api/v1/users"), ("GET", "/api/v1/users/x"), ("DELETE", "/api/v1/users/x/logins")):
        answer = await desk.ask(method, path, role)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


async def test_nobody_gives_what_is_not_his_own(desk: Doors) -> None:
    more = await desk.ask("POST", "/api/v1/users", "admin", json={**NEW, "accounts": ["live"]})
    assert more.status_code == 403
    key = await desk.ask("POST", "/api/v1/auth/api-keys", "viewer", json={"name": "k", "scopes": ["intent:submit"]})
    assert key.status_code == 403


async def test_pages_hold_everybody_once_and_in_order(desk: Doors) -> None:
    seen, cursor = [], None
    for _ in range(10):
        page = (
            await desk.ask("GET", "/api/v1/users", "admin", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [user["username"] for user in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["admin", "auditor", "trader", "viewer"]


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ", "WzFd", "é", "W10", "[" * 300])
async def test_a_cursor_of_another_list_is_refused(desk: Doors, cursor: str) -> None:
    answer = await desk.ask("GET", "/api/v1/users", "admin", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem-type:algotrendy:invalid-input")


async def test_a_key_for_another_user_is_his_and_revoked_under_his_name_only(desk: Doors) -> None:
    carol = await _carol(desk)
    body = {"name": "robot", "scopes": ["portfolio:read"], "accounts": ["paper"], "days": 7}
    made = await desk.ask("POST", f"/api/v1/users/{carol}/api-keys", "admin", json=body)
    assert made.status_code == 201
    key = {"X-API-Key": made.json()["key"]}
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=key)).json()["principal"] == "user:carol"
    listed = (await desk.ask("GET", f"/api/v1/users/{carol}/api-keys", "admin")).json()["items"]
    assert [item["name"] for item in listed] == ["robot"]
    assert "key" not in listed[0]
    me = (await desk.ask("GET", "/api/v1/auth/me", "admin")).json()["id"]
    assert (await desk.ask("DELETE", f"/api/v1/users/{me}/api-keys/{made.json()['id']}", "admin")).status_code == 404
    assert (await desk.ask("DELETE", f"/api/v1/users/{carol}/api-keys/{made.json()['id']}", "admin")).status_code == 204
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=key)).status_code == 401


async def test_the_trail_is_listed_filtered_paged_and_proven(desk: Doors) -> None:
    await _carol(desk)
    first = (await desk.ask("GET", "/api/v1/audit", "auditor", params={"limit": 2})).json()
    rest = (await desk.ask("GET", "/api/v1/audit", "auditor", params={"limit": 50, "cursor": first["next_cursor"]})).json()
    numbers = [entry["sequence"] for entry in first["items"] + rest["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] == 1
    made = await desk.ask("GET", "/api/v1/audit", "auditor", params={"action": "user.created", "actor": "user:admin"})
    assert [entry["after"]["username"] for entry in made.json()["items"]] == ["carol"]
    assert PASSWORD.get_secret_value() not in made.text
    none = await desk.ask("GET", "/api/v1/audit", "auditor", params={"until": "2000-01-01T00:00:00Z"})
    assert none.json() == {"items": [], "next_cursor": None}
    verdict = (await desk.ask("GET", "/api/v1/audit/verify", "auditor")).json()
    assert (verdict["holds"], verdict["faults"]) == (True, 0)
    kept = await desk.ask("GET", "/api/v1/audit/verify", "auditor", params={"anchor": verdict["head_hash"]})
    assert kept.json()["holds"] is True
    other = await desk.ask("GET", "/api/v1/audit/verify", "auditor", params={"anchor": "0" * 63 + "1"})
    assert (other.json()["holds"], other.json()["found"][0]["kind"]) == (False, "anchor unknown")
    assert (await desk.ask("GET", "/api/v1/audit/99999", "auditor")).status_code == 404
    assert (await desk.ask("GET", "/api/v1/audit", "trader")).status_code == 403


async def test_the_trail_is_proven_for_one_at_a_time(desk: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: list[int] = []
    most = 0

    async def proving(*given: Any, **named: Any) -> AuditVerdict:
        nonlocal most
        at_work.append(1)
        most = max(most, len(at_work))
        await asyncio.sleep(0.01)
        verdict = await verify_audit(*given, **named)
        at_work.pop()
        return verdict

    monkeypatch.setattr("api.routes.audit.verify_audit", proving)
    anchors = [{"anchor": f"{number:064x}"} for number in range(4)]
    answers = await asyncio.gather(*(desk.ask("GET", "/api/v1/audit/verify", "auditor", params=anchor) for anchor in anchors))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert most == 1
