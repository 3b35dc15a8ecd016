"""What is taken from a connection before there is a request to look at: bounded in size and in time.

The parser has no bounds of its own. Without these, anybody who can connect could have any amount of memory, and keep as many
connections as there are without ever asking for anything. https://datatracker.ietf.org/doc/html/rfc9112#section-2.2
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 64 * 1024  # bytes of a head, or of trailers
HEAD_SECONDS = 15.0


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it. Who sends bytes that come to nothing, or none, is let go."""

    _has_head = False
    _came_to_something = False
    _is_left_over = False
    _to_nothing = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base has it
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._came_to_something = self._is_left_over = False
        super().data_received(data)
        if self._came_to_something:
            self._to_nothing = 0
            self._wait_no_more()
            return
        self._to_nothing += 0 if self._is_left_over else len(data)
        if self._to_nothing > MOST:
            self.transport.abort()
        elif self._patience is None:
            self._wait()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # trailers are no headers: nothing here asks for any
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        self._has_head = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._has_head = self._came_to_something = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        # What is left of a body whose request was answered already has its time; a client that reads the answer late may send
        # all of it.
        self._is_left_over = self.cycle.response_complete
        self._came_to_something = not self._is_left_over
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._came_to_something = True
        super().on_message_complete()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
