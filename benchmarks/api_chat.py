"""The time from a question to the first word of its answer, over HTTP, with a model server on this machine that takes no time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.api_world import log_in
from tests.model_server import ModelServer, say
from trading_core.persistence.session import Database

_ACCOUNT = "practice"
_SOON = 30.0  # seconds
_QUESTION = "@risk what is our exposure?"

Serving = Callable[..., AbstractAsyncContextManager[Any]]


async def first_tokens(home: Path, questions: int, serving: Serving) -> list[float]:
    """Milliseconds until the first word, of each question but the first. The model server's own time is in it."""
    await asyncio.to_thread(home.mkdir)
    location = str(home / "ledger.db")
    async with await Database.open(location) as database:
        (token,) = await log_in(home, database, _ACCOUNT, 1)
    with ModelServer(brain=lambda _: say("Nothing is held at this moment.")) as model:
        options = ("--model", "openai:benchmark", "--base-url", model.base_url, "--no-schedule")
        async with serving(home, location, *options, environment={"ALGOTRENDY_API_KEY": "local"}) as server:
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}/api/v1", headers=headers) as client:
                return [await _ask(client) for _ in range(questions + 1)][1:]


async def _ask(client: httpx.AsyncClient) -> float:
    begun = await client.post("/conversations", json={"account": _ACCOUNT})
    begun.raise_for_status()
    began = time.perf_counter()
    asked = await client.post(f"/conversations/{begun.json()['id']}/messages", json={"text": _QUESTION})
    asked.raise_for_status()
    taken = 0.0
    async with asyncio.timeout(_SOON), client.stream("GET", f"/runs/{asked.json()['run_id']}/events", timeout=_SOON) as stream:
        async for line in stream.aiter_lines():
            if line == "event: token" and not taken:
                taken = 1000 * (time.perf_counter() - began)
    if not taken:
        raise RuntimeError("the answer had no words")
    return taken
