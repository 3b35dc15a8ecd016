"""How much and how long: the number of requests of an address, the size of a body, and the time a request may take."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.context import context_of
from api.http.dependencies import SAYS_WHO
from api.http.problems import TooManyRequests, of_error, problem
from api.http.rate_limits import RateLimits

# Asked by what watches the process: turning it away would look like an outage. It says nothing of who it is; what does, counts.
PROBES = frozenset({"/livez", "/readyz"})


class Limits:
    """
    Args:
        body_limit: bytes.
        timeout: seconds until an answer must have begun and ended. Streams of events are exempt.
    """

    def __init__(self, app: ASGIApp, *, rates: RateLimits, body_limit: int, timeout: float) -> None:
        self._app = app
        self._rates = rates
        self._body_limit = body_limit
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        try:
            if scope["path"] not in PROBES or SAYS_WHO & set(Headers(scope=scope)):
                await self._rates.address(context.address, context.headers)
        except TooManyRequests as error:
            await of_error(context.request_id, error)(scope, receive, send)
            return
        if _announced(scope) > self._body_limit:
            await self._too_large(scope, receive, send)
            return
        await self._timed(scope, self._counted(receive), send)

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            async with asyncio.timeout(self._timeout) as limit:

                async def answer(message: Message) -> None:
                    nonlocal started
                    if message["type"] == "http.response.start":
                        started = True
                        if Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream"):
                            limit.reschedule(None)
                    await send(message)

                await self._app(scope, receive, answer)
        except TimeoutError:
            if started or not limit.expired():
                raise
            slow = problem(
                context_of(scope).request_id,
                503,
                "too-slow",
                "Too slow",
                f"the answer took longer than {self._timeout:g} s",
                not_done="What was asked may be half done",
                next_step="Look at the state before you ask again; under an Idempotency-Key a write is not done twice",
                headers={"Retry-After": "5"},
            )
            await slow(scope, receive, send)

    def _counted(self, receive: Receive) -> Receive:
        """The body as it comes, until there is too much of it: a chunked one announces no size."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_limit:
                raise HTTPException(413, self._words())
            return message

        return counted

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(
            context_of(scope).request_id, 413, "too-large", "Too large", self._words(), not_done="Nothing was done",
            headers={"Connection": "close"},
        )  # fmt: skip
        await answer(scope, receive, send)

    def _words(self) -> str:
        return f"the body is larger than {self._body_limit:,} bytes"


def _announced(scope: Scope) -> int:
    """The size of the body as its header has it; 0 when there is none, or no number: then it is counted as it comes."""
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
