"""The MCP server of one process: which tools there are for whom, and calling them."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError
from starlette.requests import Request

from api.http.context import RequestContext, context_of
from api.http.problems import kind_of
from api.live.hub import Hub
from api.live.logins import token_of
from api.mcp import INSTRUCTIONS
from api.mcp.acting import acting_tools
from api.mcp.conversing import conversing_tools
from api.mcp.reading import desk_tools
from api.mcp.tools import Call, Offer, Result, Tell
from trading_core.audit.correlation import correlated
from trading_core.auth.identity import Identity
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import AlgoTrendyError

_log = logging.getLogger("algotrendy.mcp")

Context = ServerRequestContext[Any, Any]


def make_server(hub: Hub) -> Server[Any]:
    """The server over the hub's state. Each request must come through `api.mcp.http`, which says who asks."""
    offers = {offer.name: offer for offer in (*conversing_tools(), *desk_tools(), *acting_tools())}

    async def list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        who = _request(ctx)[2].principal
        return ListToolsResult(tools=[tool_of(offer, who) for offer in offers.values() if offer.is_for(who)])

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        request, context, caller = _request(ctx)
        if (offer := offers.get(params.name)) is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:100]!r}")
        with correlated(context.request_id):
            call = Call(hub, caller, token_of(request), _teller(ctx))
            result = await _called(offer, call, params.arguments or {}, context.request_id)
        text = TextContent(type="text", text=result.shown)
        return CallToolResult(content=[text], structured_content=dict(result.data), is_error=result.failed)

    return Server(
        "algotrendy",
        version=version("algotrendy"),
        title="AlgoTrendy",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def tool_of(offer: Offer, who: Principal) -> Tool:
    """A tool as the protocol describes it."""
    return Tool(
        name=offer.name,
        title=offer.title,
        description=offer.description,
        input_schema=offer.schema_for(who),
        annotations=ToolAnnotations(
            title=offer.title,
            read_only_hint=offer.read_only,
            destructive_hint=offer.destructive,
            idempotent_hint=offer.idempotent,
            open_world_hint=False,
        ),
    )


async def _called(offer: Offer, call: Call, arguments: dict[str, Any], request_id: str) -> Result:
    """What a call came to. A failure is a result, so that a model can read what to do about it; in the desk's own words."""
    try:
        return await offer.call(call, arguments)
    except AlgoTrendyError as error:
        status, kind, _ = kind_of(error)
        if status == 500 or kind == "store-unavailable":  # its words are for whoever runs the desk: they may name files and hosts
            _log.warning("%s: %s", type(error).__name__, error, extra={"request_id": request_id})
            return _failed(kind, "the desk could not do this now. Ask again later; the server's log says why", request_id)
        return _failed(kind, str(error), request_id)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return _failed("invalid-input", f"{where}: {first['msg']}. Nothing was done", request_id)
    except Exception:
        _log.exception("unhandled error in tool %s", offer.name, extra={"request_id": request_id})
        return _failed("internal", "something went wrong that the desk did not expect; the server's log has more", request_id)


def _failed(kind: str, said: str, request_id: str) -> Result:
    return Result({"error": said, "kind": kind, "request_id": request_id}, text=said, failed=True)


def _request(ctx: Context) -> tuple[Request, RequestContext, Identity]:
    """The request that a message came with, what is known of it, and who sent it."""
    request = ctx.request
    if not isinstance(request, Request) or (identity := (context := context_of(request.scope)).identity) is None:
        raise MCPError(INVALID_PARAMS, "nobody is known to have asked this")
    return request, context, identity


def _teller(ctx: Context) -> Tell:
    """Tells the caller of progress; each message is the next piece of a text."""
    told = 0

    async def tell(text: str) -> None:
        nonlocal told
        told += 1
        await ctx.session.report_progress(float(told), None, text)

    return tell
