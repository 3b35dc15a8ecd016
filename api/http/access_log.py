"""The layer that names each request, lets no error out but as a problem, and writes one line when it is over.

The line has the route's template, never the path, a query value or a body: those may name people and hold secrets.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.context import RequestContext, put_context
from api.http.problems import cut_off, unhandled
from api.http.settings import Network
from api.state import RequestObserver
from trading_core.audit.correlation import correlated

REQUEST_ID = "X-Request-ID"
UNMATCHED = "unmatched"
CLIENT_LEFT = 499  # nginx's word for a request that was given up before its answer
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", re.ASCII)
_WITH_PORT = re.compile(r"(?:(?P<four>[0-9.]+):[0-9]+|\[(?P<six>[^\]]*)\](?::[0-9]+)?)", re.ASCII)
_log = logging.getLogger("algotrendy.access")
_errors = logging.getLogger("algotrendy.api")


class AccessLog:
    """
    Args:
        template: the route's template of an endpoint; None when it is not known.
        trusted: networks of proxies whose word about the client's address counts.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        template: Callable[[object], str | None],
        trusted: tuple[Network, ...],
        observer: RequestObserver | None,
    ) -> None:
        self._app = app
        self._template = template
        self._trusted = trusted
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = RequestContext(_request_id(headers), _address(scope, headers, self._trusted))
        put_context(scope, context)
        with correlated(context.request_id):
            if scope["type"] == "http":
                await self._http(scope, receive, send, context)
            else:
                await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        began, status, streamed = time.perf_counter(), 0, False

        async def answer(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                streamed = headers.get("content-type", "").startswith("text/event-stream")
                headers[REQUEST_ID] = context.request_id
                headers.update(context.headers)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except asyncio.CancelledError:
            if status:
                raise
            # The server ends and gives up what is still at work. It takes the cancelling no further either.
            await cut_off(context.request_id)(scope, receive, answer)
        except Exception:
            _errors.exception("unhandled error", extra={"request_id": context.request_id})
            if status:
                raise  # an answer that is half sent cannot be mended: the server closes the connection
            await unhandled(context.request_id)(scope, receive, answer)
        finally:
            seconds, status = time.perf_counter() - began, status or CLIENT_LEFT
            route = self._template(scope.get("endpoint"))
            if self._observer is not None:
                self._observer.observe_request(route, scope["method"], status, seconds, streamed=streamed)
            _tell(scope["method"], route or UNMATCHED, status, seconds, context)


def _tell(method: str, route: str, status: int, seconds: float, context: RequestContext) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    line: Mapping[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "request_id": context.request_id,
        "principal": "" if context.identity is None else context.identity.principal.name,
    }
    _log.info("%s %s %s", method, route, status, extra=line)


def _request_id(headers: Headers) -> str:
    """The caller's, when it is a sane one, so that a request can be followed through several systems; else a new one."""
    given = headers.get(REQUEST_ID.lower(), "")
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)


def _address(scope: Scope, headers: Headers, trusted: tuple[Network, ...]) -> str:
    """The client's address: the last one in the chain of proxies that is none of ours, or ours where it says none."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not trusted:
        return address
    known = _parsed(address)
    entries = [part.strip() for part in ",".join(headers.getlist("x-forwarded-for")).split(",")]
    for entry in reversed([part for part in entries if part]):
        said = _parsed(entry)
        if known is None or said is None or not any(known in network for network in trusted):
            break
        known = said
    return address if known is None else str(known)


def _parsed(entry: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: some add a port, and then brackets around IPv6. One client has many ports."""
    match = _WITH_PORT.fullmatch(entry)
    try:
        address = ip_address(entry if match is None else match["four"] or match["six"])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
