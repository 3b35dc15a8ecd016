"""What the ledger costs on SQLite and on PostgreSQL, and whether any query of the desk grows with history.

Orders a second: written in a transaction each, one after the other and fifty at once, and a hundred in a transaction. Every
commit waits for the disk. Then each query that the desk makes, on a short history and on a long one: a query whose median is more
than `--factor` times that of the short history is marked, its plan is printed, and the exit status is 1. A table of one row is
read and written beside them: when that takes longer, the machine had more to do, and as much is allowed to all. The exit status
is also 1 when the two databases do not answer alike.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests` and `benchmarks`, which are not installed

from benchmarks.persistence_history import ACCOUNT, SESSION, SYMBOLS, History, load
from benchmarks.persistence_queries import ANYWHERE, CONTROLS, Timings, measure_reads, measure_writes, ordered, wanted
from tests.postgres import Databases
from tests.postgres_server import URL_VARIABLE, Server
from trading_core.domain.orders import Order
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

_PACKAGES = ("sqlalchemy", "aiosqlite", "asyncpg")
_AT_ONCE, _BATCH = 50, 100
_NOISE = 0.1  # milliseconds: less than this between two medians is no growth
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


@dataclass
class Measured:
    """One history on one database; rates in orders a second."""

    orders: int
    rates: dict[str, float] = field(default_factory=dict)
    timings: Timings = field(default_factory=Timings)
    plans: dict[str, str] = field(default_factory=dict)


@contextmanager
def databases(kind: str) -> Iterator[str]:
    """A new database: a SQLite file, or one on the given PostgreSQL server, or on a server of our own that waits for the disk."""
    with TemporaryDirectory(prefix="persistence-") as folder:
        if kind == SQLITE:
            yield str(Path(folder) / "ledger.db")
        elif given := os.environ.get(URL_VARIABLE):
            made = Databases(given, f"bench{os.getpid()}")
            url = made.create()
            try:
                yield url
            finally:
                made.drop(url)
        else:
            server = Server(Path(folder), durable=True)
            server.start()
            try:
                yield server.url()
            finally:
                server.stop()


async def measure(location: str, orders: int, times: int, batch: int) -> Measured:
    """Load a history, then trade on it."""
    measured, began = Measured(orders), time.perf_counter()
    history = await load(location, orders, lambda said: _tell(f"{orders:,} orders: {said}", began))
    async with await Database.open(location) as database:
        with measured.timings.listening():
            _tell(f"{orders:,} orders: reading", began)
            await measure_reads(database, history, times, measured.timings)
            _tell(f"{orders:,} orders: writing", began)
            await measure_writes(database, history, times, measured.timings)
        _tell(f"{orders:,} orders: orders a second", began)
        await _measure_rates(database, history, batch, measured)
    measured.plans = {name: await _plans(location, statements) for name, statements in measured.timings.statements.items()}
    return measured


async def _measure_rates(database: Database, history: History, count: int, measured: Measured) -> None:
    alone, together, batches = count // 4, count, 4 * count
    made = iter(await _prepare(database, history, alone + together + batches))

    async def write(orders: Sequence[Order]) -> None:
        async with database.transaction() as uow:
            for order in orders:
                await uow.orders.add(order)

    async def several(mine: Sequence[Order]) -> None:
        for order in mine:
            await write([order])

    began = time.perf_counter()
    await several([next(made) for _ in range(alone)])
    measured.rates["one at a time"] = alone / (time.perf_counter() - began)
    shares = [[next(made) for _ in range(together // _AT_ONCE)] for _ in range(_AT_ONCE)]
    began = time.perf_counter()
    await asyncio.gather(*(several(share) for share in shares))
    measured.rates[f"{_AT_ONCE} at once"] = sum(map(len, shares)) / (time.perf_counter() - began)
    whole = [[next(made) for _ in range(_BATCH)] for _ in range(batches // _BATCH)]
    began = time.perf_counter()
    for batch in whole:
        await write(batch)
    measured.rates[f"{_BATCH} in a transaction"] = sum(map(len, whole)) / (time.perf_counter() - began)
    async with database.reading() as uow:
        kept = len(await uow.orders.of_run(_RATED))
    if kept != alone + sum(map(len, shares)) + sum(map(len, whole)):
        raise SystemExit(f"{kept} orders are on record, not those that were written")


_RATED = "rated"


async def _prepare(database: Database, history: History, count: int) -> list[Order]:
    """The intents of orders that are then written; each order is its own intent's."""
    at = history.end + timedelta(days=2)
    wants = [wanted(_RATED, SYMBOLS[number % len(SYMBOLS)], at, str(number)) for number in range(count)]
    async with database.transaction() as uow:
        await uow.runs.start(RunRecord(_RATED, ACCOUNT, RunKind.CYCLE, at, at, session_id=SESSION))
        for intent in wants:
            await uow.intents.add(intent)
    return [ordered(intent) for intent in wants]


async def _plans(location: str, statements: dict[str, Any]) -> str:
    """How the database goes about the statements of a query. Writes are planned and not made."""
    url = parse_location(location)
    explain = "EXPLAIN QUERY PLAN" if url.get_backend_name() == "sqlite" else "EXPLAIN"
    engine, lines = create_engine(url), []
    async with engine.connect() as connection:
        for statement, parameters in statements.items():
            rows = (await connection.exec_driver_sql(f"{explain} {statement}", parameters)).all()
            lines += [f"    {' '.join(statement.split())[:100]}", *(f"      {row[-1]}" for row in rows)]
    await engine.dispose()
    return "\n".join(lines)


def _tell(said: str, began: float) -> None:
    print(f"  {time.perf_counter() - began:6.1f} s  {said}", file=sys.stderr, flush=True)


def report(found: dict[str, list[Measured]], factor: float) -> tuple[str, bool]:
    """For people; and whether no query grows and the databases answer alike."""
    kinds, lines, good = list(found), [], True
    sizes = [measured.orders for measured in found[kinds[0]]]
    lines.append("orders a second, durable       " + "".join(f"{kind:>12} {size:>9,}" for kind in kinds for size in sizes))
    for name in found[kinds[0]][0].rates:
        lines.append(f"  {name:<28} " + "".join(f"{each.rates[name]:>22,.0f}" for kind in kinds for each in found[kind]))
    heading = " → ".join(f"{size:,}" for size in sizes)
    lines += ["", f"milliseconds, p50 (p99), with orders in the tables: {heading}"]
    lines.append(f"  {'':<30}" + "".join(f"{kind:>36}  " for kind in kinds))
    plans = []
    slower = {kind: max(1.0, *(_ratio(found[kind], name) for name in CONTROLS)) for kind in kinds}
    for name in found[kinds[0]][0].timings.taken:
        line = f"  {name:<30}"
        for kind in kinds:
            spread = [_spread(each.timings.taken[name]) for each in found[kind]]
            judged = not name.startswith(ANYWHERE)
            grows = judged and spread[-1][0] > max(factor * slower[kind] * spread[0][0], spread[0][0] + _NOISE)
            mark = "✗" if grows else "✓" if judged else " "
            line += f"{' → '.join(f'{p50:.2f} ({p99:.2f})' for p50, p99 in spread):>36} {mark}"
            if grows:
                good = False
                plans += [f"  {kind}, {name}:", found[kind][-1].plans.get(name, "    the database's own")]
        lines.append(line)
    if plans:
        lines += ["", "grows with history:", *plans]
    lines.append("")
    for number, size in enumerate(sizes):
        prints = sorted({found[kind][number].timings.fingerprint for kind in kinds})
        good = good and len(prints) == 1
        lines.append(f"  {'✓' if len(prints) == 1 else '✗'} {size:,} orders: the same answers, {' ≠ '.join(prints)}")
    told = ", ".join(f"{kind} {slower[kind]:.2f}" for kind in kinds)
    lines.append(
        f"  {'✓' if not plans else '✗'} no median above {factor:g} × that of the short history × the controls' own ({told})"
    )
    return "\n".join(lines), good


def _ratio(measured: Sequence[Measured], name: str) -> float:
    first, last = (median(each.timings.taken[name]) for each in (measured[0], measured[-1]))
    return last / first


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return median(values), quantiles(values, n=100)[98]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, help="of the long history; with three fills each")
    parser.add_argument("--short", type=int, default=10_000, help="orders of the short history")
    parser.add_argument("--times", type=int, default=200, help="how often each query is asked")
    parser.add_argument("--rated", type=int, default=1_000, help="orders written at once to see how many a second go")
    parser.add_argument("--factor", type=float, default=2.0, help="a median above this many times the short history's has grown")
    parser.add_argument("--databases", nargs="+", choices=[SQLITE, POSTGRESQL], default=[SQLITE, POSTGRESQL])
    options = parser.parse_args()
    print(f"machine: {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start")
    print(f"python: {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print("SQLite: WAL, synchronous = FULL; PostgreSQL: fsync and synchronous_commit on", flush=True)
    found: dict[str, list[Measured]] = {}
    for kind in options.databases:
        for orders in (options.short, options.orders):
            print(kind, file=sys.stderr)
            with databases(kind) as location:
                measured = asyncio.run(measure(location, orders, options.times, options.rated))
            found.setdefault(kind, []).append(measured)
    text, good = report(found, options.factor)
    print(f"\n{text}\n\nload {os.getloadavg()[0]:.1f} at the end")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
