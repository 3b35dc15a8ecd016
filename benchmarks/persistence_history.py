"""A long history of one account, made up the same way every time and loaded past the repositories.

Each finished order has an intent, an answer of the gate, four steps, three fills and a row of the audit trail; ten orders make a
run with two decisions, one piece of evidence and the account's worth. A thousand orders are written a day, so that a longer
history is an older one and not a busier one. The last run is under way: it has open orders, and intents that wait.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice

import asyncpg
from sqlalchemy import Index, Table

from trading_core.audit.chain import GENESIS, AuditHead, seal
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.domain.intents import make_client_order_id
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.persistence.audit_tables import audit_head, audit_log
from trading_core.persistence.engines import parse_location
from trading_core.persistence.session import Database
from trading_core.persistence.tables import (
    decisions,
    evidence,
    fills,
    intents,
    order_events,
    orders,
    portfolio_snapshots,
    risk_decisions,
    runs,
    sessions,
)

ACCOUNT, SESSION, AGENT = "desk", "history", "agent:risk"
START = datetime(2020, 1, 1, tzinfo=UTC)
SYMBOLS = tuple(f"C{number:02}/USDT" for number in range(20))
ORDERS_A_DAY, ORDERS_A_RUN, FILLS_AN_ORDER = 1_000, 10, 3
OPEN_ORDERS, WAITING = 50, 5
BETWEEN = timedelta(days=1) / ORDERS_A_DAY
_CHUNK = 20_000  # rows in memory at a time
_CHECKS = json.dumps([{"code": f"check_{n}", "passed": True, "found": "1", "limit": "2", "detail": ""} for n in range(8)])
_TABLES = (
    sessions, runs, decisions, evidence, portfolio_snapshots, intents, risk_decisions, orders, order_events, fills, audit_log,
)  # fmt: skip

Row = tuple[object, ...]
Tell = Callable[[str], None]


def intent_id(number: int) -> str:
    return sha256(f"intent {number}".encode()).hexdigest()


def client_order_id(number: int) -> str:
    return make_client_order_id(intent_id(number))


def run_id(number: int) -> str:
    return f"{SESSION}-{number:08}"


class History:
    """`finished` orders, and then those that are under way.

    Args:
        native: whether the database has exact numbers and times of its own; texts otherwise, as the column types write them.
    """

    def __init__(self, finished: int, *, native: bool) -> None:
        self.finished, self.orders = finished, finished + OPEN_ORDERS
        self.runs = -(-self.orders // ORDERS_A_RUN) + 1
        self._native = native
        self._amounts = {number: self._amount(number) for number in (0, 1, 2, 3, 95, 100, 200, 300, 100_000)}

    @property
    def end(self) -> datetime:
        """When the last order was written."""
        return START + self.orders * BETWEEN

    def rows(self, table: Table) -> Iterator[Row]:
        """A table's rows, in the order of `columns`."""
        made: Iterator[Row] = getattr(self, f"_{table.name}")()
        return made

    def columns(self, table: Table) -> list[str]:
        numbered_by_database = table in (runs, fills)
        return [column.name for column in table.columns if not (numbered_by_database and column.name == "sequence")]

    def _amount(self, number: int) -> object:
        return Decimal(number) if self._native else str(number)

    def _at(self, number: int, seconds: int = 0) -> object:
        at = START + number * BETWEEN + timedelta(seconds=seconds)
        return at if self._native else f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"

    def _last(self, run: int) -> bool:
        return run == self.runs - 1

    def _sessions(self) -> Iterator[Row]:
        yield SESSION, "{}", self._at(0)

    def _runs(self) -> Iterator[Row]:
        for run in range(self.runs):
            at, last = self._at(run * ORDERS_A_RUN), self._last(run)
            state, ended = ("running", None) if last else ("done", at)
            yield run_id(run), SESSION, ACCOUNT, "cycle", at, state, None, at, ended, "", run

    def _decisions(self) -> Iterator[Row]:
        for run in range(self.runs):
            for agent, subject in (("signal", SYMBOLS[run % len(SYMBOLS)]), ("risk", "")):
                key = sha256(f"{agent} {run}".encode()).hexdigest()
                yield (
                    run_id(run), agent, subject, "answered", False, '{"action":"hold"}', "as before", True, "[]", '["e1"]',
                    "rules", key, key, 1, 0, 900, 90, 0.5, self._at(run * ORDERS_A_RUN),
                )  # fmt: skip

    def _evidence(self) -> Iterator[Row]:
        for run in range(self.runs):
            subject, at = SYMBOLS[run % len(SYMBOLS)], self._at(run * ORDERS_A_RUN)
            yield run_id(run), "e1", "signal", subject, "get_ticker", "{}", '{"last":"100"}', at

    def _portfolio_snapshots(self) -> Iterator[Row]:
        worth = self._amounts[100_000]
        for run in range(self.runs - 1):
            yield ACCOUNT, run_id(run), self._at(run * ORDERS_A_RUN), worth, worth, "{}"

    def _intents(self) -> Iterator[Row]:
        one, price, stop = self._amounts[3], self._amounts[100], self._amounts[95]
        for number in range(self.orders + WAITING):
            key, buys = intent_id(number), _buys(number)
            yield (
                key, run_id(min(number // ORDERS_A_RUN, self.runs - 1)), ACCOUNT, AGENT, "entry" if buys else "exit",
                _symbol(number), "buy" if buys else "sell", one, "limit", self._at(number), price, stop if buys else None, None,
                "gtc", "as before", '["e1"]', "", None, None, key,
            )  # fmt: skip

    def _risk_decisions(self) -> Iterator[Row]:
        for number in range(self.orders + WAITING):
            yield intent_id(number), 1, "approved", _CHECKS, self._at(number)

    def _orders(self) -> Iterator[Row]:
        three, notional, price, zero = (self._amounts[n] for n in (3, 300, 100, 0))
        for number in range(self.orders):
            buys, done = _buys(number), number < self.finished
            yield (
                client_order_id(number), _symbol(number), "buy" if buys else "sell", "limit", three, price, None, "gtc", not buys,
                ACCOUNT, intent_id(number), run_id(number // ORDERS_A_RUN), "entry" if buys else "exit", self._at(number),
                "filled" if done else "open", three if done else zero, notional if done else zero, f"v{number}", price, "",
                self._at(number, 4 if done else 1), None,
            )  # fmt: skip

    def _order_events(self) -> Iterator[Row]:
        for number in range(self.orders):
            key = client_order_id(number)
            yield key, 1, "accepted", "open", self._at(number, 1), ""
            if number < self.finished:
                yield key, 2, "partly_filled", "partially_filled", self._at(number, 2), "1 at 100"
                yield key, 3, "partly_filled", "partially_filled", self._at(number, 3), "1 at 100"
                yield key, 4, "fully_filled", "filled", self._at(number, 4), "1 at 100"

    def _fills(self) -> Iterator[Row]:
        one, price, zero = self._amounts[1], self._amounts[100], self._amounts[0]
        for number in range(self.finished):
            key, side = client_order_id(number), "buy" if _buys(number) else "sell"
            for part in range(FILLS_AN_ORDER):
                at = self._at(number, 2 + part)
                yield ACCOUNT, f"t{number}-{part}", key, _symbol(number), side, one, price, zero, "USDT", at, False

    def _audit_log(self) -> Iterator[Row]:
        self.head = AuditHead(0, GENESIS)
        for number in range(self.orders):
            at, key = START + number * BETWEEN, client_order_id(number)
            entry = AuditEntry(at, AGENT, AuditAction.ORDER_SUBMITTED, SubjectKind.ORDER, key, correlation_id=run_id(0))
            row = seal(entry, self.head)
            self.head = AuditHead(row.sequence, row.hash)
            yield astuple(row)


def _buys(number: int) -> bool:
    return number // len(SYMBOLS) % 2 == 0


def _symbol(number: int) -> str:
    return SYMBOLS[number % len(SYMBOLS)]


async def load(location: str, finished: int, tell: Tell) -> History:
    """Fill a new database. Indexes are made, and references checked by nobody, after the rows are in."""
    history = History(finished, native=parse_location(location).get_backend_name() == "postgresql")
    async with await Database.open(location) as database, database.transaction() as uow:
        held = {symbol: Position(symbol, Decimal(3), Decimal(300), Decimal(0)) for symbol in SYMBOLS}
        balances = {"USDT": Decimal(94_000), **{symbol.partition("/")[0]: Decimal(3) for symbol in SYMBOLS}}
        opened = Portfolio(ACCOUNT, "USDT", Decimal(100_000), balances, held, {"USDT": Decimal(0)})
        await uow.portfolios.open_account(opened, "paper", START)
    fill = _fill_postgresql if history._native else _fill_sqlite
    await fill(location, history, tell)
    return history


async def _fill_sqlite(location: str, history: History, tell: Tell) -> None:
    def work() -> None:
        connection = sqlite3.connect(location, isolation_level=None)
        for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -500000"):
            connection.execute(f"PRAGMA {pragma}")
        for table in _TABLES:
            tell(f"loading {table.name}")
            names = history.columns(table)
            into = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of the schema itself
            for index in _indexes(table):
                connection.execute(f"DROP INDEX {index.name}")
            connection.execute("BEGIN")
            rows = history.rows(table)
            while chunk := list(islice(rows, _CHUNK)):
                connection.executemany(into, chunk)
            connection.execute("COMMIT")
            for index in _indexes(table):
                connection.execute(_create(index))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with open(location, "rb") as file:  # a desk that runs has its indexes in memory
            while file.read(1 << 24):
                pass

    await asyncio.to_thread(work)


async def _fill_postgresql(location: str, history: History, tell: Tell) -> None:
    url = parse_location(location).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        await connection.execute("SET session_replication_role = replica")  # no references checked, no triggers run
        for table in _TABLES:
            tell(f"loading {table.name}")
            for index in _indexes(table):
                await connection.execute(f"DROP INDEX {index.name}")
            rows = history.rows(table)
            while chunk := list(islice(rows, _CHUNK)):
                await connection.copy_records_to_table(table.name, records=chunk, columns=history.columns(table))
            for index in _indexes(table):
                await connection.execute(_create(index))
        await connection.execute(f"UPDATE {audit_head.name} SET sequence = $1, hash = $2", *astuple(history.head))  # noqa: S608 - names of the schema itself
        tell("vacuuming")
        await connection.execute("VACUUM ANALYZE")  # what a running server does by itself
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _indexes(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _create(index: Index) -> str:
    assert index.table is not None
    return f"CREATE INDEX {index.name} ON {index.table.name} ({', '.join(column.name for column in index.columns)})"
