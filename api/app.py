"""The FastAPI application over one process's state.

app = create_app(ApiState(…))
await uvicorn.Server(server_config(app, settings, host, port)).serve()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from importlib.metadata import version

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from api.docs_page import add_docs
from api.http import openapi, problems
from api.http.access_log import REQUEST_ID, AccessLog
from api.http.headers import SecurityHeaders
from api.http.idempotency import HEADER, KEPT_FOR, REPLAYED, Idempotency
from api.http.limits import Limits
from api.http.routes_table import RoutesTable
from api.http.settings import ApiSettings
from api.http.wire import BoundedProtocol
from api.live.frames import LONGEST
from api.observability.metrics import Metrics
from api.routes import ROOT_ROUTERS, ROUTERS
from api.state import ApiState
from trading_core.domain.errors import AlgoTrendyError

VERSIONED = "/api/v1"
# Headers that pages of other origins may send, and read.
_ASKED = ["Authorization", "Content-Type", HEADER, "If-Match", "Last-Event-ID", "X-API-Key", REQUEST_ID]
_ASKED += ["X-Account", "X-Conversation-Id", "MCP-Protocol-Version", "MCP-Method", "MCP-Name"]
# OpenAI's own client tells these of itself with every request; they are of no effect here.
_TOLD = ("Arch", "Helper-Method", "Lang", "OS", "Package-Version", "Retry-Count", "Runtime", "Runtime-Version", "Timeout")
_ASKED += ["User-Agent", *(f"X-Stainless-{name}" for name in _TOLD)]
_ANSWERED = ["ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", REPLAYED, REQUEST_ID, "X-Conversation-Id"]
_GRACE = 5.0  # seconds that open requests get to end when the server stops
_DESCRIPTION = """Everything the desk can do, for people and programs.

Log in at `/api/v1/auth/login` and send `Authorization: Bearer …`, or use an API key there or as `X-API-Key`. Amounts are text,
times are ISO 8601 in UTC. Errors are problem details (RFC 9457). Lists come in pages with a cursor. Every write takes an
`Idempotency-Key`. Nothing the desk does depends on a client that stays connected."""


def create_app(state: ApiState) -> FastAPI:
    """The application: every route under `/api/v1`, the layers around them, and the same form for every error."""
    settings, routes = state.settings, _routes()
    app = FastAPI(
        title="AlgoTrendy",
        version=version("algotrendy"),
        summary="A multi-agent trading desk over a deterministic core.",
        description=_DESCRIPTION,
        openapi_url=None,  # `add_docs` serves it where settings allow
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False},
        generate_unique_id_function=_operation_id,
        middleware=_layers(state, routes.table),
        exception_handlers={
            AlgoTrendyError: problems.on_error,
            HTTPException: problems.on_http_error,
            RequestValidationError: problems.on_validation,
        },
        lifespan=partial(_lifespan, state),
        redirect_slashes=False,
    )
    app.state.desk = state
    app.router.routes.extend(routes.all)
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]  # FastAPI's documented way
    if settings.shows_docs:
        add_docs(app)
    routes.table.fill(app.routes)
    return app


@dataclass(frozen=True, slots=True)
class _Routes:
    """All routes. They are the same over any state, and take a fifth of a second to build.

    Attributes:
        lifespan: what routers begin and end with an application.
    """

    all: tuple[BaseRoute, ...]
    table: RoutesTable
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[object]]


@cache
def _routes() -> _Routes:
    table = RoutesTable()
    template = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        dependencies=[Depends(table.known_query_only)],
    )
    for router in ROUTERS:
        template.include_router(router, prefix=VERSIONED)
    for router in ROOT_ROUTERS:
        template.include_router(router)
    return _Routes(tuple(template.router.routes), table, template.router.lifespan_context)


def server_config(app: FastAPI, settings: ApiSettings, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves the app. The client's address, the access log and the headers are this app's own business: uvicorn
    would believe `X-Forwarded-For` from anybody on the machine."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=int(_GRACE),
        http=BoundedProtocol,
        ws_max_size=4 * LONGEST,  # bytes: nobody has said who he is when the first frame is read
        ws_per_message_deflate=False,  # hundreds of kilobytes a socket, for frames that are small
        lifespan="on",
    )


def _layers(state: ApiState, table: RoutesTable) -> list[Middleware]:
    """From the outside in."""
    settings = state.settings
    layers = [
        Middleware(SecurityHeaders, hsts=settings.hsts),
        Middleware(AccessLog, template=table.template, trusted=settings.trusted_proxies, observer=state.observer),
    ]
    if settings.allowed_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=_ASKED,
                expose_headers=_ANSWERED,
                max_age=600,
            )
        )
    limits = Middleware(Limits, rates=state.limits, body_limit=settings.body_limit, timeout=settings.request_timeout)
    return [*layers, limits, Middleware(Idempotency, state=state)]


@asynccontextmanager
async def _lifespan(state: ApiState, app: FastAPI) -> AsyncIterator[None]:
    async with state.database.transaction() as uow:
        await uow.kept_answers.forget(state.clock.now() - KEPT_FOR - timedelta(hours=1))
    try:
        async with _routes().lifespan(app), _counting(state):
            yield
    finally:
        await state.limits.close()


@asynccontextmanager
async def _counting(state: ApiState) -> AsyncIterator[None]:
    """Count what the desks of this process do, where somebody reads it."""
    if not isinstance(state.observer, Metrics):
        yield
        return
    async with state.observer.watching(database=state.database, log=state.log, desks=state.desks):
        yield


def _operation_id(route: APIRoute) -> str:
    """The function's name: what a generated client calls it."""
    return route.name
