"""One socket: who it is, what it follows, and frames both ways. docs/live.md tells a client's side of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import ExitStack, suppress
from typing import NoReturn

from pydantic import SecretStr
from starlette.websockets import WebSocket

from api.http.context import context_of
from api.http.dependencies import no_such_account
from api.live.frames import LONGEST, Auth, Ping, Subscribe, Unsubscribe, error_frame, read_frame
from api.live.hub import Hub
from api.live.logins import authenticate
from api.live.subscription import MOST_TOPICS, Subscription
from trading_core.auth.identity import Identity, bad_token
from trading_core.domain.errors import AlgoTrendyError, InvalidInput

AUTH_SECONDS = 5.0
FRAME_SECONDS = 0.1  # between two frames of events
SEND_SECONDS = 10.0  # a client that takes none for so long is gone, or as good as gone
_BURST, _PER_SECOND = 20, 5  # frames of a client
_GAPS, _GAPS_SECONDS = 3, 60.0  # so many in so long are too slow

# https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
UNSUPPORTED, POLICY, TOO_BIG, RESTART, AGAIN_LATER = 1003, 1008, 1009, 1012, 1013


class Closed(Exception):
    """The socket ends.

    Args:
        code: told to the client; None when it is the client that left.
    """

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Socket:
    def __init__(self, websocket: WebSocket, hub: Hub) -> None:
        self._websocket, self._hub = websocket, hub
        self._request_id = context_of(websocket.scope).request_id
        self._identity: Identity | None = None
        self._followed: dict[str, Subscription] = {}
        self._replies: deque[str] = deque()
        self._some = asyncio.Event()
        self._end: Closed | None = None
        self._allowance, self._counted_at = float(_BURST), time.monotonic()
        self._gaps: deque[float] = deque(maxlen=_GAPS)

    async def serve(self) -> None:
        """Serve it until one side ends it."""
        try:
            await self._served()
        except Closed as end:
            if end.code is not None:
                with suppress(RuntimeError, OSError, TimeoutError):
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._websocket.close(end.code, end.reason)
        finally:
            for subscription in self._followed.values():
                await subscription.end()

    async def _served(self) -> None:
        token, identity = await self._known()
        self._identity = identity
        with ExitStack() as stack:
            try:
                name = identity.principal.name
                stack.enter_context(self._hub.room(name, self, lambda: self._finish(RESTART, "the server ends"), "websocket"))
            except AlgoTrendyError as error:
                await self._refuse(error, AGAIN_LATER)
            stack.enter_context(self._hub.watched(token, self, self._renewed))
            self._reply({"type": "ready", "principal": name, "accounts": sorted(identity.principal.accounts)})
            both = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                ends = await asyncio.gather(*both, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def _known(self) -> tuple[SecretStr, Identity]:
        """Whoever is there, by the first frame."""
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                frame = read_frame(await self._receive())
        except TimeoutError:
            raise Closed(POLICY, "no token came in time") from None
        except InvalidInput as error:
            await self._refuse(error)
        try:
            if not isinstance(frame, Auth):
                raise bad_token()
            identity = await authenticate(self._hub.state.auth, frame.token)
            await self._hub.state.limits.reads(identity.principal.name, {})
        except AlgoTrendyError as error:
            await self._refuse(error)
        return frame.token, identity

    async def _refuse(self, error: AlgoTrendyError, code: int = POLICY) -> NoReturn:
        await self._send(error_frame(error, self._request_id))
        raise Closed(code, error.what[:100])

    async def _receive(self) -> str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise Closed(None)
        text = message.get("text")
        if text is None:
            raise Closed(UNSUPPORTED, "frames are text")
        if len(text) > LONGEST:
            raise Closed(TOO_BIG, f"a frame has at most {LONGEST} characters")
        return str(text)

    async def _read(self) -> None:
        while True:
            text = await self._receive()
            self._count()
            try:
                await self._obey(read_frame(text))
            except AlgoTrendyError as error:
                self._put(error_frame(error, self._request_id))

    def _count(self) -> None:
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._counted_at) * _PER_SECOND) - 1
        self._counted_at = now
        if self._allowance < 0:
            raise Closed(POLICY, "too many frames")

    async def _obey(self, frame: Auth | Subscribe | Unsubscribe | Ping) -> None:
        match frame:
            case Ping():
                self._reply({"type": "pong"})
            case Subscribe():
                await self._subscribe(frame)
            case Unsubscribe():
                if (known := self._followed.get(frame.account)) is not None:
                    known.forget(frame.topics)
                self._tell_gone(frame.account, frame.topics)
            case Auth():
                raise InvalidInput("you are known already", not_done="Nothing was done", next_step="Open another socket")

    async def _subscribe(self, frame: Subscribe) -> None:
        assert self._identity is not None  # noqa: S101  # `_served` set it
        account = frame.account
        if account not in self._identity.principal.accounts:
            raise no_such_account(account)
        known = self._followed.get(account) or Subscription(self._hub, account, self._identity, self._some.set)
        await known.allow(frame.topics)
        if len(known.topics | set(frame.topics)) > MOST_TOPICS:
            raise InvalidInput(
                f"a socket follows at most {MOST_TOPICS} topics of an account",
                not_done="Nothing more is followed",
                next_step="Leave some, or open another socket",
            )
        self._followed[account] = known
        await known.follow(frame.topics, frame.after)
        self._reply({"type": "subscribed", "account": account, "topics": frame.topics, "position": known.position})

    def _renewed(self, identity: Identity | None) -> None:
        """What the token stands for now."""
        if identity is None:
            self._finish(POLICY, "the login ended")
            return
        self._identity = identity
        for account, subscription in self._followed.items():
            if gone := sorted(subscription.allowed_still(identity)):
                subscription.forget(gone)
                self._tell_gone(account, gone)

    def _tell_gone(self, account: str, topics: list[str]) -> None:
        self._reply({"type": "unsubscribed", "account": account, "topics": topics})

    def _reply(self, told: dict[str, object]) -> None:
        self._put(json.dumps(told, separators=(",", ":")))

    def _put(self, frame: str) -> None:
        self._replies.append(frame)
        self._some.set()

    def _finish(self, code: int, reason: str) -> None:
        self._end = Closed(code, reason)
        self._some.set()

    async def _write(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._replies:
                await self._send(self._replies.popleft())
            if self._end is not None:
                raise self._end
            if await self._send_events():
                await asyncio.sleep(FRAME_SECONDS)

    async def _send_events(self) -> bool:
        """Send what waits, a frame for each account that has something; whether any did."""
        sent = False
        for account, subscription in list(self._followed.items()):
            try:
                batch = await subscription.take()
            except AlgoTrendyError as error:
                await self._send(error_frame(error, self._request_id))
                raise Closed(AGAIN_LATER, "events cannot be read") from None
            if batch.is_more:
                self._some.set()
            if batch.closed:
                self._finish(RESTART, "the server ends")
            if batch.gap:
                await self._gap(account, batch.position)
            if batch.items:
                sent, joined = True, ",".join(batch.items)
                await self._send(f'{{"type":"events","positions":{json.dumps({account: batch.position})},"items":[{joined}]}}')
        return sent

    async def _gap(self, account: str, after: int) -> None:
        """Say from where on events were dropped. Whoever is too slow again and again is better off without us."""
        self._gaps.append(now := time.monotonic())
        await self._send(json.dumps({"type": "gap", "account": account, "after": after}))
        if len(self._gaps) == _GAPS and now - self._gaps[0] < _GAPS_SECONDS:
            raise Closed(AGAIN_LATER, "too slow")

    async def _send(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send({"type": "websocket.send", "text": frame})
        except TimeoutError:
            raise Closed(AGAIN_LATER, "too slow") from None
        except (OSError, RuntimeError):  # the client left
            raise Closed(None) from None
