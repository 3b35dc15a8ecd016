"""Headers that every answer has: browsers must not guess types, frame pages, send referrers, or keep what is private.

https://cheatsheetseries.owasp.org/cheatsheets/REST_Security_Cheat_Sheet.html#security-headers
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Data is no page: nothing in it may be run or shown in a frame.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The reference page loads its own script and style, and asks this server for the description. Nothing else.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HSTS = "max-age=31536000; includeSubDomains"


class SecurityHeaders:
    """Adds them; what a route has set itself stays."""

    def __init__(self, app: ASGIApp, *, hsts: bool) -> None:
        self._app = app
        added = {**_ALWAYS, "Content-Security-Policy": API_POLICY, "Cache-Control": "no-store"}
        if hsts:
            added["Strict-Transport-Security"] = _HSTS
        self._added = added

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._added.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, answer)
