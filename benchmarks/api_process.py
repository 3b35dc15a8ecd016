"""What stands on the other side of the load, each in a process of its own.

usage: python benchmarks/api_process.py bare|tell

`bare` is a uvicorn endpoint that does nothing but answer: what the load generator and the server's own protocol come to without
us. `tell` is a desk's process: it writes what runs tell into the ledger, at a rate, as a desk does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `benchmarks`, which is not installed

import uvicorn

from api.door import bind
from graph.runs.event_log import EventLog
from trading_core.domain.clock import SystemClock
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

_BODY = json.dumps({"items": ["x" * 100] * 20}).encode()


async def bare(_: dict[str, Any]) -> None:
    """Answer 2 KB to everything until the process is stopped."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})

    opened = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="critical", server_header=False)
    _say(port=opened.getsockname()[1])
    await uvicorn.Server(config).serve(sockets=[opened])


async def tell(job: dict[str, Any]) -> None:
    """Queue and begin `runs`, and when a line comes, have each tell `rate` events a second for `seconds`."""
    clock, account = SystemClock(), job["account"]
    async with await Database.open(job["database"]) as database:
        log = EventLog(database, clock)
        async with log.open():
            async with database.transaction() as uow:
                for run in job["runs"]:
                    now = clock.now()
                    await uow.runs.start(RunRecord(run, account, RunKind.CYCLE, now, now))
                    await uow.events.append(account, run, "run_started", now, {})
            _say(runs=job["runs"])
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            told = dict.fromkeys(job["runs"], 1)
            pause = 1 / (job["rate"] * len(told))
            began = time.monotonic()
            for number in range(int(job["seconds"] / pause)):
                await asyncio.sleep(max(0.0, began + number * pause - time.monotonic()))
                run = job["runs"][number % len(told)]
                log.tell(account, "token", {"agent": "benchmark", "text": str(time.monotonic_ns())}, run_id=run)
                told[run] += 1
            await log.flush()
            _say(told=told, seconds=time.monotonic() - began)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run({"bare": bare, "tell": tell}[sys.argv[1]](json.loads(sys.stdin.readline())))
