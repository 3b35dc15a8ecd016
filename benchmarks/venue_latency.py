"""What the desk adds to a venue's own time: to the wire, and from the answer until the order is durable; and what opening costs.

A local Binance runs in a process of its own, speaks Binance's protocol over real HTTP, and notes when the last byte of a request
to place an order came off its socket and when the last byte of its answer went onto it. The desk submits an approved limit buy:
the gate is asked again, the order is committed (SQLite, `synchronous = FULL`), signed and sent through ccxt, and what the answer
says is committed. `to the wire` is from the call of `submit` to the request's last byte at the venue; `to durable` from the
answer's last byte to the return of `submit`. The venue's own time lies between the two and in neither. ccxt's bare `create_order`
is measured beside it, and so is one commit by itself: either waits for one. Prices come from memory.

Opening is measured in new processes: start to an open ledger, and to accounts at one venue and at all six, markets loaded.

The exit status is 1 when a 99th percentile, the middle one of the repeats, is over its target, or when repeats send other orders.
One on the wall is not judged where a commit and bare ccxt alone were over it: then the processor's time has to do.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from pydantic import SecretStr

from benchmarks.venue_opening import MASTER
from benchmarks.venue_process import BARE, DEPOSIT, PRICE
from tests.crash.connections import WIDE, LeapingClock, hurry
from tests.crash.quoted_feed import QuotedFeed
from tests.unit.desk_cases import ACCOUNT, LIMITS, RUN, RUNNER, TRADER, buy
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.six import SIX
from trading_core.auth.permissions import operator
from trading_core.brokers.accounts import BrokerAccounts
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import open_client
from trading_core.domain.clock import SystemClock
from trading_core.domain.intents import Verdict
from trading_core.domain.money import plain
from trading_core.domain.orders import Order, OrderState
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook
from trading_core.secrets.credentials import VenueCredentials, VenueKeys
from trading_core.secrets.sealing import KeyRing

_HERE = Path(__file__).resolve().parent
_PACKAGES = ("ccxt", "aiohttp", "sqlalchemy", "aiosqlite")
_LIMITS = LIMITS.model_copy(update={"orders_per_day": 10**6, "orders_per_day_per_actor": 10**6})
P99_MILLISECONDS = 10.0
_TARGETS: dict[str, tuple[str, ...]] = {
    "to the wire": ("one commit", "ccxt to the wire"),
    "to durable": ("one commit", "ccxt from the answer"),
    "processor, of both": (),
}
"""Steps with a target, and what they cannot be faster than: where that alone misses it, the machine is too busy to judge."""
WARM_UP, TOGETHER = 20, 10
"""Orders that are not counted, and orders that work at the same time before they are taken back."""
SYMBOL, QUANTITY, LIMIT, STOP = BINANCE.symbol, "1", PRICE - 1, PRICE - 10


class Broken(Exception):
    """What is measured was not done."""


@dataclass
class Repeat:
    """Milliseconds of each order by step, and what was sent."""

    steps: dict[str, list[float]] = field(default_factory=dict)
    fingerprint: str = ""


@contextmanager
def _venues(what: str, notes: list[list[int]] | None = None) -> Iterator[dict[str, str]]:
    """The addresses of venues in a process of their own; at the end its notes."""
    command = [sys.executable, str(_HERE / "venue_process.py"), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            said, _ = process.communicate()
        if notes is not None:
            notes += json.loads(said)


@asynccontextmanager
async def _desk(folder: Path, url: str) -> AsyncIterator[tuple[Desk, Database, Any]]:
    """A desk with a new ledger at the venue, and a bare client of ccxt's for another account there."""
    import ccxt.pro as ccxt

    clock = LeapingClock(SystemClock().now())
    throttle = Throttle(WIDE, burst=WIDE, monotonic=time.monotonic, sleep=asyncio.sleep)
    client = open_client(BINANCE.profile, BINANCE.credentials, throttle, sandbox=False, base_url=url)
    began_at = clock.now()
    jitter = random.Random(7)  # noqa: S311  # spreads retries
    broker = CcxtBroker(BINANCE.profile, client, [SYMBOL], clock=clock, history_from=began_at, jitter=jitter, is_paper=False)
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False}
    bare = ccxt.binance({"apiKey": BARE.key, "secret": BARE.secret, "enableRateLimit": False, "options": options})
    bare.urls["api"] = client.urls["api"]
    bare.has["fetchCurrencies"] = False
    for each in (client, bare):
        hurry(each)
    try:
        await bare.load_markets()
        async with await Database.open(folder / "ledger.db") as ledger:
            async with ledger.transaction() as uow:
                await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", DEPOSIT), broker.venue, began_at)
                await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, began_at, began_at))
            instruments = await broker.instruments()
            desk = Desk(
                account_id=ACCOUNT,
                database=ledger,
                broker=broker,
                feed=QuotedFeed(instruments, lambda _: PRICE),
                clock=clock,
                limits=LimitsBook(desk=_LIMITS),
                instruments=instruments,
                principals={TRADER.name: TRADER},
            )
            await desk.sync(RUNNER)
            yield desk, ledger, bare
    finally:
        await bare.close()
        await broker.close()


async def _repeat(orders: int, url: str, folder: Path) -> tuple[list[list[int]], str]:
    """Of each order in nanoseconds: the desk's begin, end and processor time, ccxt's begin and end, and those of a commit. And a
    hash over what the desk sent."""
    spans: list[list[int]] = []
    disk = sqlite3.connect(folder / "disk.db", isolation_level=None)
    disk.execute("PRAGMA journal_mode = WAL")
    disk.execute("PRAGMA synchronous = FULL")
    disk.execute("CREATE TABLE one (number INTEGER)")
    async with _desk(folder, url) as (desk, ledger, bare):
        gc.collect()
        for number in range(orders + WARM_UP):
            intent = buy(QUANTITY, str(number), symbol=SYMBOL, limit_price=LIMIT, stop_price=STOP)
            if (decision := await desk.propose(TRADER, intent)).verdict is not Verdict.APPROVED:
                raise Broken(f"the gate denies: {decision.reason_codes}")
            cpu_began, began = time.process_time_ns(), time.perf_counter_ns()
            sent = await desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
            ended, cpu = time.perf_counter_ns(), time.process_time_ns() - cpu_began
            if not isinstance(sent, Order) or sent.state is not OrderState.OPEN:
                raise Broken(f"the order was not taken: {sent}")
            bare_began = time.perf_counter_ns()
            told = await bare.create_order(SYMBOL, "limit", "buy", float(QUANTITY), float(LIMIT))
            bare_ended = time.perf_counter_ns()
            await bare.cancel_order(told["id"], SYMBOL)
            disk_began = time.perf_counter_ns()
            disk.execute("INSERT INTO one VALUES (?)", (number,))
            spans.append([began, ended, cpu, bare_began, bare_ended, disk_began, time.perf_counter_ns()])
            if number % TOGETHER == TOGETHER - 1:
                await desk.cancel_entries(RUNNER, but_run="a later one")
        await desk.cancel_entries(RUNNER, but_run="a later one")
        if not await desk.agrees(RUNNER):
            raise Broken("the ledger and the venue differ")
        async with ledger.reading() as uow:
            said = await uow.orders.all(ACCOUNT)
    disk.close()
    rows = sorted([o.client_order_id, o.state.value, plain(o.request.quantity), str(o.request.limit_price)] for o in said)
    return spans, hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def repeat(orders: int) -> Repeat:
    """One desk on a new ledger at a new venue."""
    notes: list[list[int]] = []
    with TemporaryDirectory(prefix="latency-") as folder, _venues("timed", notes) as urls:
        spans, fingerprint = asyncio.run(_repeat(orders, urls["binance"], Path(folder)))
    if len(notes) != 2 * len(spans):
        raise Broken(f"the venue got {len(notes)} orders, and {2 * len(spans)} were sent")
    measured = Repeat(fingerprint=fingerprint)
    pairs = zip(spans, notes[::2], notes[1::2], strict=True)
    for (began, ended, cpu, bare_began, bare_ended, disk_began, disk_ended), desk, bare in list(pairs)[WARM_UP:]:
        for step, span in {
            "to the wire": desk[0] - began,
            "to durable": ended - desk[1],
            "processor, of both": cpu,
            "ccxt to the wire": bare[0] - bare_began,
            "ccxt from the answer": bare_ended - bare[1],
            "venue": desk[1] - desk[0],
            "one commit": disk_ended - disk_began,
        }.items():
            measured.steps.setdefault(step, []).append(span / 1e6)
    return measured


def report(repeats: Sequence[Repeat]) -> tuple[str, bool]:
    """For people; and whether both targets are met and all repeats sent the same orders."""
    lines, good = [f"{len(repeats[0].steps['venue'])} orders in each of {len(repeats)} repeats, milliseconds:"], True
    p99 = {step: median(quantiles(one.steps[step], n=100)[98] for one in repeats) for step in repeats[0].steps}
    for step, highest in p99.items():
        middle = median(median(one.steps[step]) for one in repeats)
        line = f"  {step:<20} p50 {middle:6.2f}   p99 {highest:6.2f}"
        if step in _TARGETS:
            alone = sum(p99[part] for part in _TARGETS[step])
            met, is_judged = highest < P99_MILLISECONDS, alone < P99_MILLISECONDS
            good = good and (met or not is_judged)
            line += f"   {'✓' if met else '✗' if is_judged else '·'} p99 < {P99_MILLISECONDS:g}"
            if not met and not is_judged:
                line += f"; not judged: {' and '.join(_TARGETS[step])} alone took {alone:.0f}"
        lines.append(line)
    prints = sorted({one.fingerprint[:12] for one in repeats})
    lines.append(f"  {'✓' if len(prints) == 1 else '✗'} the same orders in every repeat: {' ≠ '.join(prints)}")
    return "\n".join(lines), good and len(prints) == 1


async def _prepared(folder: Path, urls: dict[str, str]) -> Path:
    """A ledger with an account at each venue, named for it, and its keys."""
    ledger, who, clock = folder / "ledger.db", operator("benchmark"), SystemClock()
    async with await Database.open(ledger) as database:
        accounts, keys = BrokerAccounts(database, clock), VenueCredentials(database, KeyRing(MASTER), clock)
        for venue, kind in SIX.items():
            await accounts.add(who, venue, venue, url=urls[venue])
            given = kind.credentials
            passphrase = SecretStr(given.passphrase) if given.passphrase else None
            await keys.put(who, venue, venue, VenueKeys(SecretStr(given.key), SecretStr(given.secret), passphrase))
    return ledger


def opening(repeats: int) -> str:
    """Seconds and megabytes of new processes; the middle one of the repeats of each."""
    lines = ["opening, in a new process:"]
    with TemporaryDirectory(prefix="latency-") as folder, _venues("six") as urls:
        ledger = asyncio.run(_prepared(Path(folder), urls))
        # With bytecode of this run's own, compiled by a process that is not counted, as in any installation.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")

        def opened(venues: Sequence[str]) -> tuple[float, float, float]:
            command = [sys.executable, str(_HERE / "venue_opening.py"), str(ledger), *venues]
            began = time.perf_counter()
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
            return time.perf_counter() - began, told["open"], told["megabytes"]

        opened(list(SIX))
        for venues in ([], ["binance"], list(SIX)):
            taken = [opened(venues) for _ in range(repeats)]
            whole, accounts, megabytes = (median(each) for each in zip(*taken, strict=True))
            what = f"{len(venues)} venue{'s' * (len(venues) != 1)}"
            lines.append(f"  {what:<9} {whole:5.2f} s, of which accounts {accounts:5.2f} s; {megabytes:4.0f} MB resident")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=300, help="of each repeat")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"machine: {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start")
    print(f"python: {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print("ledger: SQLite, WAL, synchronous = FULL; venue: a local Binance in a process of its own")
    try:
        text, good = report([repeat(options.orders) for _ in range(options.repeats)])
        print(f"\n{text}\n{opening(options.repeats)}")
    except Broken as error:
        print(f"what is measured was not done: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
