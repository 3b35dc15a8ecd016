"""The OpenAPI description, completed: who may call what, every error, the headers every write takes, and an example of each body.

FastAPI describes parameters and bodies from the code. The rest follows from rules that hold for every route, so it is added
here once rather than written at each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext

from api.http.dependencies import KEY_DESCRIPTION, SAFE, Needs, is_caller
from api.http.examples import example_of
from api.http.problems import MEDIA_TYPE, Problem, example
from api.http.routes_table import api_routes, dependants

Json = dict[str, Any]

# For routes that answer without a login too, and tell those who have one more: `openapi_extra=KNOWN_OR_NOT`.
KNOWN_OR_NOT: Json = {"security": [{}, {"bearer": []}, {"api_key": []}]}

_NAMES = re.compile(r"Page_\w+")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_KEY_PARAMETER: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": KEY_DESCRIPTION,
    "schema": {"type": "string", "minLength": 8, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "0b6c1d1e-6a54-4b7e-9d1c-1f0f2a5b7c11",
}
_SAID = {
    "401": "No token or key, or one that is not accepted.",
    "403": "The caller may not do this.",
    "404": "It is not there, or the caller may not know of it.",
    "409": "It does not fit what is on record.",
    "412": "Somebody changed it since (If-Match).",
    "413": "The body is too large.",
    "422": "A value cannot be used; `errors` says which.",
    "429": "Too many requests; `Retry-After` says when to ask again.",
    "500": "Something the desk did not expect; nothing of it is shown.",
    "503": "The database, a venue or a source is out of reach, or it took too long.",
}


def describe(app: FastAPI) -> Json:
    """The description of an app, made at the first call and kept."""
    known: Json | None = getattr(app.state, "description", None)
    if known is not None:
        return known
    made = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, tags=app.openapi_tags,
        routes=app.routes,
    )  # fmt: skip
    made = _well_named(made)
    _complete(made, list(api_routes(app.routes)))
    app.state.description = made
    return made


def needed_action(route: RouteContext) -> str | None:
    """What a caller of the route must be allowed; None when being known, or nothing, is enough."""
    for each in dependants(route.dependant):
        call: object = each.call
        if isinstance(call, Needs):
            return call.action.value
    return None


def needs_caller(route: RouteContext) -> bool:
    """Whether the route answers only those who say who they are."""
    return any(is_caller(each.call) for each in dependants(route.dependant))


def _well_named(made: Json) -> Json:
    """Pages under their own names: of a generic model pydantic makes `Page_OrderOut_`, whatever the model calls itself."""
    schemas: Json = made["components"]["schemas"]
    titles = {name: schema["title"] for name, schema in schemas.items() if name.startswith("Page_")}
    renamed = _NAMES.sub(lambda found: titles.get(found[0], found[0]), json.dumps(made))
    return cast("Json", json.loads(renamed))


def _complete(made: Json, routes: Sequence[RouteContext]) -> None:
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of errors, which this API does not use
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for route in routes:
        if route.include_in_schema:
            for method in route.methods or ():
                _complete_operation(made["paths"][route.path_format][method.lower()], route, method, schemas)


def _complete_operation(operation: Json, route: RouteContext, method: str, schemas: Json) -> None:
    _say_who(operation, route)
    if method not in SAFE and not any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ())):
        operation.setdefault("parameters", []).append(_KEY_PARAMETER)
    for status in _statuses(operation, route, method):
        described = operation["responses"].get(status)
        if described is None or status == "422":
            operation["responses"][status] = _error(status)
        else:
            described.setdefault("content", {}).setdefault(MEDIA_TYPE, {"schema": _PROBLEM, "example": example(status)})
    _give_examples(operation, schemas)


def _say_who(operation: Json, route: RouteContext) -> None:
    action = needed_action(route)
    if action is not None:
        operation["x-action"] = action
        who = f"Needs `{action}`" + (" on the account." if "{account}" in str(route.path_format) else ".")
    elif needs_caller(route):
        who = "For everybody who is logged in."
    else:
        who = "" if "Needs" in operation.get("description", "") else "For everybody."
    operation["description"] = "\n\n".join(part for part in (operation.get("description", ""), who) if part)


def _statuses(operation: Json, route: RouteContext, method: str) -> list[str]:
    wanted = ["422", "429", "500", "503"]
    path, parameters = str(route.path_format), operation.get("parameters", ())
    if needs_caller(route) or path.endswith("/metrics"):
        wanted += ["401", "403"]
    if path.endswith(("/auth/login", "/auth/refresh")):
        wanted.append("401")
    # A thing is named in the path, an account in some queries too.
    if any(each["in"] == "path" or each["name"] == "account" for each in parameters) or path.endswith("/metrics"):
        wanted.append("404")
    if method not in SAFE:
        wanted += ["409", "413"]
        if "/auth/" not in path:  # a body can name what is not there
            wanted.append("404")
    if any(each["name"] == "If-Match" for each in parameters):
        wanted.append("412")
    return sorted(set(wanted))


def _error(status: str) -> Json:
    described: Json = {"description": _SAID[status], "content": {MEDIA_TYPE: {"schema": _PROBLEM, "example": example(status)}}}
    if status in {"429", "503"}:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    if status == "401":
        described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return described


def _give_examples(operation: Json, schemas: Mapping[str, Any]) -> None:
    bodies = [operation.get("requestBody", {}), *(operation["responses"][status] for status in operation["responses"])]
    for body in bodies:
        for content in body.get("content", {}).values():
            if not {"example", "examples"} & content.keys() and content.get("schema"):
                content["example"] = example_of(content["schema"], schemas)
