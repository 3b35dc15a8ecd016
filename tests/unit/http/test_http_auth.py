"""Logging in, staying in, getting out, over HTTP."""

from __future__ import annotations

from pydantic import SecretStr

from tests.unit.auth_cases import OTHER, PASSWORD
from tests.unit.http.doors import Doors
from trading_core.audit.verify import audit_trail
from trading_core.auth.permissions import Action, Principal

AUDITOR = Principal("reader", frozenset({Action.READ_AUDIT}), frozenset())


def _credentials(name: str = "trader", password: SecretStr = PASSWORD) -> dict[str, str]:
    return {"name": name, "password": password.get_secret_value()}


async def test_a_login_reads_refreshes_and_ends(desk: Doors) -> None:
    tokens = (await desk.ask("POST", "/api/v1/auth/login", json=_credentials())).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = await desk.ask("GET", "/api/v1/auth/me", headers=bearer)
    assert me.json()["principal"] == "user:trader"
    assert me.headers["cache-control"] == "no-store"

    renewed = await desk.ask("POST", "/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert renewed.status_code == 200
    assert (await desk.ask("POST", "/api/v1/auth/logout", headers=bearer)).status_code == 204
    refused = await desk.ask("GET", "/api/v1/auth/me", headers=bearer)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    again = await desk.ask("POST", "/api/v1/auth/refresh", json={"refresh_token": renewed.json()["refresh_token"]})
    assert again.status_code == 401, "the login is over, so its refresh token is too"


async def test_a_refresh_token_that_comes_twice_ends_the_login(desk: Doors) -> None:
    tokens = (await desk.ask("POST", "/api/v1/auth/login", json=_credentials())).json()
    first = await desk.ask("POST", "/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (await desk.ask("POST", "/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).status_code == 401
    bearer = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=bearer)).status_code == 401


async def test_every_failed_login_has_the_same_answer(desk: Doors) -> None:
    bodies = [_credentials("nobody"), _credentials("trader", OTHER), _credentials("")]
    answers = [await desk.ask("POST", "/api/v1/auth/login", json=body) for body in bodies[:2]]
    told = [{k: v for k, v in answer.json().items() if k != "instance"} for answer in answers]
    assert told[0] == told[1]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert (await desk.ask("POST", "/api/v1/auth/login", json=bodies[2])).status_code == 422


async def test_logging_out_everywhere_ends_all_logins_and_no_key(desk: Doors) -> None:
    bearer = await desk.as_user("trader")
    other = (await desk.ask("POST", "/api/v1/auth/login", json=_credentials())).json()
    made = await desk.ask(
        "POST", "/api/v1/auth/api-keys", headers=bearer, json={"name": "k", "scopes": ["portfolio:read"], "accounts": ["paper"]}
    )
    assert (await desk.ask("POST", "/api/v1/auth/logout-all", headers=bearer)).json() == {"count": 2}
    gone = {"Authorization": f"Bearer {other['access_token']}"}
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=gone)).status_code == 401
    key = made.json()["key"]
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        me = await desk.ask("GET", "/api/v1/auth/me", headers=headers)
        assert (me.json()["by"], me.json()["actions"]) == ("api_key", ["portfolio:read"])
    for other in (f"Bearer {key}", "", " ", "Basic eA=="):
        both = {"X-API-Key": key, "Authorization": other}
        assert (await desk.ask("GET", "/api/v1/auth/me", headers=both)).status_code == 401, "which of them counts?"
    twice = [("Authorization", f"Bearer {key}"), ("Authorization", "Bearer another")]
    for two in (twice, twice[::-1], [("X-API-Key", key)] * 2):
        assert (await desk.client.get("/api/v1/auth/me", headers=two)).status_code == 401, "nor of these"


async def test_a_key_may_not_make_keys_nor_log_out(desk: Doors) -> None:
    made = await desk.ask("POST", "/api/v1/auth/api-keys", "trader", json={"name": "k", "scopes": ["market:read"]})
    headers = {"X-API-Key": made.json()["key"]}
    for method, path, body in (
        ("POST", "/api/v1/auth/api-keys", {"name": "more", "scopes": ["market:read"]}),
        ("GET", "/api/v1/auth/api-keys", None),
        ("POST", "/api/v1/auth/logout-all", None),
        ("POST", "/api/v1/auth/password", {"current": PASSWORD.get_secret_value(), "new": OTHER.get_secret_value()}),
    ):
        assert (await desk.ask(method, path, headers=headers, json=body)).status_code == 403, path
    revoked = await desk.ask("DELETE", f"/api/v1/auth/api-keys/{made.json()['id']}", "trader")
    assert revoked.status_code == 204
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=headers)).status_code == 401


async def test_changing_the_password_needs_the_old_one_and_ends_the_login(desk: Doors) -> None:
    wrong = {"current": OTHER.get_secret_value(), "new": "granite willow comet 72"}
    assert (await desk.ask("POST", "/api/v1/auth/password", "trader", json=wrong)).status_code == 401
    weak = {"current": PASSWORD.get_secret_value(), "new": "password1234"}
    refused = await desk.ask("POST", "/api/v1/auth/password", "trader", json=weak)
    assert refused.status_code == 422
    assert "password1234" not in refused.text
    right = {"current": PASSWORD.get_secret_value(), "new": OTHER.get_secret_value()}
    assert (await desk.ask("POST", "/api/v1/auth/password", "trader", json=right)).status_code == 204
    assert (await desk.ask("GET", "/api/v1/auth/me", "trader")).status_code == 401
    assert (await desk.ask("POST", "/api/v1/auth/login", json=_credentials("trader", OTHER))).status_code == 200


async def test_a_revoked_login_reads_for_a_second_at_most_elsewhere_and_never_writes(desk: Doors) -> None:
    identity = await desk.world.identity("trader")
    bearer = await desk.as_user("trader")
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=bearer)).status_code == 200
    await desk.world.auth.logins.logout_all(identity)  # as another process would: this one is not told
    body = {"name": "k", "scopes": ["market:read"]}
    assert (await desk.ask("POST", "/api/v1/auth/api-keys", headers=bearer, json=body)).status_code == 401
    now = [0.0]
    desk.state.recent_logins._now = lambda: now[0] + 10**9
    assert (await desk.ask("GET", "/api/v1/auth/me", headers=bearer)).status_code == 401


async def test_a_login_is_on_record_with_the_request_it_came_by(desk: Doors) -> None:
    answer = await desk.ask("POST", "/api/v1/auth/login", json=_credentials("viewer"), headers={"X-Request-ID": "trace-0001"})
    assert answer.headers["x-request-id"] == "trace-0001"
    async with audit_trail(AUDITOR, desk.world.database) as trail:
        row = (await trail.newest(1))[0]
    assert (row.action, row.actor, row.correlation_id) == ("user.logged_in", "user:viewer", "trace-0001")
    shown = await desk.ask("GET", f"/api/v1/audit/{row.sequence}", "auditor")
    assert shown.json()["correlation_id"] == "trace-0001"
