"""MCP over standard input and output: hands every message on to a desk's HTTP door, with a key.

The desk behind the door says which tools the key may see and what a call may do. Here one thing is held back on top: without
`trade`, tools that change what the desk does are neither shown nor handed on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import SecretStr

from api.chat.address import desk_address
from api.mcp import INSTRUCTIONS
from trading_core.domain.errors import ConfigurationError

_ENDPOINT = "/api/v1/mcp"
_CHECK = "/api/v1/auth/me"

_NOTHING = "Nothing was started"
_UNREACHED = "the desk cannot be reached now; what was asked for may have been done or not"

Context = ServerRequestContext[Any, Any]
Connect = Callable[[], AbstractAsyncContextManager[Client]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeskDoor:
    """Where the desk is, and what opens it.

    Attributes:
        url: without a path.
        key: an API key or an access token.
        trade: whether tools that change what the desk does are handed on.
    """

    url: str
    key: SecretStr
    trade: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", desk_address(self.url))

    @asynccontextmanager
    async def connect(self, http: httpx2.AsyncClient) -> AsyncIterator[Client]:
        """A client of the desk's door. Its protocol is the one that needs no handshake."""
        transport = streamable_http_client(f"{self.url}{_ENDPOINT}", http_client=http)
        async with Client(transport, mode=MODERN_PROTOCOL_VERSIONS[-1], cache=None) as desk:
            yield desk

    def client(self) -> httpx2.AsyncClient:
        return create_mcp_http_client(headers={"Authorization": f"Bearer {self.key.get_secret_value()}"})


async def serve_stdio(door: DeskDoor) -> None:
    """Speak MCP on standard input and output until the input ends. A desk that goes away is found again when it is back.

    Raises:
        ConfigurationError: no desk answers there, or it does not take the key.
    """
    async with door.client() as http:
        await _require_open(door, http)
        server = handing_on(lambda: door.connect(http), trade=door.trade)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())


def handing_on(connect: Connect, *, trade: bool) -> Server[Any]:
    """A server whose tools are those of the desk that `connect` reaches. Each message has a connection of its own: the desk keeps
    no session, so that none is lost with it."""
    acting: dict[str, bool] = {}  # by name, as the desk described it last

    async def tools() -> list[Tool]:
        found = (await _asked(connect, lambda desk: desk.list_tools())).tools
        acting.update({tool.name: _acts(tool) for tool in found})
        return found

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[tool for tool in await tools() if trade or not acting[tool.name]])

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        if not trade and params.name not in acting:
            await tools()
        if not trade and acting.get(params.name, False):
            raise MCPError(
                INVALID_PARAMS,
                f"{params.name} changes what the desk does, and this client was started without that. Nothing was done. "
                "Start it with `algotrendy mcp --trade` to allow it",
            )

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            await ctx.session.report_progress(progress, total, message)

        return await _asked(connect, lambda desk: desk.call_tool(params.name, params.arguments or {}, progress_callback=tell))

    return Server(
        "algotrendy",
        version=version("algotrendy"),
        title="AlgoTrendy",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _asked(connect: Connect, ask: Callable[[Client], Awaitable[T]]) -> T:
    """The desk's answer.

    Raises:
        MCPError: it refused, or it could not be reached.
    """
    refused: MCPError | None = None
    try:
        async with connect() as desk:
            try:
                return await ask(desk)
            except MCPError as error:  # the connection's own tasks would wrap it
                refused = error
    except Exception as error:
        if refused is None:
            raise MCPError(INTERNAL_ERROR, f"{_UNREACHED} ({_cause(error)})") from None
    raise refused


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return type(error).__name__


def _acts(tool: Tool) -> bool:
    hints = tool.annotations
    return hints is None or not (hints.read_only_hint or hints.destructive_hint is False)


async def _require_open(door: DeskDoor, http: httpx2.AsyncClient) -> None:
    try:
        answer = await http.get(f"{door.url}{_CHECK}")
    except httpx2.HTTPError as error:
        raise ConfigurationError(
            f"no desk answers at {door.url} ({type(error).__name__})",
            not_done=_NOTHING,
            next_step="Start one with `algotrendy serve`, or say with --url where it is",
        ) from None
    if answer.status_code in {401, 403}:
        raise ConfigurationError(
            f"the desk at {door.url} does not take the key", not_done=_NOTHING, next_step="Make a new API key: see docs/mcp.md"
        )
    if answer.status_code != 200:
        raise ConfigurationError(
            f"what answers at {door.url} is no desk, or is not well (HTTP {answer.status_code})", not_done=_NOTHING
        )
