"""What the time series store costs on DuckDB and on PostgreSQL: loading a history, and asking it as of an instant.

    .venv/bin/python benchmarks/timeseries.py --rows 1000000

So many readings (20 series of one symbol, one every five minutes) and so many bars (4 markets) go in through the store's own
`put` and `put_bars`, in transactions of 10,000, which wait for the disk. Then each question is asked at random instants of the
whole time, and a poll of 20 readings is put at its end. The answers of both databases must be the same: a SHA-256 over all of
them is shown, and the exit status is 1 when they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import platform
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from data_channels.store.base import BarKey, ReadingKey, TimeSeriesStore
from data_channels.store.open import open_store
from data_channels.store.retention import Retention
from tests.postgres import Databases
from tests.postgres_server import URL_VARIABLE, Server
from trading_core.domain.market import Bar, Reading, Timeframe

DUCKDB, POSTGRESQL = "DuckDB", "PostgreSQL"
SYMBOL = "BTC/USDT"
_START = datetime(2023, 1, 1, tzinfo=UTC)
_SERIES = [ReadingKey(f"source{number // 4}", SYMBOL, f"measure{number % 4}") for number in range(20)]
_EVERY, _DELAY = timedelta(minutes=5), timedelta(seconds=40)
_MINUTE = Timeframe("1m")
_MARKETS = [BarKey("binance", f"{base}/USDT", _MINUTE) for base in ("BTC", "ETH", "SOL", "XRP")]
_BATCH = 10_000


@dataclass
class Measured:
    """One database: rows a second, milliseconds of each question, bytes, and a hash over all answers."""

    rates: dict[str, float] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=dict)
    size: int = 0
    answers: str = ""


@contextmanager
def databases(kind: str) -> Iterator[str]:
    """A new database: a DuckDB file, or one on the given PostgreSQL server, or on a server of our own that waits for the disk."""
    with TemporaryDirectory(prefix="timeseries-") as folder:
        if kind == DUCKDB:
            yield str(Path(folder) / "series.duckdb")
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


def readings(first: int, count: int) -> list[Reading]:
    """Rows number `first` and on: at each instant one of every series."""
    made = []
    for number in range(first, first + count):
        turn, key = number // len(_SERIES), _SERIES[number % len(_SERIES)]
        observed_at = _START + turn * _EVERY
        value = Decimal(number * 7919 % 1_000_003) / 1000
        made.append(
            Reading(key.source, SYMBOL, key.name, value, "points", observed_at, observed_at + _DELAY, count=number % 50 + 1)
        )
    return made


def bars(first: int, count: int) -> list[Bar]:
    made = []
    for number in range(first, first + count):
        price = Decimal(40_000_00 + number * 7919 % 100_003) / 100
        made.append(Bar(_START + number * _MINUTE.length, price, price + 3, price - 3, price + 1, Decimal(number % 977) / 1000))
    return made


async def measure(location: str, rows: int, times: int) -> Measured:
    """Load, and then ask."""
    measured, digest = Measured(), hashlib.sha256()
    async with await open_store(location) as store:
        measured.rates["readings put"] = await _rate(rows, lambda at, count: store.put(readings(at, count)))
        each = rows // len(_MARKETS)
        for key in _MARKETS:

            async def put(at: int, count: int, key: BarKey = key) -> object:
                return await store.put_bars(key, bars(at, count))

            measured.rates[f"bars put, {key.symbol}"] = await _rate(each, put)
        measured.rates["readings put again"] = await _rate(_BATCH, lambda at, count: store.put(readings(at, count)))
        measured.size = await store.size()
        for name, ask in _questions(store, rows).items():
            chance, taken = random.Random(7), []  # noqa: S311 - prices of no market
            for _ in range(times):
                spot = chance.random()
                began = time.perf_counter()
                answer = await ask(spot)
                taken.append((time.perf_counter() - began) * 1000)
                digest.update(repr(answer).encode())
            measured.taken[name] = taken
        began = time.perf_counter()
        end = _START + rows // len(_SERIES) * _EVERY
        done = await store.prune(Retention(raw=timedelta(days=30)), now=end)
        measured.rates["rows summed up"] = done.folded / (time.perf_counter() - began)
        digest.update(repr(done).encode())
    measured.answers = digest.hexdigest()[:16]
    return measured


async def _rate(rows: int, put: Callable[[int, int], Awaitable[object]]) -> float:
    began = time.perf_counter()
    for at in range(0, rows, _BATCH):
        await put(at, min(_BATCH, rows - at))
    return rows / (time.perf_counter() - began)


def _questions(store: TimeSeriesStore, rows: int) -> dict[str, Callable[[float], Awaitable[object]]]:
    turns, minutes = rows // len(_SERIES), rows // len(_MARKETS)
    next_row = iter(range(turns * len(_SERIES), 1 << 40, len(_SERIES)))

    def spot(share: float) -> datetime:
        return _START + share * turns * _EVERY

    def minute(share: float) -> datetime:
        return _START + timedelta(minutes=int(share * minutes))

    return {
        "newest of 20 series": lambda share: store.newest(SYMBOL, as_of=spot(share)),
        "a day of one series": lambda share: store.readings(_SERIES[3], start=spot(share) - timedelta(days=1), as_of=spot(share)),
        "200 bars": lambda share: store.bars(_MARKETS[0], as_of=minute(share), limit=200),
        "a day of bars": lambda share: store.bars_between(
            _MARKETS[1], start=minute(share) - timedelta(days=1), end=minute(share)
        ),
        "a poll put (20 readings)": lambda share: store.put(readings(next(next_row), len(_SERIES))),
    }


def report(found: dict[str, Measured]) -> tuple[str, bool]:
    """For people; and whether the databases answer alike."""
    kinds = list(found)
    first = found[kinds[0]]
    lines = [f"{'rows a second':<28}" + "".join(f"{kind:>22}" for kind in kinds)]
    lines += [f"  {name:<26}" + "".join(f"{found[kind].rates[name]:>22,.0f}" for kind in kinds) for name in first.rates]
    lines.append(f"  {'size, MB':<26}" + "".join(f"{found[kind].size / 1e6:>22,.1f}" for kind in kinds))
    lines += ["", "milliseconds, p50 (p99)"]
    for name in first.taken:
        spreads = [(median(found[kind].taken[name]), quantiles(found[kind].taken[name], n=100)[98]) for kind in kinds]
        lines.append(f"  {name:<26}" + "".join(f"{f'{p50:.2f} ({p99:.2f})':>22}" for p50, p99 in spreads))
    prints = sorted({each.answers for each in found.values()})
    lines += ["", f"{'✓' if len(prints) == 1 else '✗'} the same answers, {' ≠ '.join(prints)}"]
    return "\n".join(lines), len(prints) == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="readings, and as many bars")
    parser.add_argument("--times", type=int, default=200, help="each question")
    options = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "asyncpg"))
    print(f"Python {platform.python_version()}, {packages}, {options.rows:,} readings and as many bars\n")
    found = {}
    for kind in (DUCKDB, POSTGRESQL):
        with databases(kind) as location:
            found[kind] = asyncio.run(measure(location, options.rows, options.times))
    text, good = report(found)
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
