"""What the layers need to know of each route: its template, and the query parameters it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import get_args, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import Scope


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """`template` is the path with its parameters' names in it; `query` the names that may stand in the query, and whether each
    may stand there several times."""

    template: str
    query: Mapping[str, bool]


class RoutesTable:
    """Facts by endpoint. It is filled once, when all routers are in the app."""

    def __init__(self) -> None:
        self._facts: dict[object, RouteFacts] = {}

    def fill(self, routes: Sequence[BaseRoute]) -> None:
        for route in api_routes(routes):
            query = dict(_query_names(route.dependant))
            self._facts.setdefault(route.endpoint, RouteFacts(str(route.path_format), query))

    def template(self, endpoint: object) -> str | None:
        facts = self._facts.get(endpoint)
        return None if facts is None else facts.template

    async def known_query_only(self, connection: HTTPConnection) -> None:
        """A dependency of every route: a query parameter that is not known is refused, as a field of a body is. So is one that is
        given twice: whoever reads the request on its way could take the one for the other."""
        if not connection.scope["query_string"]:
            return
        facts = self._facts.get(connection.scope.get("endpoint"))
        if facts is None:
            return
        given = Counter(name for name, _ in connection.query_params.multi_items())
        refused = [(name, "Extra inputs are not permitted") for name in given if name not in facts.query]
        refused += [(name, "Give it once") for name in given if given[name] > 1 and not facts.query.get(name, True)]
        if refused:
            raise RequestValidationError(
                [{"type": "extra_forbidden", "loc": ("query", name), "msg": message} for name, message in sorted(refused)]
            )


def api_routes(routes: Sequence[BaseRoute]) -> Iterator[RouteContext]:
    """Every route of ours, those of included routers under their full paths."""
    return (context for context in iter_route_contexts(routes) if isinstance(context.original_route, APIRoute))


def makes_another(scope: Scope) -> bool:
    """Whether a request that is done a second time makes a second thing: it is answered 201 Created."""
    routes = api_routes(scope["app"].routes)
    return any(route.status_code == HTTPStatus.CREATED for route in routes if route.matches(scope)[0] is Match.FULL)


def allowed_methods(scope: Scope) -> list[str]:
    """The methods that the path of a request takes, whichever route takes them."""
    found = {method for route in api_routes(scope["app"].routes) if _fits(route, scope) for method in route.methods or ()}
    return sorted(found)


def _fits(route: RouteContext, scope: Scope) -> bool:
    match, _ = route.matches(scope)
    return bool(match is not Match.NONE)


def dependants(root: Dependant) -> Iterator[Dependant]:
    """A dependant and all that it depends on."""
    yield root
    for each in root.dependencies:
        yield from dependants(each)


def _query_names(root: Dependant) -> Iterator[tuple[str, bool]]:
    for each in dependants(root):
        for field in each.query_params:
            annotation = field.field_info.annotation
            if isinstance(field.field_info, Query) and isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from ((inner.alias or name, _is_list(inner.annotation)) for name, inner in annotation.model_fields.items())
            else:
                yield field.alias, _is_list(annotation)


def _is_list(annotation: object) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))
