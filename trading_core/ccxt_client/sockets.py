"""The sockets of a ccxt.pro client, set up so that numbers stay exact and nothing fails in silence.

On its own ccxt parses frames into floats and wakes one task for each; and an error in the code that reads a frame ends the
reading: the socket stays open and tells nothing any more.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

_CLOSING_SECONDS = 1.0  # for the other side's goodbye
_decode = json.JSONDecoder(parse_float=str).decode


class Socket(Protocol):
    """What is used of ccxt's WebSocket client."""

    connection: object | None
    last_message_at: int | None
    error: Exception | None
    handle_text_or_binary_message: Callable[[str | bytes], None]

    def on_message_callback(self, socket: Socket, message: object, /) -> None: ...
    def future(self, name: str, /) -> asyncio.Future[object]: ...
    def reject(self, error: Exception, /) -> object: ...
    async def close(self) -> None: ...


class HasSockets(Protocol):
    """What is used of ccxt's exchange here."""

    client: Callable[[str], Socket]
    clients: dict[str, Socket]
    streaming: dict[str, object]
    ws_dial_backoff: dict[str, object]


class Sockets(ABC):
    """All sockets of one ccxt client, from now on.

    Args:
        exchange: the client.
        ping_seconds: how often the venue is asked for a sign of life; ccxt's own interval counts where it is shorter.
    """

    def __init__(self, exchange: HasSockets, ping_seconds: float) -> None:
        self._exchange = exchange
        self._make = exchange.client
        exchange.client = self._client
        own = exchange.streaming.get("keepAlive")
        pause = min(own, ping_seconds * 1000) if isinstance(own, int | float) else ping_seconds * 1000
        exchange.streaming = {**exchange.streaming, "keepAlive": pause}

    async def close(self) -> None:
        """Close them all; whoever waits for one is cancelled."""
        sockets, self._exchange.clients = list(self._exchange.clients.values()), {}
        self._exchange.ws_dial_backoff = {}  # who opens them anew knows how long to wait
        for socket in sockets:
            # With an error ccxt takes the end as known; else it would throw out the next socket of the same address.
            socket.error = socket.error or ConnectionError("closed")
        await asyncio.gather(*(_close(socket) for socket in sockets))

    def _client(self, url: str) -> Socket:
        known = self._exchange.clients.get(url) if self._exchange.clients else None
        if known is not None:
            return known
        socket = self._make(url)
        socket.handle_text_or_binary_message = partial(self._frame, socket)
        self._made(socket)
        return socket

    def _made(self, socket: Socket) -> None:  # noqa: B027 - not everybody wants to know
        """There is a new one."""

    @abstractmethod
    def _frame(self, socket: Socket, data: str | bytes) -> None:
        """Have ccxt read what came."""


def decoded(data: str | bytes) -> object:
    """A frame, with its fractions as the text they came in; text that is no document as it is.

    Raises:
        ValueError: a document that breaks off.
    """
    text = data.decode() if isinstance(data, bytes) else data
    return _decode(text) if text.startswith(("{", "[")) else text


async def _close(socket: Socket) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await socket.close()
