"""An application on a free port of 127.0.0.1, served by a thread of its own, whose connections a fault can break.

server = ServerThread(Starlette(routes=...))
...                                      # http://{server.address}
server.transport(request).abort()
server.stop()
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from concurrent.futures import Future

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from uvicorn.config import WSProtocolType
from uvicorn.protocols.http.h11_impl import H11Protocol


class ServerThread:
    """Serves from the moment it is made until `stop`.

    Args:
        application: answers.
        ws: what speaks WebSocket; "none" refuses it.

    Attributes:
        address: `127.0.0.1:PORT`.
        connections: how many were ever opened.
    """

    def __init__(self, application: Starlette, ws: WSProtocolType | type[asyncio.Protocol] = "none") -> None:
        self.connections = 0
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            application,
            http=self._protocol(),
            loop="asyncio",
            ws=ws,
            # A frame that a fault breaks off is written beside the protocol, which must not compress the others then.
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="critical",
            timeout_keep_alive=60,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="test-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Break off whatever is still under way."""
        self._server.wanted.set_result(None)
        self._thread.join(timeout=10)

    def transport(self, connection: HTTPConnection) -> asyncio.Transport:
        """The line that a request came over; ASGI has no word for it."""
        assert connection.client is not None
        return self._transports[connection.client.host, connection.client.port]

    def _protocol(self) -> type[H11Protocol]:
        server = self

        class KeptProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                # asyncio sets this only on sockets made with an explicit protocol; without it each answer waits 40 ms for an ACK.
                transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server.connections += 1
                server._transports[transport.get_extra_info("peername")] = transport

        return KeptProtocol


def reset(transport: asyncio.Transport) -> None:
    """Break the line off with a reset (RST) instead of an end (FIN): a close with no time to linger is one."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Server(uvicorn.Server):
    """Ends at once. uvicorn looks ten times a second whether it should, and waits as long again: hundreds of tests would, too."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.wanted: Future[None] = Future()

    async def main_loop(self) -> None:
        ended = asyncio.wrap_future(self.wanted)
        while not ended.done():
            await self.on_tick(0)  # keeps the date that answers carry
            await asyncio.wait([ended], timeout=1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in [*self.servers, *(sockets or [])]:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):
            task.cancel()
        for _ in range(50):  # a tenth of a second at most
            if not self.server_state.connections:
                break
            await asyncio.sleep(0.002)
