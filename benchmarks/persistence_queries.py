"""Every query that the desk makes while it trades, timed one by one on a history of `persistence_history.py`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy import Connection, Engine, event

from benchmarks.persistence_history import (
    ACCOUNT,
    AGENT,
    ORDERS_A_DAY,
    ORDERS_A_RUN,
    SESSION,
    SYMBOLS,
    History,
    client_order_id,
    intent_id,
    run_id,
)
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.domain.intents import Approval, ApprovalState, Check, RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderRequest, OrderType, Purpose, Side
from trading_core.execution.book import read_book
from trading_core.persistence.records import (
    DecisionRecord,
    EvidenceRecord,
    Outcome,
    PortfolioSnapshotRecord,
    RunKind,
    RunRecord,
    RunState,
)
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

ANYWHERE = "any age:"  # what an operator asks. The rows of years ago are on the disk, and nobody waits for them but a person
CONTROLS = ("risk.load", "risk.save")  # a table of one row, read and written: what these take longer, the machine does
_DAY, _MONTH = timedelta(days=1), timedelta(days=30)


@dataclass(slots=True)
class Timings:
    """Milliseconds of each query by name, the statements of each, and a hash over what was read."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    statements: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: Any = field(default_factory=hashlib.sha256)
    _running: str = ""

    async def time(self, name: str, work: Awaitable[object]) -> object:
        self._running = name
        began = time.perf_counter()
        found = await work
        self.taken.setdefault(name, []).append(1000 * (time.perf_counter() - began))
        self._running = ""
        return found

    @contextmanager
    def listening(self) -> Any:
        """Note the statements, so that those that grow can be explained."""

        def note(_c: Connection, _cursor: object, statement: str, parameters: Any, _x: object, many: bool) -> None:
            if self._running and not many and not statement.startswith("BEGIN"):
                self.statements.setdefault(self._running, {}).setdefault(statement, parameters)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    @property
    def fingerprint(self) -> str:
        return str(self.seen.hexdigest())[:12]


@dataclass(frozen=True, slots=True)
class Key:
    """Where in the history a query looks: the desk at what it did in the last day, an operator anywhere."""

    order: int
    anywhere: int
    symbol: str
    end: datetime

    @property
    def run(self) -> str:
        return run_id(self.order // ORDERS_A_RUN)

    @property
    def old_run(self) -> str:
        return run_id(self.anywhere // ORDERS_A_RUN)


Read = Callable[[UnitOfWork, Key], Awaitable[object]]

READS: Mapping[str, Read] = {
    "claims.version": lambda uow, key: uow.claims.version(ACCOUNT),
    "read_book, whole": lambda uow, key: read_book(uow, ACCOUNT, 1, key.end - _DAY),
    "portfolios.load": lambda uow, key: uow.portfolios.load(ACCOUNT),
    "orders.live": lambda uow, key: uow.orders.live(ACCOUNT),
    "intents.waiting": lambda uow, key: uow.intents.waiting(ACCOUNT),
    "orders.recent_with_proposer": lambda uow, key: uow.orders.recent_with_proposer(ACCOUNT, key.end - _DAY),
    "intents.last_entry": lambda uow, key: uow.intents.last_entry(ACCOUNT, key.symbol),
    "risk.load": lambda uow, key: uow.risk.load(ACCOUNT),
    "orders.get": lambda uow, key: uow.orders.get(client_order_id(key.order)),
    "intents.get": lambda uow, key: uow.intents.get(intent_id(key.order)),
    "intents.decisions_of": lambda uow, key: uow.intents.decisions_of(intent_id(key.order)),
    "intents.count": lambda uow, key: uow.intents.count(key.run, key.symbol, AGENT),
    "fills.of_order": lambda uow, key: uow.fills.of_order(client_order_id(key.order)),
    "fills.last_at": lambda uow, key: uow.fills.last_at(ACCOUNT),
    "orders.last_priced": lambda uow, key: uow.orders.last_priced(ACCOUNT, key.end - _MONTH, 5),
    "orders.events": lambda uow, key: uow.orders.events(client_order_id(key.order)),
    "approvals.get": lambda uow, key: uow.approvals.get(intent_id(key.order)),
    "approvals.pending": lambda uow, key: uow.approvals.pending(ACCOUNT),
    "decisions.recent": lambda uow, key: uow.decisions.recent(ACCOUNT, "signal", key.symbol, 5),
    "decisions.recent, new symbol": lambda uow, key: uow.decisions.recent(ACCOUNT, "signal", "NEW/USDT", 5),
    "decisions.of_run": lambda uow, key: uow.decisions.of_run(key.run),
    "decisions.of_input": lambda uow, key: uow.decisions.of_input("nothing was decided on this"),
    "intents.of_run": lambda uow, key: uow.intents.of_run(key.run),
    "orders.of_run": lambda uow, key: uow.orders.of_run(key.run),
    "runs.get": lambda uow, key: uow.runs.get(key.run),
    "runs.beginning": lambda uow, key: uow.runs.beginning(key.run, 4),
    "runs.recent": lambda uow, key: uow.runs.recent(20),
    "runs.last": lambda uow, key: uow.runs.last(SESSION),
    "runs.in_state": lambda uow, key: uow.runs.in_state(SESSION, RunState.RUNNING, RunState.WAITING),
    "runs.count_before": lambda uow, key: uow.runs.count_before(key.run),
    "runs.whole": lambda uow, key: uow.runs.whole(key.run),
    "portfolios.last_worth": lambda uow, key: uow.portfolios.last_worth(ACCOUNT),
    "risk.changes": lambda uow, key: uow.risk.changes(ACCOUNT),
    "answers.get": lambda uow, key: uow.answers.get("no answer has this key"),
    "audit.head": lambda uow, key: uow.audit.head(),
    "audit.newest": lambda uow, key: uow.audit.newest(20),
    f"{ANYWHERE} orders.get": lambda uow, key: uow.orders.get(client_order_id(key.anywhere)),
    f"{ANYWHERE} intents.get": lambda uow, key: uow.intents.get(intent_id(key.anywhere)),
    f"{ANYWHERE} runs.get": lambda uow, key: uow.runs.get(key.old_run),
    f"{ANYWHERE} runs.whole": lambda uow, key: uow.runs.whole(key.old_run),
}


async def measure_reads(database: Database, history: History, times: int, timings: Timings) -> None:
    """Each query over and over, in turn, each in a transaction of its own. What opening that costs is not counted."""
    luck = Random(1)  # noqa: S311  (where to look)
    for turn in range(times + 1):
        recent = history.finished - 1 - luck.randrange(min(ORDERS_A_DAY, history.finished))
        key = Key(recent, luck.randrange(history.finished), luck.choice(SYMBOLS), history.end)
        for name, read in READS.items():
            async with database.reading() as uow:
                if turn == 0:  # prepares statements and warms caches
                    await read(uow, key)
                    continue
                found = await timings.time(name, read(uow, key))
                timings.seen.update(f"{name} {found!r}\n".encode())


async def measure_writes(database: Database, history: History, times: int, timings: Timings) -> None:
    """A cycle with one trade, over and over: every statement on its way, and the commit at its end."""
    for turn in range(times):
        trade = _Trade(turn, history.end + (turn + 1) * timedelta(seconds=1))
        async with _committed(database, timings) as uow:
            for name, step in trade.steps(uow):
                await timings.time(name, step())
    async with database.reading() as uow:
        found = [await uow.runs.whole(_Trade(turn, history.end).run) for turn in range(times)]
        timings.seen.update(repr([(trail.run.state, trail.intents, trail.orders) for trail in found]).encode())


@asynccontextmanager
async def _committed(database: Database, timings: Timings) -> AsyncIterator[UnitOfWork]:
    """A transaction whose end is timed, too."""
    transaction = database.transaction()
    uow = await transaction.__aenter__()
    try:
        yield uow
    except BaseException as error:
        await transaction.__aexit__(type(error), error, error.__traceback__)
        raise
    await timings.time("commit", transaction.__aexit__(None, None, None))


class _Trade:
    """One run that buys something: all that the desk writes about it."""

    def __init__(self, number: int, at: datetime) -> None:
        self.run, self.at = f"traded-{number:06}", at
        self.symbol = SYMBOLS[number % len(SYMBOLS)]
        self.intent = wanted(self.run, self.symbol, at)
        self.order = ordered(self.intent)
        self.fill = Fill(
            f"traded-{number}", self.order.client_order_id, self.symbol, Side.BUY, Decimal(3), Decimal(100),
            Money(Decimal(0), "USDT"), at,
        )  # fmt: skip

    def steps(self, uow: UnitOfWork) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        """In the order of the desk, so that each finds what it refers to."""
        intent, order, run, at = self.intent, self.order, self.run, self.at
        open_order = order.on(OrderEvent.ACCEPTED, at=at)
        filled = open_order.on_fill(self.fill)
        approval = Approval(intent.intent_id, intent.content_hash, Decimal(100), at, at + _DAY)
        checks = tuple(Check(f"check_{n}", True, "1", "2") for n in range(8))
        verdict = RiskDecision(intent.intent_id, Verdict.APPROVED, checks, at)
        evidence = EvidenceRecord(run, "e1", "signal", self.symbol, "get_ticker", {}, {"last": "100"}, at)
        said = DecisionRecord(run, "signal", self.symbol, Outcome.ANSWERED, at, input_hash=run)
        worth = PortfolioSnapshotRecord(ACCOUNT, run, at, Decimal(100_000), Decimal(94_000))
        record = RunRecord(run, ACCOUNT, RunKind.CYCLE, at, at, session_id=SESSION)
        entry = AuditEntry(at, AGENT, AuditAction.ORDER_SUBMITTED, SubjectKind.ORDER, order.client_order_id)

        async def save() -> None:
            before = await uow.portfolios.load(ACCOUNT)
            balances = {**before.balances, "USDT": before.balances["USDT"] - Decimal("0.01")}
            await uow.portfolios.save(replace(before, balances=balances), before)

        return [
            ("claims.take", lambda: uow.claims.take(ACCOUNT)),
            ("runs.start", lambda: uow.runs.start(record)),
            ("evidence.put_many", lambda: uow.evidence.put_many([evidence])),
            ("decisions.put", lambda: uow.decisions.put(said)),
            ("intents.add", lambda: uow.intents.add(intent)),
            ("intents.add_decision", lambda: uow.intents.add_decision(verdict)),
            ("approvals.request", lambda: uow.approvals.request(approval)),
            (
                "approvals.decide",
                lambda: uow.approvals.decide(intent.intent_id, ApprovalState.APPROVED, by="desk", at=at),
            ),
            ("orders.add", lambda: uow.orders.add(order)),
            ("orders.update", lambda: uow.orders.update(order, open_order, OrderEvent.ACCEPTED)),
            ("fills.add", lambda: uow.fills.add(ACCOUNT, self.fill)),
            ("orders.update, filled", lambda: uow.orders.update(open_order, filled, OrderEvent.FULLY_FILLED)),
            ("portfolios.load and save", save),
            ("portfolios.record", lambda: uow.portfolios.record(worth)),
            ("risk.save", lambda: uow.risk.save(ACCOUNT, {"peak": "100000"}, at)),
            ("runs.set_state", lambda: uow.runs.set_state(run, RunState.DONE, at=at)),
            ("audit.append", lambda: uow.audit.append(entry)),
        ]


def wanted(run: str, symbol: str, at: datetime, leg: str = "") -> TradeIntent:
    """A buy that a run wants."""
    return TradeIntent(
        intent_id=hashlib.sha256(f"{run} {leg}".encode()).hexdigest(), run_id=run, account_id=ACCOUNT, proposer=AGENT,
        purpose=Purpose.ENTRY, symbol=symbol, side=Side.BUY, quantity=Decimal(3), type=OrderType.LIMIT, created_at=at,
        limit_price=Decimal(100), stop_price=Decimal(95),
    )  # fmt: skip


def ordered(intent: TradeIntent) -> Order:
    """The order that an intent becomes."""
    request = OrderRequest(
        make_client_order_id(intent.intent_id), intent.symbol, intent.side, intent.type, intent.quantity, intent.limit_price
    )
    return Order(
        request, intent.account_id, intent.intent_id, intent.run_id, intent.purpose, intent.created_at,
        arrival_price=Decimal(100),
    )  # fmt: skip
