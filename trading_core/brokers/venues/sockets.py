"""The sockets of an account: who listens to every frame, and how long they have been quiet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trading_core.ccxt_client import sockets
from trading_core.ccxt_client.sockets import HasSockets, Socket, decoded


class Sockets(sockets.Sockets):
    """All sockets of one account's client, from now on.

    Attributes:
        heard: told of every frame after ccxt has read it.
    """

    def __init__(self, exchange: HasSockets, ping_seconds: float) -> None:
        super().__init__(exchange, ping_seconds)
        self.heard: Callable[[object], None] = _ignore
        self._signs: dict[Socket, tuple[int | None, float]] = {}

    def quiet_for(self) -> float | None:
        """Seconds for which the quietest open socket has not been heard of, not even a pong. None when none is open."""
        now = asyncio.get_running_loop().time()
        # What ccxt keeps is a time of day, which may step: only whether it has changed counts.
        is_open = [socket for socket in self._exchange.clients.values() if socket.connection is not None]
        signs = {socket: self._signs.get(socket, (None, now)) for socket in is_open}
        self._signs = {
            socket: last if last[0] == socket.last_message_at else (socket.last_message_at, now) for socket, last in signs.items()
        }
        return max((now - at for _, at in self._signs.values()), default=None)

    async def close(self) -> None:
        self._signs = {}
        await super().close()

    def _frame(self, socket: Socket, data: str | bytes) -> None:
        try:
            frame = decoded(data)
            socket.on_message_callback(socket, frame)
        except Exception as error:
            socket.reject(error)
        else:
            self.heard(frame)


def _ignore(frame: object) -> None:
    """Nobody listens."""
