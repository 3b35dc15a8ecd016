"""The API behind a real server on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from api.app import server_config
from api.http.settings import ApiSettings
from tests.unit.http.doors import Doors, doors


@dataclass(slots=True)
class Served:
    """The doors, and a client that comes over the network."""

    doors: Doors
    port: int
    client: httpx.AsyncClient


@asynccontextmanager
async def served(location: str | Path, settings: ApiSettings | None = None) -> AsyncIterator[Served]:
    settings = settings or ApiSettings()
    async with doors(location, settings) as desk:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            server = uvicorn.Server(server_config(desk.app, settings, "127.0.0.1", port))
            task = asyncio.create_task(server._serve([listening]))  # `serve` would take the test's signals
            while not server.started:
                await asyncio.sleep(0.01)
                assert not task.done(), task
            try:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    yield Served(desk, port, client)
            finally:
                server.should_exit = True
                await task
