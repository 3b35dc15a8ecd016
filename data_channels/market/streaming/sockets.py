"""The sockets of a ccxt.pro client, set up so that numbers stay exact, frames are read at once, and no end goes unheard.

On its own ccxt parses frames into floats and wakes one task for each; and an error in the code that reads a frame ends the
reading: the socket stays open and tells nothing any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

from data_channels.market.venue_client import Exchange

_CLOSING_SECONDS = 1.0  # for the other side's goodbye
_decode = json.JSONDecoder(parse_float=str).decode
_ENDED = "ended"  # a name that no frame has


class Socket(Protocol):
    """What is used of ccxt's WebSocket client."""

    connection: object | None
    error: Exception | None
    handle_text_or_binary_message: Callable[[str | bytes], None]

    def on_message_callback(self, socket: Socket, message: object, /) -> None: ...
    def future(self, name: str, /) -> asyncio.Future[object]: ...
    def reject(self, error: Exception, /) -> object: ...
    async def close(self) -> None: ...


class TradeCache(Protocol):
    """ccxt's newest trades of a market."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Mapping[str, object]: ...
    def getLimit(self, symbol: None, limit: None, /) -> int: ...  # noqa: N802


class StreamingExchange(Exchange, Protocol):
    """What is used of ccxt.pro's client."""

    client: Callable[[str], Socket]
    clients: dict[str, Socket]
    streaming: dict[str, object]
    ws_dial_backoff: dict[str, object]
    tickers: dict[str, Mapping[str, object]]
    bidsasks: dict[str, Mapping[str, object]]
    trades: dict[str, TradeCache]


class Sockets:
    """All sockets of one ccxt client, from now on.

    Args:
        exchange: the client.
        read: called after each frame, when ccxt has read it, with the loop's time when it came.
        unread: told of a frame that could not be read. What the venue itself calls an error ends the socket instead.
        ended: told why a socket ended, once for each.
        ping_seconds: how often the venue is asked for a sign of life; ccxt's own interval counts where it is shorter.
    """

    def __init__(
        self,
        exchange: StreamingExchange,
        *,
        read: Callable[[float], None],
        unread: Callable[[Exception], None],
        ended: Callable[[Exception], None],
        ping_seconds: float,
    ) -> None:
        self._exchange = exchange
        self._read = read
        self._unread = unread
        self._ended = ended
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
        # Whatever ends a socket rejects or cancels all that is waited for on it.
        socket.future(_ENDED).add_done_callback(self._on_end)
        return socket

    def _on_end(self, future: asyncio.Future[object]) -> None:
        error = None if future.cancelled() else future.exception()
        self._ended(error if isinstance(error, Exception) else ConnectionError("the socket was closed"))

    def _frame(self, socket: Socket, data: str | bytes) -> None:
        came_at = asyncio.get_running_loop().time()
        text = data.decode() if isinstance(data, bytes) else data
        try:
            frame = _decode(text) if text.startswith(("{", "[")) else text
            socket.on_message_callback(socket, frame)
            self._read(came_at)
        except Exception as error:
            if _is_the_venues(error):
                socket.reject(error)
            else:
                self._unread(error)


async def _close(socket: Socket) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_SECONDS):
            await socket.close()


def _is_the_venues(error: Exception) -> bool:
    from ccxt import BaseError  # here, because only a desk that streams has loaded it

    return isinstance(error, BaseError)
