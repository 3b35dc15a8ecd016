"""The sockets of a ccxt.pro client that streams markets: frames are read at once, and no end goes unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from data_channels.market.venue_client import Exchange
from trading_core.ccxt_client import sockets
from trading_core.ccxt_client.sockets import HasSockets, Socket, decoded

_ENDED = "ended"  # a name that no frame has


class TradeCache(Protocol):
    """ccxt's newest trades of a market."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Mapping[str, object]: ...
    def getLimit(self, symbol: None, limit: None, /) -> int: ...  # noqa: N802 - ccxt's own name


class StreamingExchange(Exchange, HasSockets, Protocol):
    """What is used of ccxt.pro's client."""

    tickers: dict[str, Mapping[str, object]]
    bidsasks: dict[str, Mapping[str, object]]
    trades: dict[str, TradeCache]


class Sockets(sockets.Sockets):
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
        super().__init__(exchange, ping_seconds)
        self._read = read
        self._unread = unread
        self._ended = ended

    def _made(self, socket: Socket) -> None:
        # Whatever ends a socket rejects or cancels all that is waited for on it.
        socket.future(_ENDED).add_done_callback(self._on_end)

    def _on_end(self, future: asyncio.Future[object]) -> None:
        error = None if future.cancelled() else future.exception()
        self._ended(error if isinstance(error, Exception) else ConnectionError("the socket was closed"))

    def _frame(self, socket: Socket, data: str | bytes) -> None:
        came_at = asyncio.get_running_loop().time()
        try:
            socket.on_message_callback(socket, decoded(data))
            self._read(came_at)
        except Exception as error:
            if _is_the_venues(error):
                socket.reject(error)
            else:
                self._unread(error)


def _is_the_venues(error: Exception) -> bool:
    from ccxt import BaseError  # here, because only a desk that streams has loaded it

    return isinstance(error, BaseError)
