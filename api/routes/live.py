"""The socket on which everything that happens can be followed."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket

from api.http.context import context_of
from api.http.problems import TooManyRequests
from api.live.hub import hub_of, live
from api.live.socket import AGAIN_LATER, POLICY, Socket
from api.state import ApiState

router = APIRouter(tags=["live"], lifespan=live)


@router.websocket("/live", name="live")
async def follow_live(websocket: WebSocket) -> None:
    """Follow topics: say who you are in the first frame, then subscribe. docs/live.md lists the frames."""
    hub = hub_of(websocket.app)
    if websocket.scope["query_string"] or not _may_come(websocket, hub.state):  # a token in a URL ends up in logs
        await websocket.close(POLICY)
        return
    context = context_of(websocket.scope)
    try:
        await hub.state.limits.address(context.address, context.headers)
    except TooManyRequests:
        await websocket.close(AGAIN_LATER)
        return
    await websocket.accept()
    await Socket(websocket, hub).serve()


def _may_come(websocket: WebSocket, state: ApiState) -> bool:
    """Whether the page that opens it, if it is one, is this server's or of an allowed origin: browsers do not ask for sockets."""
    origin = websocket.headers.get("origin")
    allowed = state.settings.allowed_origins
    if origin is None or origin in allowed or "*" in allowed:
        return True
    return urlsplit(origin).netloc == websocket.headers.get("host")
