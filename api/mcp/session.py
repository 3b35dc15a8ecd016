"""MCP over standard input and output: hands every message on to a desk's HTTP door, with a key.

The desk behind the door says which tools the key may see and what a call may do. Here one thing is held back on top: without
`trade`, tools that change what the desk does are neither shown nor handed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from pydantic import SecretStr

from trading_core.domain.errors import ConfigurationError

_ENDPOINT = "/api/v1/mcp"
_CHECK = "/api/v1/auth/me"
_PLAIN_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

Context = ServerRequestContext[Any, Any]


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
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"{self.url!r} is no address of a desk", not_done=_NOTHING, next_step="Write http://host:port"
            )
        if parts.scheme == "http" and parts.hostname not in _PLAIN_HOSTS:
            raise ConfigurationError(
                f"{self.url!r} would have the key cross the network unencrypted", not_done=_NOTHING, next_step="Use https"
            )

    def client(self) -> httpx2.AsyncClient:
        return create_mcp_http_client(headers={"Authorization": f"Bearer {self.key.get_secret_value()}"})


_NOTHING = "Nothing was started"


async def serve_stdio(door: DeskDoor) -> None:
    """Speak MCP on standard input and output until the input ends.

    Raises:
        ConfigurationError: no desk answers there, or it does not take the key.
    """
    async with door.client() as http:
        await _require_open(door, http)
        async with (
            Client(streamable_http_client(f"{door.url.rstrip('/')}{_ENDPOINT}", http_client=http), cache=None) as desk,
            stdio_server() as (reading, writing),
        ):
            server = handing_on(desk, trade=door.trade)
            await server.run(reading, writing, server.create_initialization_options())


def handing_on(desk: Client, *, trade: bool) -> Server[Any]:
    """A server whose tools are those of `desk`."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[tool for tool in await _tools(desk) if trade or not _acts(tool)])

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        if not trade:
            await _require_harmless(desk, params.name)

        async def progress(done: float, total: float | None, message: str | None) -> None:
            await ctx.session.report_progress(done, total, message)

        try:
            return await desk.call_tool(params.name, params.arguments or {}, progress_callback=progress)
        except httpx2.HTTPError as error:
            return _failed(f"the desk cannot be reached ({type(error).__name__}). It is not known whether anything was done")

    return Server(
        "algotrendy",
        version=version("algotrendy"),
        title="AlgoTrendy",
        instructions=desk.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _tools(desk: Client) -> list[Tool]:
    return (await desk.list_tools()).tools


async def _require_harmless(desk: Client, name: str) -> None:
    known: Mapping[str, Tool] = {tool.name: tool for tool in await _tools(desk)}
    if name in known and _acts(known[name]):
        raise MCPError(
            INVALID_PARAMS,
            f"{name} changes what the desk does, and this client was started without that. Nothing was done. "
            "Start it with `algotrendy mcp --trade` to allow it",
        )


def _acts(tool: Tool) -> bool:
    hints = tool.annotations
    return hints is None or not (hints.read_only_hint or hints.destructive_hint is False)


def _failed(said: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content={"error": said}, is_error=True)


async def _require_open(door: DeskDoor, http: httpx2.AsyncClient) -> None:
    try:
        answer = await http.get(f"{door.url.rstrip('/')}{_CHECK}")
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
