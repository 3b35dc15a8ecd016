"""What must hold of each order whatever a model says, worked out again from the ledger's file, without the desk's own code.

`Auditor.committed` runs between the commit of an order and its sending: the account then is the one the gate decided on.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from statistics import correlation
from typing import Any

from graph.config import SessionConfig
from graph.events import RunEvent
from graph.folders import Folders
from trading_core.brokers.base import OrderReport
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed
from trading_core.domain.orders import OrderRequest

LIVE = ("submitting", "open", "partially_filled", "unknown")
ROUNDING = Decimal("1e-9")  # of the correlations, which are floats
Row = dict[str, Any]
_LAST_BUY = (
    "SELECT i.stop_price FROM intents i JOIN orders o USING (intent_id) WHERE o.symbol = ? AND o.side = 'buy' "
    "AND o.filled != '0' ORDER BY o.created_at DESC LIMIT 1"
)


def rows(connection: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def exact(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)


class Folded:
    """Balances out of the deposit and fills, and nothing else."""

    def __init__(self, currency: str, deposit: Decimal) -> None:
        self.balances: defaultdict[str, Decimal] = defaultdict(Decimal, {currency: deposit})

    def book(self, fill: Row) -> None:
        base, _, quote = fill["symbol"].partition("/")
        sign = 1 if fill["side"] == "buy" else -1
        self.balances[base] += sign * Decimal(fill["quantity"])
        self.balances[quote] -= sign * Decimal(fill["quantity"]) * Decimal(fill["price"])
        self.balances[fill["fee_asset"]] -= Decimal(fill["fee"])

    def held(self, symbol: str) -> Decimal:
        return self.balances[symbol.partition("/")[0]]


class Auditor:
    """Looks at each order as it is committed.

    Attributes:
        violations: one sentence for each rule an order broke.
        counts: orders by purpose.
    """

    def __init__(self, config: SessionConfig, folders: Folders, feed: MarketFeed) -> None:
        self._config, self._folders, self._feed = config, folders, feed
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self._ledger: sqlite3.Connection | None = None
        self._folded = Folded(config.currency, config.deposit)
        self._booked = 0
        self._peak = config.deposit
        self._day: tuple[object, Decimal] | None = None

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    @property
    def ledger(self) -> sqlite3.Connection:
        if self._ledger is None:
            self._ledger = sqlite3.connect(f"file:{self._folders.ledger}?mode=ro", uri=True, timeout=5)
        return self._ledger

    def hear(self, event: RunEvent) -> None:
        """The loss limits look at the account at each snapshot, and so does this."""
        if event.kind != "snapshot_taken":
            return
        snapshot = event.data["snapshot"]
        folded = self._now_folded()
        equity = folded.balances[self._config.currency]
        for symbol, price in snapshot.prices.items():
            equity += folded.held(symbol) * price
        self._peak = max(self._peak, equity)
        if self._day is None or self._day[0] != event.at.date():
            # An account opens its first day with its deposit.
            self._day = event.at.date(), self._config.deposit if self._day is None else equity

    def _now_folded(self) -> Folded:
        for fill in rows(self.ledger, "SELECT * FROM fills WHERE sequence > ? ORDER BY sequence", self._booked):
            self._folded.book(fill)
            self._booked = fill["sequence"]
        return self._folded

    async def committed(self, request: OrderRequest, now: datetime) -> None:
        """Every rule for one order that is about to be sent."""
        found = rows(self.ledger, "SELECT * FROM orders WHERE client_order_id = ?", request.client_order_id)
        if not found:
            self._blame(request, "it is sent and not written down")
            return
        order = found[0]
        (intent,) = rows(self.ledger, "SELECT * FROM intents WHERE intent_id = ?", order["intent_id"])
        self.counts["orders"] += 1
        self.counts[f"orders {intent['purpose']} {order['side']} by {intent['proposer']}"] += 1
        same = (
            order["state"] == "submitting"
            and Decimal(order["quantity"]) == request.quantity
            and exact(order["limit_price"]) == request.limit_price
            and order["symbol"] == request.symbol == intent["symbol"]
            and order["side"] == request.side.value == intent["side"]
        )
        self._demand(request, same, "what is sent is not what was written down")
        self._demand(request, request.symbol in self._config.symbols, "its symbol is not the session's")
        self._demand(request, request.quantity <= Decimal(intent["quantity"]), "it is larger than its intent")
        live = self._live()
        instrument = (await self._feed.instruments())[request.symbol]
        self._demand(request, request.quantity > 0 and request.quantity % instrument.lot_size == 0, "it is not of whole lots")
        with localcontext() as context:
            context.prec = 60
            if order["side"] == "sell":
                self._sale(request, live)
            else:
                await self._buy(request, intent, live, instrument, now)
            if intent["proposer"] != "core":
                self._state(request, intent)
                self._tempo(request, intent, now)

    async def after_run(self, run_id: str, now: datetime) -> None:
        """Whatever is held, and is worth an order at its stop, is promised to a stop or to an exit."""
        live, folded = self._live(), self._now_folded()
        for symbol in self._config.symbols:
            ticker = await self._feed.ticker(symbol, as_of=now)
            instrument = (await self._feed.instruments())[symbol]
            promised = sum((_remaining(o) for o in live if o["side"] == "sell" and o["symbol"] == symbol), Decimal(0))
            bare = folded.held(symbol) - promised
            self.counts["runs that end with a holding"] += folded.held(symbol) > 0
            if ticker is None or bare * ticker.last < 2 * instrument.min_notional:
                continue
            (entry,) = rows(self.ledger, _LAST_BUY, symbol)
            if instrument.is_dust(bare, min(ticker.last, Decimal(entry["stop_price"]))):
                self.counts["runs that end with a holding too small for its stop"] += 1
            else:
                self.violations.append(f"after run {run_id}, {bare} {symbol} are held without a stop")

    def _live(self) -> list[Row]:
        return rows(self.ledger, f"SELECT * FROM orders WHERE state IN ({','.join('?' * len(LIVE))})", *LIVE)  # noqa: S608 - question marks only

    def _sale(self, request: OrderRequest, live: list[Row]) -> None:
        promised = sum(
            (_remaining(o) for o in live if o["side"] == "sell" and o["symbol"] == request.symbol), Decimal(0)
        )  # this one included
        held = self._now_folded().held(request.symbol)
        self._demand(request, promised <= held, f"{promised} are promised to sales and {held} are held")
        self._demand(request, request.reduce_only, "a sale is not reduce-only")

    async def _buy(self, request: OrderRequest, intent: Row, live: list[Row], instrument: Instrument, now: datetime) -> None:
        limits, folded = self._config.limits.desk, self._now_folded()
        marks: dict[str, Decimal] = {}
        for symbol in self._config.symbols:
            ticker = await self._feed.ticker(symbol, as_of=now)
            if ticker is not None:
                marks[symbol] = (ticker.bid + ticker.ask) / 2
                if symbol == request.symbol:
                    fresh = now - ticker.at <= timedelta(seconds=limits.max_price_age_seconds)
                    self._demand(request, fresh, f"it stands on a price of {ticker.at}")
        price, stop, mark = request.limit_price, exact(intent["stop_price"]), marks[request.symbol]
        if price is None or stop is None:
            self._blame(request, "a buy has no limit price or no stop")
            return
        cash = folded.balances[self._config.currency]
        values = {symbol: folded.held(symbol) * marks[symbol] for symbol in marks}
        positions = {symbol for symbol, value in values.items() if value >= instrument.min_notional}
        equity = cash + sum(values.values())
        reserved = Decimal(0)
        for buy in (o for o in live if o["side"] == "buy"):  # this one included
            cost = _remaining(buy) * Decimal(buy["limit_price"])
            reserved += cost * (1 + instrument.taker_fee)
            values[buy["symbol"]] += cost
            positions.add(buy["symbol"])
        notional, position = request.quantity * price, values[request.symbol]
        at_stop = request.quantity * (price - stop + instrument.taker_fee * (price + stop))
        together = position
        for symbol, value in values.items():
            if symbol != request.symbol and value:
                together += value * await self._correlation(request.symbol, symbol, intent)
        bounds: dict[str, tuple[Decimal, Decimal]] = {
            "order notional": (notional, limits.max_order_notional),
            "price collar": (abs(price - mark), limits.price_collar * mark),
            "risk per trade": (at_stop, limits.risk_per_trade * equity),
            "position": (position, limits.max_position * equity),
            "exposure": (sum(values.values(), Decimal(0)), limits.max_exposure * equity),
            "concentration": (
                sum((value * value for value in values.values()), Decimal(0)),
                limits.max_concentration * equity * equity,
            ),
            "correlated exposure": (together, limits.max_correlated_exposure * equity * (1 + ROUNDING)),
            "cash reserve": (limits.cash_reserve * equity, cash - reserved),
            "open positions": (Decimal(len(positions)), Decimal(limits.max_positions)),
            "open orders": (Decimal(len(live)), Decimal(limits.max_open_orders)),
            "drawdown": (self._peak - equity, limits.drawdown * self._peak),
        }
        if self._day is not None:
            bounds["daily loss"] = (self._day[1] - equity, limits.daily_loss * self._day[1])
        for name, (found, limit) in bounds.items():
            self._demand(request, found <= limit, f"{name} is {found}, the limit {limit}")
        self._demand(request, 0 < stop < mark, f"its stop {stop} is not below the market {mark}")
        self._demand(request, price <= Decimal(intent["limit_price"]), "it pays more than was approved")
        self._demand(request, price % instrument.tick_size == 0, "its price is off the grid")
        if intent["purpose"] == "entry":
            base_value = folded.held(request.symbol) * mark
            self._demand(request, base_value < 2 * instrument.min_notional, f"an entry on top of {base_value} held")
        threshold = limits.approval_above_notional
        if threshold is not None and notional > threshold:
            said = rows(self.ledger, "SELECT * FROM approvals WHERE intent_id = ?", intent["intent_id"])
            yes = bool(said) and said[0]["state"] == "approved" and said[0]["decided_by"] == "ana"
            self._demand(request, yes and said[0]["content_hash"] == intent["content_hash"], "no operator approved it")

    async def _correlation(self, one: str, other: str, intent: Row) -> Decimal:
        """Pearson's, over log returns of the run's last 300 bars; a negative one offsets nothing."""
        as_of = datetime.fromisoformat(intent["created_at"])
        returns = []
        for symbol in (one, other):
            bars = await self._feed.bars(symbol, self._config.bars, as_of=as_of, limit=300)
            closes = [float(bar.close) for bar in bars]
            returns.append([math.log(after / before) for before, after in pairwise(closes)])
        return max(Decimal(correlation(*returns)), Decimal(0))

    def _state(self, request: OrderRequest, intent: Row) -> None:
        kept = rows(self.ledger, "SELECT content FROM account_risk")
        state = json.loads(kept[0]["content"])["trading_state"] if kept else "active"
        allowed = state == "active" or (state == "reducing" and intent["side"] == "sell")
        self._demand(request, allowed, f"the account is {state}")

    def _tempo(self, request: OrderRequest, intent: Row, now: datetime) -> None:
        limits = self._config.limits.desk
        sent = rows(
            self.ledger,
            "SELECT o.*, i.proposer FROM orders o JOIN intents i USING (intent_id) WHERE o.created_at > ?",
            (now - timedelta(days=1)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        )
        lately = [o for o in sent if datetime.fromisoformat(o["created_at"]) > now - timedelta(minutes=1)]
        own = intent["proposer"]
        bounds = {
            "orders a minute": (len(lately), limits.orders_per_minute),
            "orders a minute by one actor": (sum(o["proposer"] == own for o in lately), limits.orders_per_minute_per_actor),
            "orders a day": (len(sent), limits.orders_per_day),
            "orders a day by one actor": (sum(o["proposer"] == own for o in sent), limits.orders_per_day_per_actor),
        }
        for name, (found, limit) in bounds.items():
            self._demand(request, found <= limit, f"{name}: {found}, the limit {limit}")

    def _demand(self, request: OrderRequest, holds: bool, otherwise: str) -> None:
        if not holds:
            self._blame(request, otherwise)

    def _blame(self, request: OrderRequest, what: str) -> None:
        self.violations.append(f"order {request.client_order_id} ({request.side} {request.quantity} {request.symbol}): {what}")


def _remaining(order: Row) -> Decimal:
    return Decimal(order["quantity"]) - Decimal(order["filled"])


def audited(auditor: Auditor) -> type[PaperBroker]:
    """A paper exchange that has each order looked at before it takes it."""

    class Audited(PaperBroker):
        async def place(self, request: OrderRequest) -> OrderReport:
            await auditor.committed(request, self._clock.now())
            return await super().place(request)

    return Audited
