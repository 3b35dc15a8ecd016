"""SIGKILL of the server while runs of every kind and approvals are open: the next process ends each once.

The model is a real endpoint that is slow and remembers what it was asked; the paper exchange has a record of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from graph.events import FINAL
from graph.runs.leases import lease_of
from tests.http.estate import MANY
from tests.integration.serve_process import LOGIN, WITHIN, Served, start
from tests.model_replies import Body, Reply, say
from tests.model_server import Fault, ModelServer, RecordedRequest, faults
from tests.rules_brain import asked_of, rules_brain
from trading_core.persistence.session import Database

ACCOUNT = "practice"
ON = f"/accounts/{ACCOUNT}"
# The gate takes the same wish twice for a mistake: each order is for a symbol of its own, and the cycles look at another.
SYMBOLS = [f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "DOT", "AVAX")]
TURNS, CYCLES, ORDERS, APPROVALS = 16, 4, 4, 5
QUICK = 3  # turns whose model answers long before the others'
RATES = {f"ALGOTRENDY_API_{name}": str(MANY) for name in ("PER_IP", "READS_PER_USER", "WRITES_PER_USER")}
OPTIONS = (
    "--no-schedule",
    "--symbols",
    ",".join(SYMBOLS),
    "--account",
    "20000",
    "--limit",
    "approval_above_notional=1000",
    "--limit",
    "max_position=0.4",
)
OPEN = ("queued", "running", "waiting")
FOREVER = faults.hang(3_600)


def brain(body: Body) -> Reply:
    """The rules for a cycle; a sentence for a person."""
    return rules_brain(body) if "response_format" in body else say("Nothing more than before.")


@dataclass(slots=True)
class Held:
    """What is kept back: until the first kill all but the first turns and what a cycle begins with, later turns for a while.

    So it is known what is open at the first kill, however slow the machine is.

    Attributes:
        seconds: how long later turns are.
    """

    seconds: float
    nobody_died: bool = True

    def __call__(self, body: Body) -> Fault | None:
        if "response_format" in body:
            return FOREVER if self.nobody_died and asked_of(body)[0] == "RiskPlan" else None
        text = json.dumps(body["messages"])
        if any(f"(question {number})" in text for number in range(QUICK)):
            return None
        return FOREVER if self.nobody_died else faults.hang(self.seconds)


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process.

    Attributes:
        at: when (`time.monotonic`).
        turns: which had their answer on record.
        decided: how many answers of a cycle's agents were on record.
        runs, approvals: how many were open.
    """

    at: float
    turns: frozenset[str]
    decided: int
    runs: int
    approvals: int


@dataclass(slots=True)
class Killed:
    """A desk that is served by one process after another.

    Attributes:
        runs: what was asked for.
    """

    home: Path
    model: ModelServer
    held: Held
    served: Served
    client: httpx.AsyncClient
    runs: list[str] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object = None) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def ledger(self, query: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.home / 'desk' / 'ledger.db'}?mode=ro", uri=True)) as opened:
            return opened.execute(query, values).fetchall()

    # What is asked

    async def order(self, symbol: str, notional: str) -> str:
        last = Decimal((await self.get(f"{ON}/market/ticker", symbol=symbol))["last"])
        ticket = {"symbol": symbol, "side": "buy", "notional": notional, "stop_price": f"{last * 9 / 10:.2f}"}
        return str((await self.post(f"{ON}/orders", ticket))["run_id"])

    async def turn(self, number: int) -> str:
        thread = await self.post("/conversations", {"account": ACCOUNT})
        body = {"text": f"@risk what is our exposure? (question {number})"}
        return str((await self.post(f"/conversations/{thread['id']}/messages", body))["run_id"])

    async def ask_for_all(self) -> None:
        """Orders that wait for an approval, and then everything else at once."""
        for number in range(APPROVALS):
            self.runs.append(await self.order(SYMBOLS[number], "1100"))
        async with asyncio.timeout(WITHIN):
            while len(await self.pending()) < APPROVALS:  # noqa: ASYNC110 - another process makes it so
                await asyncio.sleep(0.1)
        cycles = [self.post(f"{ON}/runs", {"symbols": SYMBOLS[-1:]}) for _ in range(CYCLES)]
        self.runs += [run["run_id"] for run in await asyncio.gather(*cycles)]
        self.runs += await asyncio.gather(*(self.turn(number) for number in range(TURNS)))
        self.runs += await asyncio.gather(*(self.order(symbol, "300") for symbol in SYMBOLS[APPROVALS:][:ORDERS]))

    def decided(self) -> int:
        """How many answers of a cycle's agents are on record."""
        ((count,),) = self.ledger("SELECT count(*) FROM decisions WHERE model_calls > 0")
        return int(count)

    async def pending(self) -> list[str]:
        return [one["intent"]["id"] for one in (await self.get("/approvals", state="pending"))["items"]]

    # What is done to it

    async def answers(self, count: int) -> None:
        """Return when that many turns were answered."""
        async with asyncio.timeout(WITHIN):
            while len(self.ledger("SELECT 1 FROM messages WHERE author = 'agent'")) < count:  # noqa: ASYNC110 - another process makes it so
                await asyncio.sleep(0.02)

    async def die(self) -> None:
        self.served.process.kill()
        self.served.process.wait(WITHIN)
        self.held.nobody_died = False
        answered = self.ledger("SELECT run_id FROM messages WHERE author = 'agent'")
        is_open = f"state IN ({','.join('?' * len(OPEN))})"
        ((runs,),) = self.ledger(f"SELECT count(*) FROM runs WHERE {is_open}", *OPEN)  # noqa: S608 - this file's own words
        ((approvals,),) = self.ledger("SELECT count(*) FROM approvals WHERE state = 'pending'")
        turns = frozenset(run_id for (run_id,) in answered)
        self.deaths.append(Death(time.monotonic(), turns, self.decided(), runs, approvals))

    async def live_again(self) -> None:
        """The next process. It need not wait until the right of the dead one runs out: that one is known to be dead."""
        self.served.end()
        async with await Database.open(self.home / "desk" / "ledger.db") as ledger, ledger.transaction() as uow:
            lease = await uow.leases.get(lease_of(ACCOUNT))
            assert lease is not None
            assert lease.expires_at > datetime.now(UTC)
            await uow.leases.give_back(lease.name, lease.holder)
        self.served = serve(self.home, self.model)
        self.client.base_url = httpx.URL(f"{await asyncio.to_thread(self.served.url)}/api/v1")

    async def approve_until_all_is_over(self) -> int:
        """Say yes to whatever is asked, as long as a run is open; how often it was said."""
        count = 0
        async with asyncio.timeout(4 * WITHIN):
            while any(run["state"] in OPEN for run in (await self.get("/runs", limit=200))["items"]):
                for intent in await self.pending():
                    await self.post(f"/approvals/{intent}/approve", {"reason": "after the crash"})
                    count += 1
                await asyncio.sleep(0.1)
        return count


def serve(home: Path, model: ModelServer) -> Served:
    return start(home, *OPTIONS, "--model", "openai:local", "--base-url", model.base_url, OPENAI_API_KEY="local", **RATES)


@asynccontextmanager
async def desk(home: Path, delay: float) -> AsyncIterator[Killed]:
    held = Held(4 * delay)
    with ModelServer(brain=brain, delay=delay, faults=held) as model:
        served = serve(home, model)
        here: Killed | None = None
        try:
            url = await asyncio.to_thread(served.url)
            name, password = served.until(LOGIN).groups()
            headers = {"Accept": "application/json"}
            async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, headers=headers) as client:
                told = await client.post("/auth/login", json={"name": name, "password": password})
                client.headers["Authorization"] = f"Bearer {told.json()['access_token']}"
                here = Killed(home, model, held, served, client)
                yield here
                assert here.served.stop() == 0
        finally:
            (here.served if here else served).end()


async def _check_runs(here: Killed) -> None:
    for run_id in here.runs:
        run = (await here.get(f"/runs/{run_id}"))["run"]
        assert run["state"] == "done", run
        events = (await here.get(f"/runs/{run_id}/events", limit=500))["items"]
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1)), run_id
        assert [event["kind"] in FINAL for event in events] == [False] * (len(events) - 1) + [True], run_id
    assert sorted(run_id for (run_id,) in here.ledger("SELECT id FROM runs")) == sorted(here.runs)
    said = Counter(here.ledger("SELECT run_id, author, agent FROM messages"))
    assert len(said) == 2 * TURNS
    assert set(said.values()) == {1}, "one question and one answer for each turn"


def _check_trades(here: Killed) -> None:
    """One order for each intent, and what the ledger says was filled is what the exchange filled."""
    orders = here.ledger("SELECT client_order_id, intent_id, purpose, filled FROM orders WHERE account_id = ?", ACCOUNT)
    entries = Counter(intent for _, intent, purpose, _ in orders if purpose != "stop")
    assert set(entries.values()) <= {1}
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    with closing(sqlite3.connect(here.home / "desk" / "practice.db")) as venue:
        for key, quantity in venue.execute("SELECT client_order_id, quantity FROM fills"):
            filled[key] += Decimal(quantity)
        known = [key for (key,) in venue.execute("SELECT client_order_id FROM orders")]
    assert len(known) == len(set(known))
    assert set(known) <= {key for key, *_ in orders}
    assert {key: Decimal(amount) for key, _, _, amount in orders if Decimal(amount)} == dict(filled)


def _asked(request: RecordedRequest) -> str:
    """Which question it is: of a turn its own words, of a cycle all that was said."""
    text = json.dumps(request.body["messages"], sort_keys=True)
    found = [f"question {number}" for number in range(TURNS) if f"(question {number})" in text]
    return found[0] if found else hashlib.sha256(text.encode()).hexdigest()


def _check_calls(here: Killed) -> None:
    """One process asks nothing twice unless it waited in vain, and no process asks for what was on record when it began."""
    by_question: defaultdict[str, list[RecordedRequest]] = defaultdict(list)
    for request in here.model.requests:
        by_question[_asked(request)].append(request)
    for question, asked in by_question.items():
        for earlier, later in pairwise(asked):
            was_answered = earlier.finished_at is not None and earlier.finished_at < later.received_at
            died = any(earlier.received_at <= death.at <= later.received_at for death in here.deaths)
            assert died or not was_answered, f"{question} was asked twice by one process"
    texts = {
        run_id: text.rpartition("(")[2].rstrip(")")
        for run_id, text in here.ledger("SELECT run_id, content FROM messages WHERE author = 'operator'")
    }
    for death in here.deaths:
        before = {question for question, asked in by_question.items() if asked[0].received_at <= death.at}
        again = {question for question in before if by_question[question][-1].received_at > death.at}
        assert not {texts[run_id] for run_id in death.turns} & again
    # A cycle asks one agent after another, and cycles follow one another: what a process asked was decided, but for the last.
    ends = [0.0, *(death.at for death in here.deaths), time.monotonic()]
    decided = [0, *(death.decided for death in here.deaths), here.decided()]
    cycles = [request for request in here.model.requests if "response_format" in request.body]
    for life, ((begin, end), (before_it, after_it)) in enumerate(zip(pairwise(ends), pairwise(decided), strict=True)):
        asked_then = {_asked(request) for request in cycles if begin < request.received_at <= end}
        wasted = len(asked_then) - (after_it - before_it)
        assert wasted <= (life < len(here.deaths)), f"process {life} asked for what was decided"


async def _survives(home: Path, seed: int, kills: int, delay: float) -> None:
    rng = random.Random(seed)
    async with desk(home, delay) as here:
        await here.ask_for_all()
        await here.answers(QUICK - 1)
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.0, delay))
            await here.die()
            await here.live_again()
        assert await here.approve_until_all_is_over() >= APPROVALS
        await _check_runs(here)
        _check_calls(here)
        first = here.deaths[0]
        assert (first.runs >= 20, first.approvals) == (True, APPROVALS), first
        assert first.turns, "some answers were on record"
    _check_trades(here)


@pytest.mark.timeout(900)
async def test_a_killed_server_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    await _survives(tmp_path / "home", seed=7, kills=1, delay=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_a_server_that_is_killed_again_and_again(seed: int, tmp_path: Path) -> None:
    await _survives(tmp_path / "home", seed, kills=4, delay=1.5)
