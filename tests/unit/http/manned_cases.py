"""The API with a desk at work behind it: runs that are asked for are done in the same process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from langchain_core.language_models import BaseChatModel

from api.http.settings import ApiSettings
from api.state import RequestObserver
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, config, entry_feed
from tests.unit.http.doors import Doors, doors

ACCOUNT = "paper"
SOON = 60.0  # seconds that a run of these tests is given


@dataclass(slots=True)
class Manned:
    doors: Doors
    system: TradingSystem

    async def ask(self, method: str, path: str, user: str | None = "trader", **parts: Any) -> httpx.Response:
        return await self.doors.ask(method, f"/api/v1{path}", user, **parts)

    async def get(self, path: str, user: str | None = "trader", **query: Any) -> Any:
        answer = await self.ask("GET", path, user, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None, user: str = "trader", status: int = 202, **parts: Any) -> Any:
        answer = await self.ask("POST", path, user, json=body, **parts)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def over(self, run_id: str) -> str:
        """The run's state when it is over or waits."""
        return str((await self.doors.state.runs.wait(run_id, SOON)).state)

    async def ended(self, run_id: str) -> str:
        """The run's state when it is over."""
        async with asyncio.timeout(SOON):
            async for event in self.doors.state.log.follow_run(run_id):  # waiting does not end it
                last = event.kind
        return last.removeprefix("run_")

    async def ticket(self, quote: str = "600", symbol: str = "BTC/USDT") -> dict[str, Any]:
        ticker = await self.system.feed.ticker(symbol, as_of=self.system.clock.now())
        assert ticker is not None
        return {"symbol": symbol, "side": "buy", "notional": quote, "stop_price": str(ticker.last * 95 / 100)}


@asynccontextmanager
async def manned(
    home: Path,
    *,
    location: Path,
    working: bool = True,
    api: ApiSettings | None = None,
    observer: RequestObserver | None = None,
    model: BaseChatModel | None = None,
    **limits: Any,
) -> AsyncIterator[Manned]:
    """Account `paper` before the hour in which its cycle buys SOL/USDT."""
    settings = config(start=ENTRY, limits={"approval_above_notional": None, **limits})
    async with doors(location, api, observer=observer) as opened, opened.state.log.open():
        listener = opened.state.log.listener(ACCOUNT)
        given: dict[str, Any] = {
            "feed": entry_feed(),
            "at": ENTRY,
            "listener": listener,
            "opened": opened.world.database,
            "model": model,
        }
        async with TradingSystem.open(settings, home, **given) as system:
            assert system.desk.account_id == ACCOUNT
            opened.state.desks.add(system)
            here = Manned(opened, system)
            if not working:
                yield here
                return
            async with opened.state.runs.working():
                yield here


def events_of(body: str) -> list[dict[str, Any]]:
    """The events of a stream, with the id and the name that each came under."""
    found = []
    for block in body.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith((":", "retry")))
        if fields:
            event = json.loads(fields["data"])
            assert (int(fields["id"]), fields["event"]) == (event["sequence"], event["kind"])
            found.append(event)
    return found
