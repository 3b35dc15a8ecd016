"""What must hold whatever a model says, worked out again from the files of ledger and exchange, without the desk's own code.

`Auditor.committed` runs between the commit of an order and its sending: the account then is the one the gate decided on.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from statistics import correlation
from typing import Any

from graph.config import SessionConfig
from graph.events import RunEvent
from graph.folders import Folders
from trading_core.brokers.base import OrderReport
from trading_core.brokers.paper import PaperBroker
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed
from trading_core.domain.orders import OrderRequest

LIVE = ("submitting", "open", "partially_filled", "unknown")
PROPOSERS = {
    "entry": {"agent:risk"},
    "exit": {"agent:risk", "core"},
    "rebalance": {"agent:rebalancing"},
    "stop": {"core"},
}
LONGEST = {"decisions.answer": 120_000, "answers.answer": 400_000, "evidence.result": 60_000}
LONGEST_ELSEWHERE = 20_000
ROUNDING = Decimal("1e-9")  # of the correlations, which are floats
Row = dict[str, Any]


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
        live = rows(self.ledger, f"SELECT * FROM orders WHERE state IN ({','.join('?' * len(LIVE))})", *LIVE)  # noqa: S608
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

    def _sale(self, request: OrderRequest, live: list[Row]) -> None:
        promised = sum(
            (_remaining(o) for o in live if o["side"] == "sell" and o["symbol"] == request.symbol), Decimal(0)
        )  # this one included
        held = self._now_folded().held(request.symbol)
        self._demand(request, promised <= held, f"{promised} are promised to sales and {held} are held")
        self._demand(request, request.reduce_only, "a sale is not reduce-only")

    async def _buy(self, request: OrderRequest, intent: Row, live: list[Row], instrument: Instrument, now: datetime) -> None:
        limits, folded = self._config.limits, self._now_folded()
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
        bounds = {
            "order notional": (notional, limits.max_order_notional),
            "price collar": (abs(price - mark), limits.price_collar * mark),
            "risk per trade": (at_stop, limits.risk_per_trade * equity),
            "position": (position, limits.max_position * equity),
            "exposure": (sum(values.values()), limits.max_exposure * equity),
            "concentration": (sum(value * value for value in values.values()), limits.max_concentration * equity * equity),
            "correlated exposure": (together, limits.max_correlated_exposure * equity * (1 + ROUNDING)),
            "cash reserve": (limits.cash_reserve * equity, cash - reserved),
            "open positions": (len(positions), limits.max_positions),
            "open orders": (len(live), limits.max_open_orders),
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
            returns.append([math.log(after / before) for before, after in zip(closes, closes[1:], strict=False)])
        return max(Decimal(correlation(*returns)), Decimal(0))

    def _state(self, request: OrderRequest, intent: Row) -> None:
        kept = rows(self.ledger, "SELECT content FROM account_risk")
        state = json.loads(kept[0]["content"])["trading_state"] if kept else "active"
        allowed = state == "active" or (state == "reducing" and intent["side"] == "sell")
        self._demand(request, allowed, f"the account is {state}")

    def _tempo(self, request: OrderRequest, intent: Row, now: datetime) -> None:
        limits = self._config.limits
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


def verify(config: SessionConfig, folders: Folders, counts: Counter[str]) -> list[str]:
    """What must hold of a whole session once it is over. Adds what it saw to `counts`."""
    with (
        closing(sqlite3.connect(folders.ledger)) as ledger,
        closing(sqlite3.connect(folders.paper)) as paper,
        closing(sqlite3.connect(folders.answers)) as answers,
    ):
        return [
            *_runs(ledger),
            *_permissions(config, ledger),
            *_once(ledger, paper),
            *_books(config, ledger, paper, counts),
            *_sizes(ledger, counts),
            *_sizes(answers, counts),
        ]


def _runs(ledger: sqlite3.Connection) -> list[str]:
    return [
        f"run {row['id']} is {row['state']}: {row['error'][:200]}"
        for row in rows(ledger, "SELECT * FROM runs WHERE state != 'done'")
    ]


def _permissions(config: SessionConfig, ledger: sqlite3.Connection) -> list[str]:
    found = []
    for intent in rows(ledger, "SELECT * FROM intents"):
        if intent["account_id"] != "paper":
            found.append(f"intent {intent['intent_id']} is for account {intent['account_id']!r}")
        if intent["proposer"] not in PROPOSERS[intent["purpose"]]:
            found.append(f"intent {intent['intent_id']}: {intent['purpose']} proposed by {intent['proposer']!r}")
        if intent["symbol"] not in config.symbols:
            found.append(f"intent {intent['intent_id']} is for {intent['symbol']!r}")
    found += [f"an account {row['id']!r} exists" for row in rows(ledger, "SELECT id FROM accounts WHERE id != 'paper'")]
    decided = rows(ledger, "SELECT * FROM approvals WHERE state != 'pending' AND decided_by != 'ana'")
    found += [f"an approval was decided by {row['decided_by']!r}" for row in decided]
    for change in rows(ledger, "SELECT * FROM risk_state_changes"):
        if (change["actor"], change["from_state"], change["to_state"]) != ("core", "active", "reducing"):
            found.append(f"{change['actor']!r} changed the state from {change['from_state']} to {change['to_state']}")
    for session in rows(ledger, "SELECT * FROM sessions"):
        if json.loads(session["config"]) != config.stored():
            found.append("the session's settings were changed")
    verdicts: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows(ledger, "SELECT intent_id, verdict FROM risk_decisions"):
        verdicts[row["intent_id"]].add(row["verdict"])
    approved = {row["intent_id"] for row in rows(ledger, "SELECT intent_id FROM approvals WHERE state = 'approved'")}
    for order in rows(ledger, "SELECT intent_id FROM orders"):
        said, key = verdicts[order["intent_id"]], order["intent_id"]
        if "denied" in said or not ("approved" in said or ("needs_approval" in said and key in approved)):
            found.append(f"intent {key} became an order although the gate said {sorted(said)}")
    return found


def _once(ledger: sqlite3.Connection, paper: sqlite3.Connection) -> list[str]:
    found = []
    twice = {
        "orders of one intent": "SELECT intent_id AS k FROM orders GROUP BY intent_id HAVING count(*) > 1",
        "one venue order": "SELECT venue_order_id AS k FROM orders WHERE venue_order_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1",
        "intents of one run, purpose and symbol": "SELECT run_id || purpose || symbol AS k FROM intents WHERE proposer != 'core' "
        "GROUP BY 1 HAVING count(*) > 1",
        "fills of one trade": "SELECT trade_id AS k FROM fills GROUP BY 1 HAVING count(*) > 1",
    }
    for name, query in twice.items():
        found += [f"{name} twice: {row['k']}" for row in rows(ledger, query)]
    ours = {row["client_order_id"]: row for row in rows(ledger, "SELECT * FROM orders")}
    theirs = {row["client_order_id"]: row for row in rows(paper, "SELECT * FROM orders")}
    found += [f"the exchange has order {key}, which the ledger has not" for key in theirs.keys() - ours.keys()]
    missing = [key for key in ours.keys() - theirs.keys() if ours[key]["state"] != "refused"]
    found += [f"the ledger has order {key}, {ours[key]['state']}, which the exchange has not" for key in missing]
    for key in ours.keys() & theirs.keys():
        if Decimal(ours[key]["filled"]) != Decimal(theirs[key]["filled"]):
            found.append(f"order {key}: {ours[key]['filled']} filled here, {theirs[key]['filled']} at the exchange")
    return found


def _books(config: SessionConfig, ledger: sqlite3.Connection, paper: sqlite3.Connection, counts: Counter[str]) -> list[str]:
    found, folded = [], Folded(config.currency, config.deposit)
    limits = {row["client_order_id"]: row for row in rows(ledger, "SELECT * FROM orders")}
    fills = rows(ledger, "SELECT * FROM fills ORDER BY sequence")
    for fill in fills:
        folded.book(fill)
        if any(amount < 0 for amount in folded.balances.values()):
            found.append(f"after fill {fill['trade_id']} a balance is below zero: {dict(folded.balances)}")
        limit = exact(limits[fill["client_order_id"]]["limit_price"])
        if limit is not None and fill["side"] == "buy" and Decimal(fill["price"]) > limit:
            found.append(f"fill {fill['trade_id']} cost {fill['price']}, its limit {limit}")
    columns = ("trade_id", "client_order_id", "symbol", "side", "quantity", "price", "fee", "fee_asset")
    at_venue = rows(paper, "SELECT * FROM fills")
    if {tuple(map(fill.get, columns)) for fill in fills} != {tuple(map(fill.get, columns)) for fill in at_venue}:
        found.append("the ledger's fills are not the exchange's")
    here = {asset: amount for asset, amount in folded.balances.items() if amount}
    for name, source in (
        ("ledger", rows(ledger, "SELECT asset, amount FROM balances")),
        ("exchange", rows(paper, "SELECT asset, total AS amount FROM balances")),
    ):
        kept = {row["asset"]: Decimal(row["amount"]) for row in source if Decimal(row["amount"])}
        if kept != here:
            found.append(f"the {name}'s balances {kept} do not follow from the fills: {here}")
    counts["fills"] += len(fills)
    counts["orders filled"] += sum(Decimal(order["filled"]) > 0 for order in limits.values())
    counts["orders refused by the exchange"] += sum(order["state"] == "refused" for order in limits.values())
    return found


def _sizes(database: sqlite3.Connection, counts: Counter[str]) -> list[str]:
    """No text of a model is kept at any length, failed answers included."""
    found = []
    for table in rows(database, "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'snapshots'"):
        for column in rows(database, f"PRAGMA table_info({table['name']})"):
            where = f"{table['name']}.{column['name']}"
            (row,) = rows(database, f'SELECT max(length("{column["name"]}")) AS most FROM "{table["name"]}"')  # noqa: S608
            most = row["most"] or 0
            if table["name"] in ("decisions", "evidence", "answers", "intents", "runs", "orders", "order_events"):
                counts[f"longest {where}"] = max(counts[f"longest {where}"], most if most > 300 else 0)
            if most > LONGEST.get(where, LONGEST_ELSEWHERE):
                found.append(f"{where} holds a text of {most} characters")
    return found
