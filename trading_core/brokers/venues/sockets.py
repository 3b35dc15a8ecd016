"""The sockets of a ccxt client, set up so that numbers stay exact and nothing fails in silence.

On its own ccxt parses frames into floats, and an error in the code that reads a frame ends the reading: the socket stays open
and tells nothing any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

_CLOSING_SECONDS = 1.0  # for the other side's goodbye


class Connection(Protocol):
    """What is used of aiohttp's WebSocket."""

    closed: bool


class Socket(Protocol):
    """What is used of ccxt's WebSocket client."""

    connection: Connection | None
    last_message_at: int | None
    error: Exception | None
    handle_text_or_binary_message: Callable[[str | bytes], None]

    def on_message_callback(self, socket: Socket, message: object, /) -> None: ...
    def reject(self, error: Exception, /) -> object: ...
    async def close(self) -> None: ...


class HasSockets(Protocol):
    """What is used of ccxt's exchange here."""

    client: Callable[[str], Socket]
    clients: dict[str, Socket]
    streaming: dict[str, object]
    ws_dial_backoff: dict[str, object]


class Sockets:
    """All sockets of one ccxt client, from now on.

    Args:
        exchange: the client.
        ping_seconds: how often the venue is asked for a sign of life; ccxt's own interval counts where it is shorter.

    Attributes:
        heard: told of every frame after ccxt has read it.
    """

    def __init__(self, exchange: HasSockets, ping_seconds: float) -> None:
        self._exchange = exchange
        self._make = exchange.client
        exchange.client = self._client
        own = exchange.streaming.get("keepAlive")
        pause = min(own, ping_seconds * 1000) if isinstance(own, int | float) else ping_seconds * 1000
        exchange.streaming = {**exchange.streaming, "keepAlive": pause}
        self.heard: Callable[[object], None] = _ignore
        self._signs: dict[Socket, tuple[int | None, float]] = {}

    def quiet_for(self) -> float | None:
        """Seconds for which the quietest open socket has not been heard of, not even a pong. None when none is open."""
        now = asyncio.get_running_loop().time()
        # What ccxt keeps is a time of day, which may step: only whether it has changed counts.
        signs = {socket: self._signs.get(socket, (None, now)) for socket in self._open()}
        self._signs = {
            socket: last if last[0] == socket.last_message_at else (socket.last_message_at, now) for socket, last in signs.items()
        }
        return max((now - at for _, at in self._signs.values()), default=None)

    def spoke(self) -> bool:
        """Whether the venue has said anything on a socket that is open."""
        return any(socket.last_message_at is not None for socket in self._open())

    async def close(self) -> None:
        """Close them all; whoever waits for one is cancelled."""
        sockets, self._exchange.clients = list(self._exchange.clients.values()), {}
        self._exchange.ws_dial_backoff = {}  # who opens them anew knows how long to wait
        self._signs = {}
        for socket in sockets:
            # With an error ccxt takes the end as known; else it would throw out the next socket of the same address.
            socket.error = socket.error or ConnectionError("closed")
        await asyncio.gather(*(_close(socket) for socket in sockets))

    def _open(self) -> list[Socket]:
        return [socket for socket in self._exchange.clients.values() if socket.connection is not None]

    def _client(self, url: str) -> Socket:
        socket = self._make(url)
        socket.handle_text_or_binary_message = partial(self._frame, socket)
        return socket

    def _frame(self, socket: Socket, data: str | bytes) -> None:
        text = data.decode() if isinstance(data, bytes) else data
        try:
            frame = json.loads(text, parse_float=str) if text.startswith(("{", "[")) else text
            socket.on_message_callback(socket, frame)
        except Exception as error:
            socket.reject(error)
        else:
            self.heard(frame)


async def _close(socket: Socket) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await socket.close()


def _ignore(frame: object) -> None:
    """Nobody listens."""
