"""The API on a real socket of this machine, with a desk at work behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from api.app import server_config
from api.door import bind, open_door, url_of
from api.http.settings import ApiSettings
from api.live.hub import Hub, end_followers, hub_of
from tests.unit.http.manned_cases import Manned, manned


@dataclass(slots=True)
class Served:
    manned: Manned
    url: str
    client: httpx.AsyncClient

    @property
    def hub(self) -> Hub:
        return hub_of(self.manned.doors.app)

    async def token(self, user: str = "trader") -> str:
        return (await self.manned.doors.as_user(user))["Authorization"].removeprefix("Bearer ")

    @asynccontextmanager
    async def socket(self, *, query: str = "", **how: Any) -> AsyncIterator[ClientConnection]:
        """A socket that has said nothing yet."""
        async with connect(f"{self.url.replace('http', 'ws', 1)}/api/v1/live{query}", compression=None, **how) as opened:
            yield opened

    @asynccontextmanager
    async def known(self, user: str = "trader", **how: Any) -> AsyncIterator[ClientConnection]:
        """A socket of somebody who is let in."""
        async with self.socket(**how) as opened:
            await say(opened, type="auth", token=await self.token(user))
            assert (await hear(opened))["type"] == "ready"
            yield opened


async def say(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def hear(socket: ClientConnection, kind: str | None = None, seconds: float = 5.0) -> dict[str, Any]:
    """The next frame, or the next of a kind."""
    async with asyncio.timeout(seconds):
        while True:
            frame = json.loads(await socket.recv())
            if kind is None or frame["type"] == kind:
                return frame


@asynccontextmanager
async def served(location: Path, **parts: Any) -> AsyncIterator[Served]:
    async with manned(location.parent, location=location, **parts) as here:
        opened = bind("127.0.0.1", 0)
        config = server_config(here.doors.app, ApiSettings(), "127.0.0.1", 0)
        config.lifespan = "off"  # the doors have begun it
        async with open_door(config, opened):
            async with httpx.AsyncClient(base_url=url_of(opened), timeout=20) as client:
                yield Served(here, url_of(opened), client)
            end_followers(here.doors.app)
