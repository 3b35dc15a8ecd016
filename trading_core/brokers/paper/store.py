"""Where the paper exchange keeps an account, so that it outlives the desk's process as a real venue does.

SQLite in WAL mode with `synchronous=NORMAL`: a commit survives the death of the process. The file is locked for as long as it
is open, because two exchanges matching the same account would each overwrite what the other did.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from trading_core.brokers.paper.book import Book, PaperOrder, Stage, Usage
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.money import Money, plain
from trading_core.domain.orders import FINAL_STATES, Fill, OrderRequest, OrderState, OrderType, Side, TimeInForce

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION = "1"

# Instants are whole microseconds since 1970 UTC, amounts are exact decimals as text.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
    id INTEGER PRIMARY KEY CHECK (id = 1), version TEXT NOT NULL, account_id TEXT NOT NULL, deposit TEXT NOT NULL,
    currency TEXT NOT NULL, walked_to INTEGER NOT NULL, orders_placed INTEGER NOT NULL, trades_made INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS balances (asset TEXT PRIMARY KEY, total TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS usage (
    symbol TEXT NOT NULL, side TEXT NOT NULL, bar INTEGER NOT NULL, quantity TEXT NOT NULL, PRIMARY KEY (symbol, side));
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE, symbol TEXT NOT NULL, side TEXT NOT NULL,
    type TEXT NOT NULL, quantity TEXT NOT NULL, limit_price TEXT, stop_price TEXT, time_in_force TEXT NOT NULL,
    reduce_only INTEGER NOT NULL, placed_at INTEGER NOT NULL, arrives_at INTEGER NOT NULL, lock_price TEXT NOT NULL,
    updated_at INTEGER NOT NULL, stage TEXT NOT NULL, state TEXT NOT NULL, filled TEXT NOT NULL, rests_from INTEGER,
    cancel_at INTEGER, reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_state ON orders (state);
CREATE TABLE IF NOT EXISTS fills (
    trade_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
    side TEXT NOT NULL, quantity TEXT NOT NULL, price TEXT NOT NULL, fee TEXT NOT NULL, fee_asset TEXT NOT NULL,
    at INTEGER NOT NULL, is_maker INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS fills_at ON fills (at, number);
"""
_ORDER = (
    "number, client_order_id, symbol, side, type, quantity, limit_price, stop_price, time_in_force, reduce_only, placed_at, "
    "arrives_at, lock_price, updated_at, stage, state, filled, rests_from, cancel_at, reason"
)
_PUT_ORDER = f"INSERT OR REPLACE INTO orders ({_ORDER}) VALUES ({', '.join('?' * 20)})"  # noqa: S608 - constants only
_GET_ORDER = f"SELECT {_ORDER} FROM orders WHERE client_order_id = ?"  # noqa: S608 - constants only
_LIVE_ORDERS = f"SELECT {_ORDER} FROM orders WHERE state NOT IN ({', '.join('?' * len(FINAL_STATES))}) ORDER BY number"  # noqa: S608 - constants only
_GET_FILLS = (
    "SELECT trade_id, client_order_id, symbol, side, quantity, price, fee, fee_asset, at, is_maker "
    "FROM fills WHERE at >= ? ORDER BY at, number"
)


class PaperStore:
    """One account in one file, or in memory (lost on close) when `path` is None."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def progress(self) -> datetime | None:
        """How far an existing file has been matched, without opening the account; None when there is none yet.

        Raises:
            ConfigurationError: when the file is in use or unreadable.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=0.5)) as connection:
                row = connection.execute("SELECT walked_to FROM account").fetchone()
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"the paper exchange's file {self._path} cannot be read: {error}",
                not_done="No account was opened",
                next_step="Stop the process that is using it",
            ) from error
        return None if row is None else _instant(row[0])

    def open(self, *, account_id: str, deposit: Money, now: datetime) -> Book:
        """The stored account, or a new one that holds `deposit`.

        Raises:
            ConfigurationError: when the file is in use, unreadable, or holds another account.
        """
        try:
            self._connection = sqlite3.connect(self._path or ":memory:", timeout=0.5, isolation_level=None)
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                self._connection.execute(f"PRAGMA {pragma}")
            with self._transaction():
                # executescript would commit, and statements here hold no semicolon of their own.
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                row = self._connection.execute("SELECT version, account_id, deposit, currency FROM account").fetchone()
                if row is None:
                    self._create(account_id, deposit, now)
            if row is not None and row != (_VERSION, account_id, plain(deposit.amount), deposit.asset):
                raise self._other_account(row, account_id, deposit)
            return self._load()
        except sqlite3.Error as error:
            self.close()
            raise ConfigurationError(
                f"the paper exchange's file {self._path} cannot be opened: {error}",
                not_done="No account was opened",
                next_step="Stop the process that is using it, or give another file",
            ) from error
        except ConfigurationError:
            self.close()
            raise

    def save(self, book: Book) -> None:
        """Store everything that changed, in one transaction: all of it or, on `sqlite3.Error`, nothing."""
        with self._transaction() as db:
            db.execute(
                "UPDATE account SET walked_to = ?, orders_placed = ?, trades_made = ?",
                (_micros(book.walked_to), book.orders_placed, book.trades_made),
            )
            db.executemany(_PUT_ORDER, [_order_row(order) for order in book.touched.values()])
            if book.new_fills:
                first = book.trades_made - len(book.new_fills) + 1
                rows = [_fill_row(number, fill) for number, fill in enumerate(book.new_fills, first)]
                db.executemany("INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                totals = [(asset, plain(total)) for asset, total in book.totals.items()]
                db.executemany("INSERT OR REPLACE INTO balances VALUES (?, ?)", totals)
                usage = [(symbol, side, _micros(u.bar), plain(u.quantity)) for (symbol, side), u in book.usage.items()]
                db.executemany("INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)", usage)

    def order(self, client_order_id: str) -> PaperOrder | None:
        """The order under this id, live or not."""
        row = self._db.execute(_GET_ORDER, (client_order_id,)).fetchone()
        return None if row is None else _order(row)

    def fills(self, since: datetime) -> list[Fill]:
        """Executions at or after `since`, oldest first."""
        return [_fill(row) for row in self._db.execute(_GET_FILLS, (_micros(since),))]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ConfigurationError("the paper exchange is not open", next_step="Open the broker before using it")
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _create(self, account_id: str, deposit: Money, now: datetime) -> None:
        amount = plain(deposit.amount)
        row = (1, _VERSION, account_id, amount, deposit.asset, _micros(now), 0, 0)
        self._db.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._db.execute("INSERT INTO balances VALUES (?, ?)", (deposit.asset, amount))

    def _other_account(self, row: tuple[str, ...], account_id: str, deposit: Money) -> ConfigurationError:
        version, held_by, amount, currency = row
        return ConfigurationError(
            f"the paper exchange's file {self._path} holds account {held_by!r} with a deposit of {amount} {currency} "
            f"(format {version}), not {account_id!r} with {deposit}",
            not_done="It was not opened",
            next_step="Give the account and deposit it was made with, or another file",
        )

    def _load(self) -> Book:
        walked_to, orders_placed, trades_made = self._db.execute(
            "SELECT walked_to, orders_placed, trades_made FROM account"
        ).fetchone()
        live = [_order(row) for row in self._db.execute(_LIVE_ORDERS, tuple(FINAL_STATES))]
        usage = self._db.execute("SELECT symbol, side, bar, quantity FROM usage")
        return Book(
            walked_to=_instant(walked_to),
            totals={asset: Decimal(total) for asset, total in self._db.execute("SELECT asset, total FROM balances")},
            live={order.client_order_id: order for order in live},
            usage={(symbol, Side(side)): Usage(_instant(bar), Decimal(quantity)) for symbol, side, bar, quantity in usage},
            orders_placed=orders_placed,
            trades_made=trades_made,
        )


_Cell = str | int | None


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _order_row(order: PaperOrder) -> tuple[_Cell, ...]:
    request = order.request
    return (
        order.number,
        request.client_order_id,
        request.symbol,
        request.side,
        request.type,
        plain(request.quantity),
        None if request.limit_price is None else plain(request.limit_price),
        None if request.stop_price is None else plain(request.stop_price),
        request.time_in_force,
        int(request.reduce_only),
        _micros(order.placed_at),
        _micros(order.arrives_at),
        plain(order.lock_price),
        _micros(order.updated_at),
        order.stage,
        order.state,
        plain(order.filled),
        None if order.rests_from is None else _micros(order.rests_from),
        None if order.cancel_at is None else _micros(order.cancel_at),
        order.reason,
    )


def _order(row: tuple[str | int, ...]) -> PaperOrder:
    cell = dict(zip(_ORDER.split(", "), row, strict=True))
    request = OrderRequest(
        client_order_id=str(cell["client_order_id"]),
        symbol=str(cell["symbol"]),
        side=Side(str(cell["side"])),
        type=OrderType(str(cell["type"])),
        quantity=Decimal(cell["quantity"]),
        limit_price=None if cell["limit_price"] is None else Decimal(cell["limit_price"]),
        stop_price=None if cell["stop_price"] is None else Decimal(cell["stop_price"]),
        time_in_force=TimeInForce(str(cell["time_in_force"])),
        reduce_only=bool(cell["reduce_only"]),
    )
    return PaperOrder(
        number=int(cell["number"]),
        request=request,
        placed_at=_instant(int(cell["placed_at"])),
        arrives_at=_instant(int(cell["arrives_at"])),
        lock_price=Decimal(cell["lock_price"]),
        updated_at=_instant(int(cell["updated_at"])),
        stage=Stage(str(cell["stage"])),
        state=OrderState(str(cell["state"])),
        filled=Decimal(cell["filled"]),
        rests_from=None if cell["rests_from"] is None else _instant(int(cell["rests_from"])),
        cancel_at=None if cell["cancel_at"] is None else _instant(int(cell["cancel_at"])),
        reason=str(cell["reason"]),
    )


def _fill_row(number: int, fill: Fill) -> tuple[_Cell, ...]:
    amounts = plain(fill.quantity), plain(fill.price), plain(fill.fee.amount), fill.fee.asset
    return fill.trade_id, number, fill.client_order_id, fill.symbol, fill.side, *amounts, _micros(fill.at), int(fill.is_maker)


def _fill(row: tuple[str, str, str, str, str, str, str, str, int, int]) -> Fill:
    trade_id, client_order_id, symbol, side, quantity, price, fee, fee_asset, at, is_maker = row
    return Fill(
        trade_id=trade_id,
        client_order_id=client_order_id,
        symbol=symbol,
        side=Side(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Money(Decimal(fee), fee_asset),
        at=_instant(at),
        is_maker=bool(is_maker),
    )
