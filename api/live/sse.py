"""A run's events as a stream (`text/event-stream`), from any point on until the run is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.live.access import RunFacts, may_see
from api.live.hub import Hub
from api.live.inbox import Inbox
from api.live.told import Told
from graph.events import FINAL
from trading_core.auth.identity import Identity
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.session import Database

HEARTBEAT_SECONDS = 15.0
SEND_SECONDS = 30.0  # a client that takes nothing for so long is gone, or as good as gone; it can come back
PAGE = 500  # events read from the ledger at once
PIECE = 64 * 1024  # bytes handed over at once: what a client that takes nothing leaves in memory is little more
MEDIA_TYPE = "text/event-stream"
_HEARTBEAT = b": still here\n\n"
_BEGIN = b"retry: 1000\n\n"  # milliseconds after which a client that lost us comes back
_HEADERS = {
    "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
    "Cache-Control": "no-cache, no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


async def read_run(database: Database, run_id: str, after: int, limit: int) -> tuple[tuple[StoredEvent, ...], bool]:
    """The next events of a run, and whether there will be no more behind them.

    The run is read first: what it told last was written with its end, so whoever sees the end sees that too.
    """
    async with database.reading() as uow:
        record = await uow.runs.get(run_id)
        page = await uow.events.of_run(run_id, after, limit)
    return page, len(page) < limit and (record is None or record.ended_at is not None)


class EventStream(Response):
    """Streams a run to one follower. When the server ends, or the follower may no longer see the run, the stream ends.

    Args:
        first: events behind `after` that were read already, so that what can fail has failed before the stream begins.
        is_over: whether those are the last.
    """

    media_type = None

    def __init__(
        self, hub: Hub, run: RunFacts, name: str, token: SecretStr, after: int, first: Iterable[StoredEvent], *, is_over: bool
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._hub, self._run, self._name, self._token = hub, run, name, token
        self._last, self._first, self._is_over = after, first, is_over
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._hub.following_run(self._run) as inbox:
            await self._follow(inbox, receive, send)

    async def _follow(self, inbox: Inbox, receive: Receive, to_client: Send) -> None:
        async def send(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await to_client(message)

        def leave() -> None:
            self._left = True
            inbox.wake()

        def changed(identity: Identity | None) -> None:
            if identity is None or not may_see(identity.principal, self._run):
                leave()

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            leave()

        # Before the first byte: who finds no room is told so in the usual form of an error.
        with self._hub.room(self._name, self, leave), self._hub.watched(self._token, self, changed):
            watching = asyncio.create_task(watch(), name="live: stream's client")
            try:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": _BEGIN, "more_body": True})
                await self._stream(inbox, send)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except OSError:
                pass  # the client left, or takes too long
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching

    async def _stream(self, inbox: Inbox, send: Send) -> None:
        if await self._send(send, map(Told, self._first)) or self._is_over:
            return
        # What was told between that reading and our joining is in the ledger; what comes after is in the inbox.
        if await self._catch_up(send):
            return
        while not self._left:
            await inbox.wait(HEARTBEAT_SECONDS)
            taken = inbox.take()
            if await self._send(send, taken.events):
                return
            if taken.missed or taken.closed:
                if await self._catch_up(send) or taken.closed:
                    return
            elif not taken.events and not self._left:
                await send({"type": "http.response.body", "body": _HEARTBEAT, "more_body": True})

    async def _catch_up(self, send: Send) -> bool:
        """Send what the ledger has; True when the stream is at its end."""
        while not self._left:
            try:
                page, is_over = await read_run(self._hub.state.database, self._run.run_id, self._last, PAGE)
            except AlgoTrendyError:
                return True  # the client comes back, and is told what is the matter
            if await self._send(send, map(Told, page)) or is_over:
                return True
            if len(page) < PAGE:
                return False
        return True

    async def _send(self, send: Send, events: Iterable[Told]) -> bool:
        """Send the events that are new, in as few pieces as can be; True when the last of the run was among them."""
        piece, ends = bytearray(), False
        for told in events:
            if told.event.sequence > self._last:
                self._last = told.event.sequence
                piece += told.stream
                ends = ends or told.event.kind in FINAL
            if len(piece) >= PIECE:
                await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
                piece.clear()
        if piece:
            await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        return ends
