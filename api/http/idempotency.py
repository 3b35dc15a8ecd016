"""A write that is sent twice is done once: the header `Idempotency-Key` on any POST, PUT, PATCH or DELETE.

The key belongs to the caller. The first request under it is done, and its answer kept if it did something; the same request
again gets that answer, as long as whoever asks may do the same as then. What failed is not kept, so that it can be tried again.
A request that was cut off (the time limit, the server's end or death, an error that nobody foresaw) may have been done or not.
Done again it comes to the same in most routes; where it would make another thing, it is not done again under its key.
An answer with a secret in it is not kept either, only that it was given. Of the key and the request there are digests, made with
the key: whoever reads the database cannot try passwords against them.
https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.context import RequestContext, context_of
from api.http.dependencies import SAFE, identify
from api.http.problems import of_error, problem
from api.http.routes_table import makes_another
from api.state import ApiState
from trading_core.auth.opaque import digest
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import AlgoTrendyError, NotAuthenticated
from trading_core.persistence.desk_records import KeptAnswer

HEADER, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
KEPT_FOR = timedelta(days=1)
FORGOTTEN_EVERY = timedelta(hours=1)
_KEY = re.compile(r"[!-~]{8,200}")
_LARGEST = 256_000  # bytes of an answer that is kept
_KEPT_HEADERS = ("content-type", "etag", "location")
_NOTHING = "Nothing was done"
_CONFLICT = 409
_CUT_OFF: Mapping[str, object] = {"cut_off": True}
_log = logging.getLogger("algotrendy.api")


class Idempotency:
    """The layer around all routes. It reads the whole body: the layer of the limits stands before it."""

    def __init__(self, app: ASGIApp, *, state: ApiState) -> None:
        self._app = app
        self._state = state
        self._forgotten_at: datetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] not in SAFE else None
        if key is None:
            await self._app(scope, receive, send)
            return
        context = context_of(scope)
        if not _KEY.fullmatch(key):
            await _bad_key(context)(scope, receive, send)
            return
        try:
            who = (await identify(self._state, HTTPConnection(scope))).principal
        except NotAuthenticated:
            await self._app(scope, receive, send)  # logging in needs no caller; other routes refuse for themselves
            return
        except AlgoTrendyError as error:
            await of_error(context.request_id, error)(scope, receive, send)
            return
        try:
            body = await _whole(receive)
        except HTTPException as error:
            await problem(context.request_id, error.status_code, "too-large", "Too large", error.detail)(scope, receive, send)
            return
        await self._keyed(scope, _again(body, receive), send, _Claim(who.name, digest(key), _hash(key, who, scope, body)))

    async def _keyed(self, scope: Scope, receive: Receive, send: Send, claim: _Claim) -> None:
        context = context_of(scope)
        try:
            kept = await self._begin(claim, scope)
        except AlgoTrendyError as error:
            await of_error(context.request_id, error)(scope, receive, send)
            return
        if kept is not None:
            await _of_kept(context, kept, claim)(scope, receive, send)
            return
        answer = _Collected(send)
        try:
            await self._app(scope, receive, answer)
        except BaseException:
            await self._settle(claim, _CUT_OFF if makes_another(scope) else None)
            raise
        kept_answer = answer.content(secret=context.holds_secret) if answer.did_something and not answer.streamed else None
        await self._settle(claim, kept_answer, answer.status)
        await answer.let_go()

    async def _begin(self, claim: _Claim, scope: Scope) -> KeptAnswer | None:
        """Take the key; what is kept under it, when it was taken before."""
        now = self._state.clock.now()
        async with self._state.database.transaction() as uow:
            if self._forgotten_at is None or now - self._forgotten_at >= FORGOTTEN_EVERY:
                self._forgotten_at = now
                await uow.kept_answers.forget(now - KEPT_FOR - FORGOTTEN_EVERY)
            kept = await uow.kept_answers.begin(claim.principal, claim.key, claim.request_hash, now)
            if kept is None:
                return None
            if not self._is_too_old(kept):
                if not self._has_died(kept):
                    return kept
                if makes_another(scope):
                    return replace(kept, status=_CONFLICT, body=json.dumps(_CUT_OFF))
            await uow.kept_answers.drop(claim.principal, claim.key)
            return await uow.kept_answers.begin(claim.principal, claim.key, claim.request_hash, now)

    def _is_too_old(self, kept: KeptAnswer) -> bool:
        return self._state.clock.now() - kept.created_at >= KEPT_FOR

    def _has_died(self, kept: KeptAnswer) -> bool:
        """Whether its process died at work: nothing takes twice as long as a request may."""
        age = self._state.clock.now() - kept.created_at
        return kept.status is None and age >= timedelta(seconds=2 * self._state.settings.request_timeout)

    async def _settle(self, claim: _Claim, content: Mapping[str, object] | None, status: int = _CONFLICT) -> None:
        """Keep what the key stands for, or free it. Even when this task was cancelled: a key that stays at work would keep its
        owner from trying again."""

        async def settle() -> None:
            try:
                async with self._state.database.transaction() as uow:
                    if content is None:
                        await uow.kept_answers.drop(claim.principal, claim.key)
                    else:
                        await uow.kept_answers.finish(claim.principal, claim.key, status, json.dumps(content))
            except AlgoTrendyError as error:  # the answer is right nevertheless; the key counts as one whose process died
                _log.warning("an idempotency key was not settled: %s", error)

        await asyncio.shield(asyncio.create_task(settle()))


@dataclass(frozen=True, slots=True)
class _Claim:
    """`key` and `request_hash` are digests."""

    principal: str
    key: str
    request_hash: str


class _Collected:
    """Holds an answer back until it is kept. A stream is let through as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []
        self.status = 0
        self.streamed = False
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.streamed = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
        if self.streamed:
            await self._send(message)
            return
        self._messages.append(message)
        self.body += message.get("body", b"")

    @property
    def did_something(self) -> bool:
        return 200 <= self.status < 300

    def content(self, *, secret: bool) -> Mapping[str, object]:
        """What is kept of it."""
        if secret or len(self.body) > _LARGEST:
            return {"secret": True}
        headers = Headers(raw=self._messages[0]["headers"])
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        return {"headers": kept, "body": self.body.decode()}

    async def let_go(self) -> None:
        for message in self._messages:
            await self._send(message)


def _of_kept(context: RequestContext, kept: KeptAnswer, claim: _Claim) -> Response:
    if kept.request_hash != claim.request_hash:
        return problem(
            context.request_id, 422, "idempotency-key-reused", "Idempotency key reused",
            "this Idempotency-Key belongs to another request", not_done=_NOTHING, next_step="Choose a new key for a new request",
        )  # fmt: skip
    if kept.status is None:
        return problem(
            context.request_id, 409, "in-progress", "In progress", "the first request under this Idempotency-Key is at work",
            not_done="It was not done a second time", next_step="Ask again in a moment", headers={"Retry-After": "1"},
        )  # fmt: skip
    content = json.loads(kept.body)
    if "cut_off" in content:
        return problem(
            context.request_id, _CONFLICT, "write-cut-off", "Write cut off",
            "the first request under this Idempotency-Key was cut off, and may have been done or not",
            not_done="It was not done a second time",
            next_step="Look whether it was done. If it was not, or its answer held a secret, use a new key",
        )  # fmt: skip
    if "secret" in content:
        return problem(
            context.request_id, 409, "answer-not-kept", "Answer not kept",
            "this was done before, and its answer, which may hold a secret, was given once and is kept nowhere",
            not_done="It was not done a second time", next_step="If the answer was lost, undo what was made and use a new key",
        )  # fmt: skip
    return Response(content["body"], kept.status, {**content["headers"], REPLAYED: "true"})


def _bad_key(context: RequestContext) -> Response:
    return problem(
        context.request_id, 422, "invalid-input", "Invalid input", f"{HEADER} takes 8 to 200 printable ASCII characters",
        not_done=_NOTHING, next_step="A random UUID does well",
    )  # fmt: skip


def _hash(key: str, who: Principal, scope: Scope, body: bytes) -> str:
    """Of the request and what its caller may do: the same user with an API key, or in another role, does not get the answer."""
    rights = [sorted(who.actions), sorted(who.accounts)]
    head = json.dumps([scope["method"], scope["path"], scope["query_string"].decode("latin-1"), *rights])
    return hmac.digest(key.encode(), f"{head}\n".encode() + body, "sha256").hex()


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):  # a client that left says `http.disconnect`, which has no more either
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then whatever comes after it."""
    given = False

    async def once_more() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once_more
