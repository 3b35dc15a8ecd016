"""Every operation, asked by everybody. A route without a row here fails: who may call it is decided, never forgotten.

`ok` is being let in. 404 hides what is none of the caller's business. `key` is a trader's API key that may read the portfolio and
nothing else; `stranger` is a trader of another account. The thread, the card and the runs that are asked for are the trader's.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi.routing import APIWebSocketRoute, iter_route_contexts

from api.http.routes_table import api_routes
from tests.http.estate import WHY, Estate, estate, login_body
from tests.unit.auth_cases import PASSWORD

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = ("nobody", "key", "stranger", "viewer", "auditor", "trader", "admin")
TABLE = """
/api/v1
    POST   /auth/login                                   ok  ok  ok  ok  ok  ok  ok
    POST   /auth/refresh                                 ok  ok  ok  ok  ok  ok  ok
    GET    /auth/me                                      401 ok  ok  ok  ok  ok  ok
    POST   /auth/password                                401 403 ok  ok  ok  ok  ok
    POST   /auth/logout                                  401 403 ok  ok  ok  ok  ok
    POST   /auth/logout-all                              401 403 ok  ok  ok  ok  ok
    GET    /auth/api-keys                                401 403 ok  ok  ok  ok  ok
    POST   /auth/api-keys                                401 403 403 ok  ok  ok  ok
    DELETE /auth/api-keys/{key_id}                       401 403 404 404 404 ok  404
    GET    /users                                        401 403 403 403 403 403 ok
    POST   /users                                        401 403 403 403 403 403 ok
    GET    /users/{user_id}                              401 403 403 403 403 403 ok
    PUT    /users/{user_id}/role                         401 403 403 403 403 403 ok
    PUT    /users/{user_id}/accounts                     401 403 403 403 403 403 ok
    PUT    /users/{user_id}/password                     401 403 403 403 403 403 ok
    POST   /users/{user_id}/deactivate                   401 403 403 403 403 403 ok
    POST   /users/{user_id}/activate                     401 403 403 403 403 403 ok
    DELETE /users/{user_id}/logins                       401 403 403 403 403 403 ok
    GET    /users/{user_id}/api-keys                     401 403 403 403 403 403 ok
    POST   /users/{user_id}/api-keys                     401 403 403 403 403 403 ok
    DELETE /users/{user_id}/api-keys/{key_id}            401 403 403 403 403 403 ok
    GET    /audit                                        401 403 403 403 ok  403 ok
    GET    /audit/verify                                 401 403 403 403 ok  403 ok
    GET    /audit/{sequence}                             401 403 403 403 ok  403 ok

    GET    /accounts                                     401 ok  ok  ok  ok  ok  ok
    GET    /accounts/{account}                           401 ok  404 ok  ok  ok  ok
    GET    /accounts/{account}/portfolio                 401 ok  404 ok  ok  ok  ok
    GET    /accounts/{account}/positions                 401 ok  404 ok  ok  ok  ok
    GET    /accounts/{account}/equity                    401 ok  404 ok  ok  ok  ok
    GET    /accounts/{account}/performance               401 ok  404 ok  ok  ok  ok
    GET    /accounts/{account}/orders                    401 403 404 ok  ok  ok  ok
    POST   /accounts/{account}/orders                    401 403 404 403 403 ok  ok
    GET    /accounts/{account}/orders/{order}            401 403 404 ok  ok  ok  ok
    POST   /accounts/{account}/orders/{order}/cancel     401 403 404 403 403 ok  ok
    GET    /accounts/{account}/fills                     401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/intents                   401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/intents/{intent}          401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/limits                    401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/risk                      401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/risk/changes              401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/market/ticker             401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/market/bars               401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/market/indicators         401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/market/instruments        401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/channels                  401 403 404 ok  ok  ok  ok
    GET    /brokers                                      401 ok  ok  ok  ok  ok  ok
    GET    /brokers/{account}/health                     401 ok  404 ok  ok  ok  ok
    POST   /brokers                                      401 403 403 403 403 403 ok
    PUT    /brokers/{name}/production                    401 403 403 403 403 403 ok
    PUT    /brokers/{name}/credentials                   401 403 403 403 403 403 ok
    DELETE /brokers/{name}/credentials                   401 403 403 403 403 403 ok
    DELETE /brokers/{name}                               401 403 403 403 403 403 ok

    GET    /runs                                         401 ok  ok  ok  ok  ok  ok
    POST   /accounts/{account}/runs                      401 403 404 403 403 ok  ok
    GET    /runs/{run}                                   401 403 404 403 ok  ok  ok
    GET    /runs/{run}/trail                             401 403 404 403 ok  ok  ok
    GET    /runs/{run}/events                            401 403 404 403 ok  ok  ok
    POST   /runs/{run}/cancel                            401 403 404 403 403 ok  ok
    GET    /approvals                                    401 403 ok  ok  ok  ok  ok
    GET    /approvals/{intent}                           401 403 404 ok  ok  ok  ok
    POST   /approvals/{intent}/approve                   401 403 404 403 403 ok  ok
    POST   /approvals/{intent}/reject                    401 403 404 403 403 ok  ok

    POST   /conversations                                401 ok  404 ok  ok  ok  ok
    GET    /conversations                                401 ok  ok  ok  ok  ok  ok
    GET    /conversations/{conversation}                 401 ok  404 404 404 ok  404
    PATCH  /conversations/{conversation}                 401 ok  404 404 404 ok  404
    POST   /conversations/{conversation}/archive         401 ok  404 404 404 ok  404
    GET    /conversations/{conversation}/messages        401 ok  404 404 404 ok  404
    POST   /conversations/{conversation}/messages        401 ok  404 404 404 ok  404
    GET    /proposals                                    401 ok  ok  ok  ok  ok  ok
    GET    /proposals/{proposal}                         401 ok  404 404 404 ok  404
    POST   /proposals/{proposal}/confirm                 401 403 404 404 404 ok  404
    POST   /proposals/{proposal}/dismiss                 401 ok  404 404 404 ok  404
    POST   /mcp                                          401 ok  ok  ok  ok  ok  ok
    GET    /openai/v1/models                             401 ok  ok  ok  ok  ok  ok
    GET    /openai/v1/models/{model}                     401 ok  ok  ok  ok  ok  ok
    POST   /openai/v1/chat/completions                   401 ok  404 ok  ok  ok  ok

    GET    /accounts/{account}/schedules                 401 403 404 ok  ok  ok  ok
    POST   /accounts/{account}/schedules                 401 403 404 403 403 ok  ok
    GET    /accounts/{account}/schedules/{schedule_id}   401 403 404 ok  ok  ok  ok
    PUT    /accounts/{account}/schedules/{schedule_id}   401 403 404 403 403 ok  ok
    DELETE /accounts/{account}/schedules/{schedule_id}   401 403 404 403 403 ok  ok
    GET    /accounts/{account}/schedules/{schedule_id}/ticks  401 403 404 ok ok ok ok
    POST   /accounts/{account}/schedules/{schedule_id}/pause  401 403 404 403 403 ok ok
    POST   /accounts/{account}/schedules/{schedule_id}/resume 401 403 404 403 403 ok ok
    POST   /accounts/{account}/schedules/{schedule_id}/run    401 403 404 403 403 ok ok
    GET    /accounts/{account}/agents                    401 403 404 ok  ok  ok  ok
    GET    /accounts/{account}/agents/{agent}            401 403 404 ok  ok  ok  ok
    PUT    /accounts/{account}/agents/{agent}/budget     401 403 404 403 403 ok  ok
    PUT    /accounts/{account}/agents/{agent}/model      401 403 404 403 403 ok  ok
    POST   /accounts/{account}/agents/{agent}/pause      401 403 404 403 403 ok  ok
    POST   /accounts/{account}/agents/{agent}/resume     401 403 404 403 403 ok  ok
    GET    /accounts/{account}/pauses                    401 403 404 ok  ok  ok  ok
    PUT    /accounts/{account}/pauses/{kind}             401 403 404 403 403 ok  ok
    DELETE /accounts/{account}/pauses/{kind}             401 403 404 403 403 ok  ok
    POST   /accounts/{account}/risk/halt                 401 403 404 403 403 ok  ok
    POST   /accounts/{account}/risk/reduce               401 403 404 403 403 ok  ok
    POST   /accounts/{account}/risk/kill                 401 403 404 403 403 ok  ok
    POST   /accounts/{account}/risk/resume               401 403 404 403 403 ok  ok

    GET    /health/live                                  ok  ok  ok  ok  ok  ok  ok
    GET    /health/ready                                 ok  ok  ok  ok  ok  ok  ok
    GET    /metrics                                      401 403 403 403 ok  403 ok
/
    GET    /livez                                        ok  ok  ok  ok  ok  ok  ok
    GET    /readyz                                       ok  ok  ok  ok  ok  ok  ok
    HEAD   /livez                                        ok  ok  ok  ok  ok  ok  ok
    HEAD   /readyz                                       ok  ok  ok  ok  ok  ok  ok
    GET    /metrics                                      401 403 403 403 ok  403 ok
    GET    /v1/models                                    401 ok  ok  ok  ok  ok  ok
    GET    /v1/models/{model}                            401 ok  ok  ok  ok  ok  ok
    POST   /v1/chat/completions                          401 ok  404 ok  ok  ok  ok
"""
REFUSED = {
    ("PUT", "/api/v1/brokers/{name}/credentials"): "there is no key to encrypt them with",
    ("DELETE", "/api/v1/brokers/{name}/credentials"): "there is no key to encrypt them with",
    ("POST", "/api/v1/approvals/{intent}/reject"): "it was approved",
    ("POST", "/api/v1/proposals/{proposal}/dismiss"): "it was confirmed",
}
"""Rows whose callers are let in and find that it cannot be done."""
SOCKETS = {"/api/v1/live"}  # asked by everybody in test_live_sockets.py
CHAT = {"model": "algotrendy", "messages": [{"role": "user", "content": "what is our exposure?"}]}

Key = tuple[str, str]


def _rows() -> dict[Key, dict[str, str]]:
    found: dict[Key, dict[str, str]] = {}
    prefix = ""
    for line in filter(None, TABLE.splitlines()):
        words = line.split()
        if len(words) == 1:
            prefix = words[0].rstrip("/")
            continue
        method, path, *cells = words
        assert len(cells) == len(COLUMNS), line
        assert (method, prefix + path) not in found, line
        found[method, prefix + path] = dict(zip(COLUMNS, cells, strict=True))
    return found


ROWS = _rows()
# A card's and a thread's end, and what changes the state of trading, come last.
_LAST = ("/archive", "/dismiss", "/reject", "/cancel", "/halt", "/reduce", "/kill", "/resume", "/deactivate")
ORDER = sorted(ROWS, key=lambda row: (row[1].endswith(_LAST) or row[0] == "DELETE", row[1].endswith(("/halt", "/kill"))))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    async with estate(Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("desk") / "desk.db"))) as opened:
        yield opened


async def test_every_route_has_a_row(desk: Estate) -> None:
    routes = desk.here.doors.app.routes
    found = {(method, str(route.path_format)) for route in api_routes(routes) for method in route.methods or ()}
    assert found == ROWS.keys()
    contexts = list(iter_route_contexts(routes))
    assert {str(one.path_format) for one in contexts if isinstance(one.original_route, APIWebSocketRoute)} == SOCKETS


@pytest.mark.parametrize("route", ORDER, ids=" ".join)
async def test_who_may(desk: Estate, route: Key) -> None:
    said = {who: await ask(desk, route, who) for who in COLUMNS}
    found = {who: str(code) if (code := answer.status_code) in {401, 403, 404} else "ok" for who, answer in said.items()}
    assert found == ROWS[route]
    inside = [answer for who, answer in said.items() if ROWS[route][who] == "ok"]
    assert any(answer.is_success for answer in inside) is (route not in REFUSED), [answer.text for answer in inside]
    mine = [desk.ids[name] for name in ("conversation", "proposal", "run", "intent", "order", "schedule_id")]
    for who, answer in said.items():
        assert answer.status_code < 500, answer.text
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"]
        if who in {"nobody", "stranger"} and answer.is_success:
            assert not [one for one in mine if one in answer.text], who


async def ask(desk: Estate, route: Key, who: str) -> httpx.Response:
    method, template = route
    desk.here.doors.known.clear()  # logins may have ended: workers share the rows among them, and none knows what came before
    ids, parts = await _prepared(desk, route, who)
    headers = {**await desk.headers(who), **parts.pop("headers", {})}
    return await desk.here.doors.client.request(method, desk.path(template, **ids), headers=headers, **parts)


async def _prepared(desk: Estate, route: Key, who: str) -> tuple[Mapping[str, str], dict[str, Any]]:
    """What is asked for and with what: something there is, which earlier callers have not used up."""
    method, template = route
    example = desk.examples.get(route)
    parts: dict[str, Any] = {} if example is None else {"json": example}
    ids: dict[str, str] = {}
    match method, template.removeprefix("/api/v1"):
        case _, "/auth/login":
            parts = {"json": login_body("viewer")}
        case _, "/auth/refresh":
            tokens = await desk.here.doors.world.auth.logins.login("viewer", PASSWORD)
            parts = {"json": {"refresh_token": tokens.refresh.get_secret_value()}}
        case _, "/auth/password":
            parts = {"json": {"current": PASSWORD.get_secret_value(), "new": PASSWORD.get_secret_value()}}
        case _, "/users/{user_id}/api-keys/{key_id}":
            ids = {"key_id": desk.ids["their_key"]}
        case _, "/accounts/{account}/orders/{order}/cancel":
            ids = {"order": desk.ids["working"]}
        case (
            "GET",
            "/accounts/{account}/market/ticker" | "/accounts/{account}/market/bars" | "/accounts/{account}/market/indicators",
        ):
            parts = {"params": {"symbol": "BTC/USDT"}}
        case _, "/brokers/{name}/production":
            parts = {"json": {"production": False, "confirm": desk.ids["name"], **WHY}}
        case _, "/runs/{run}/events":
            parts = {"headers": {"Accept": "application/json"}}
        case _, "/proposals/{proposal}/confirm":
            card = await desk.here.get(f"/proposals/{desk.ids['proposal']}")
            parts = {"json": {"content_hash": card["content_hash"]}}
        case _, "/proposals/{proposal}/dismiss":
            card = await desk.here.get(f"/proposals/{desk.ids['proposal']}")
            if card["state"] == "open":
                await desk.here.post(f"/proposals/{desk.ids['proposal']}/confirm", {"content_hash": card["content_hash"]})
        case _, "/approvals/{intent}/reject":
            if (await desk.here.get(f"/approvals/{desk.ids['intent']}"))["state"] == "pending":
                await desk.here.post(desk.path("/approvals/{intent}/approve"), WHY, "admin", status=200)
        case _, "/mcp":
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            parts = {"json": asked, "headers": {"Accept": "application/json, text/event-stream"}}
        case _, "/v1/chat/completions" | "/openai/v1/chat/completions":
            parts = {"json": CHAT}
        case "POST", "/accounts/{account}/schedules":
            parts = {"json": {**(example or {}), "name": f"of {who}"}}
        case _, path if "{schedule_id}" in path and (method == "DELETE" or path.endswith("/resume")):
            ids = {"schedule_id": await desk.schedule(f"{method} {path[-6:]} {who}")}
            if method == "POST":
                await desk.here.post(desk.path(f"{path[:-7]}/pause", **ids), WHY, status=200)
        case _, path if path.endswith("/pauses/{kind}"):
            parts["params"] = {"subject": "ETH/USDT"}
            if method == "DELETE":
                await desk.here.ask("PUT", desk.path(path), json=WHY, params=parts["params"])
        case "POST", "/accounts/{account}/agents/{agent}/resume":
            await desk.here.ask("POST", desk.path("/accounts/{account}/agents/{agent}/pause"), json=WHY)
    return ids, parts
