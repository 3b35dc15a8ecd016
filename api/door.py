"""The HTTP server of this process: its socket, and an end that comes in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn

from trading_core.domain.errors import ConfigurationError

_BACKLOG = 2048
# libuv takes one new connection from a socket in each round of the loop. In a busy process, where a round is long, a thousand
# clients that come at once would wait a minute for it; from so many handles of the same socket it takes as many.
_ACCEPTED_AT_ONCE = 16


class _Server(uvicorn.Server):
    """Leaves signals to the process: it has more to end than this."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket of the door's own, taken before anything else is begun. Port 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken or may not be used, or there is no such address here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        opened = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Connections inherit it. Where there is no uvloop, the second piece of an answer would wait 40 ms for an acknowledgement.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "another program listens there" if taken else (error.strerror or str(error))
        raise ConfigurationError(
            f"port {port} of {host} cannot be used: {why}",
            not_done="Nothing was started",
            next_step="Stop that program, or choose another port with --port" if taken else "Choose another --host or --port",
        ) from None


def url_of(opened: socket.socket) -> str:
    """Where the door is, for people on this machine."""
    host, port = opened.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(opened: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(opened.getsockname()[0]).is_loopback


@contextlib.asynccontextmanager
async def open_door(config: uvicorn.Config, opened: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Answer requests until the block ends; then no new ones are taken, and those at work end soon.

    Args:
        config: with a `timeout_graceful_shutdown`, after which what is still open is cut.

    Yields:
        The server's task, which is over when it stopped by itself.
    """
    server = _Server(config)
    handles = [opened, *(opened.dup() for _ in range(_ACCEPTED_AT_ONCE - 1))]
    task = asyncio.create_task(server.serve(sockets=handles), name="door")
    opening = asyncio.create_task(server.open.wait())
    try:
        await asyncio.wait({task, opening}, return_when=asyncio.FIRST_COMPLETED)
        yield task
    finally:
        opening.cancel()
        server.should_exit = True
        try:
            await task
        finally:
            for handle in handles[1:]:
                handle.close()
