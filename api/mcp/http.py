"""MCP over HTTP: `POST /api/v1/mcp`, one message each, with no session: every request says who asks, and any process serves it.

The transport is the protocol's own (`mcp`), loaded by the first request: who never uses it does not wait for it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.dependencies import Caller, State
from api.live.hub import Hub, hub_of
from api.state import ApiState
from trading_core.domain.errors import NotPermitted

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"


class McpDoor:
    """Holds the transport while it is used."""

    def __init__(self) -> None:
        self._manager: StreamableHTTPSessionManager | None = None
        self._holding: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._opening = asyncio.Lock()

    async def transport(self, hub: Hub) -> StreamableHTTPSessionManager:
        """The transport, which runs from the first request on."""
        async with self._opening:
            if self._manager is None:
                from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

                from api.mcp.server import make_server

                manager = StreamableHTTPSessionManager(
                    make_server(hub), stateless=True, max_request_body_size=hub.state.settings.body_limit
                )
                opened = asyncio.Event()
                # Not in the context of the request that happens to be the first: its id is not the others'.
                self._holding = asyncio.create_task(
                    self._hold(manager, opened), name="mcp: transport", context=contextvars.Context()
                )
                await opened.wait()
                self._manager = manager
            return self._manager

    async def close(self) -> None:
        self._closing.set()
        if self._holding is not None:
            await self._holding

    async def _hold(self, manager: StreamableHTTPSessionManager, opened: asyncio.Event) -> None:
        async with manager.run():
            opened.set()
            await self._closing.wait()


@asynccontextmanager
async def mcp_door(app: FastAPI) -> AsyncIterator[None]:
    """The lifespan of an application's MCP door."""
    app.state.mcp = door = McpDoor()
    try:
        yield
    finally:
        await door.close()


router = APIRouter(tags=["mcp"], lifespan=mcp_door)


@router.post(PATH, summary="Speak MCP with the desk", include_in_schema=False)
async def mcp(request: Request, state: State, caller: Caller) -> Response:
    """One message of the Model Context Protocol (streamable HTTP). docs/mcp.md says what there is."""
    require_known_page(request, state)
    door: McpDoor = request.app.state.mcp
    return _Handed(await door.transport(hub_of(request.app)))


def require_known_page(request: Request, state: ApiState) -> None:
    """Refuse pages but those of allowed origins, as the protocol asks: a name that an attacker points at this machine reaches it
    too. Programs send no origin.

    Raises:
        NotPermitted: a browser shows a page of another origin.
    """
    origin, allowed = request.headers.get("origin"), state.settings.allowed_origins
    if origin is None or origin in allowed or "*" in allowed:
        return
    raise NotPermitted(
        "pages of this origin may not speak with the desk",
        not_done="Nothing was done",
        next_step="Name the origin in ALGOTRENDY_API_ALLOWED_ORIGINS if it is one of yours",
    )


class _Handed(Response):
    """Hands the request to the transport, which answers it."""

    def __init__(self, transport: StreamableHTTPSessionManager) -> None:
        super().__init__()
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._transport.handle_request(scope, receive, send)
