"""The description says everything, and every route that it does not call open needs a caller."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import RouteContext

from api.http.openapi import needed_action, needs_caller
from api.http.problems import MEDIA_TYPE
from api.http.routes_table import api_routes
from tests.unit.http.doors import Doors, paper_account
from trading_core.auth.permissions import Action

OPEN = {
    "/livez",
    "/readyz",
    "/api/v1/health/live",
    "/api/v1/health/ready",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
}
# They let somebody in who has no login, by a token of their own; without one they refuse like all others.
OTHERWISE = {"/metrics", "/api/v1/metrics"}


def _operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _routes(desk: Doors) -> list[tuple[RouteContext, str]]:
    return [(route, method) for route in api_routes(desk.app.routes) for method in sorted(route.methods or ())]


async def test_every_operation_says_what_it_is_who_may_and_what_can_go_wrong(desk: Doors) -> None:
    description = (await desk.ask("GET", "/openapi.json")).json()
    ids = []
    for path, method, operation in _operations(description):
        where = f"{method} {path}"
        ids.append(operation["operationId"])
        assert operation["summary"], where
        assert re.search(r"Needs `|For everybody|by name", operation["description"]), where
        answers = operation["responses"]
        assert {"422", "429", "500", "503"} <= answers.keys(), where
        for status, answer in answers.items():
            assert answer["description"], where
            if status >= "400" and status != "503":
                assert MEDIA_TYPE in answer["content"], f"{where} {status}"
            for media, content in answer.get("content", {}).items():
                assert "schema" in content, f"{where} {status} {media}"
                assert "example" in content or "examples" in content, f"{where} {status} {media}"
        if "requestBody" in operation:
            for content in operation["requestBody"]["content"].values():
                assert "example" in content or "examples" in content, where
        if method != "get":
            assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}, where
        if path not in OPEN | OTHERWISE:
            assert operation["security"] == [{"bearer": []}, {"api_key": []}], where
            assert {"401", "403"} <= answers.keys(), where
        if "{" in path:
            assert "404" in answers, where
        for each in operation.get("parameters", ()):
            assert each["description"], f"{where} {each['name']}"
    assert len(ids) == len(set(ids))
    assert not {"HTTPValidationError", "ValidationError"} & description["components"]["schemas"].keys()
    assert set(description["components"]["securitySchemes"]) == {"bearer", "api_key"}


async def test_every_body_refuses_what_it_does_not_know(desk: Doors) -> None:
    description = (await desk.ask("GET", "/openapi.json")).json()
    schemas = description["components"]["schemas"]
    for path, method, operation in _operations(description):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
            assert schema.get("additionalProperties") is False, f"{method} {path}"


async def test_names_are_what_a_generated_client_should_have(desk: Doors) -> None:
    description = (await desk.ask("GET", "/openapi.json")).json()
    for name in description["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name
    for path, method, operation in _operations(description):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), f"{method} {path}"


async def test_every_reference_is_there(desk: Doors) -> None:
    description = await desk.ask("GET", "/openapi.json")
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', description.text))
    assert named <= description.json()["components"]["schemas"].keys()


async def test_every_route_needs_a_caller_but_the_open_ones(desk: Doors) -> None:
    checked = 0
    for route, method in _routes(desk):
        path = str(route.path_format)
        if path in OPEN:
            assert not needs_caller(route), path
            continue
        answer = await desk.ask(method, re.sub(r"\{[^}]+\}", "1", path))
        assert answer.status_code == 401, f"{method} {path}"
        assert answer.json()["type"] == "urn:problem-type:algotrendy:not-authenticated"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert needs_caller(route) or path in OTHERWISE, path
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("role", ["admin", "trader", "viewer", "auditor"])
async def test_every_route_refuses_those_who_may_not(desk: Doors, role: str) -> None:
    """Where a route names an action, whoever lacks it is refused, with a problem, whatever else is wrong with the request."""
    bearer = await desk.as_user(role)
    me = (await desk.ask("GET", "/api/v1/auth/me", headers=bearer)).json()
    async with desk.world.database.transaction() as uow:
        await paper_account(uow)
    for route, method in _routes(desk):
        action = needed_action(route)
        if action is None or action in me["actions"]:
            continue
        path = str(route.path_format).replace("{account}", "paper")
        answer = await desk.ask(method, re.sub(r"\{[^}]+\}", "1", path), headers=bearer)
        assert answer.status_code == 403, f"{role}: {method} {path} {answer.text}"
        assert Action(action)


async def test_accounts_of_others_and_accounts_that_are_not_there_look_alike(desk: Doors) -> None:
    async with desk.world.database.transaction() as uow:
        await paper_account(uow, "secret")
    answers = [await desk.ask("GET", f"/api/v1/accounts/{name}/orders", "trader") for name in ("secret", "nowhere", "paper")]
    told = [(answer.status_code, answer.json()["detail"].replace("secret", "nowhere")) for answer in answers[:2]]
    assert told[0] == told[1]
    assert told[0][0] == 404
    assert answers[2].status_code == 404, "the trader's own, and not on record"
