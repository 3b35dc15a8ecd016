"""A desk over a real database, the real gate and the paper exchange, reached through a connection that can be cut."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from tests.unit.feeds import BarFeed, flat
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH, PLAIN, at, instrument
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Action, Principal, operator
from trading_core.brokers.base import Balance, Broker, OrderReport, Update
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict, make_client_order_id, make_intent_id
from trading_core.domain.market import Bar, Timeframe
from trading_core.domain.orders import Fill, Order, OrderRequest, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.session import Database
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

D = Decimal
ACCOUNT, RUN = "paper-1", "r1"
# Wide open where a test is about something else; a test about a limit narrows it.
LIMITS = Limits(
    max_order_notional=D(100_000),
    approval_above_notional=None,
    cash_reserve=D(0),
    risk_per_trade=D(1),
    max_position=D(1),
    max_exposure=D(1),
    max_concentration=D(1),
    max_correlated_exposure=D(1),
    fat_finger_factor=D(1000),
    daily_loss=D(1),
    drawdown=D(1),
    consecutive_losses=1000,
    max_open_orders=1000,
    orders_per_minute=1000,
    orders_per_minute_per_actor=1000,
    orders_per_day=10_000,
    orders_per_day_per_actor=10_000,
    duplicate_window_seconds=0,
    max_price_age_seconds=7200,
)
TRADER = Principal(
    "trader",
    frozenset({Action.PROPOSE_ENTRY, Action.PROPOSE_EXIT, Action.PROPOSE_REBALANCE, Action.PROPOSE_STOP, Action.SUBMIT}),
    frozenset({ACCOUNT}),
)
OPERATOR, RUNNER = operator("olga", ACCOUNT), runner(ACCOUNT)
QUIET: Mapping[str, Sequence[Bar]] = {symbol: [flat(hour, volume="100000") for hour in range(100)] for symbol in (BTC, ETH)}


class Fault(StrEnum):
    """What can become of a call that changes something."""

    REPLY_LOST = "reply lost"  # the venue did it, and nobody heard
    NEVER_ARRIVED = "never arrived"
    LATE = "late"  # given up on, and it still arrives: when the test says so
    REFUSED = "refused"
    HANGS = "hangs"  # arrives, and the reply comes when the test says so
    HANGS_AND_LOST = "hangs, and is lost"
    DIES_BEFORE = "this process dies before the call"
    DIES_AFTER = "this process dies before the reply is written down"


class Died(Exception):
    """Stands for the end of this process: the test goes on with another desk."""


@dataclass
class LossyBroker:
    """A `Broker` that forwards to another one over a bad line.

    Attributes:
        on_place, on_cancel: faults of the next calls, in their order; None and calls beyond them go through.
        sending: set to let orders leave that are held back in the wire; nothing is held back at first.
        called, executed: set when an order was given to this broker, and when one has reached the venue.
        reads_fail: whether every read fails.
        attempted: every order that was given to this broker, whatever became of it.
        arrived: every order that the venue took.
        late: orders that have not arrived yet.
        hanging: set to let replies through that hang.
    """

    venue_side: Broker
    on_place: list[Fault | None] = field(default_factory=list)
    on_cancel: list[Fault | None] = field(default_factory=list)
    reads_fail: bool = False
    attempted: list[OrderRequest] = field(default_factory=list)
    arrived: list[OrderRequest] = field(default_factory=list)
    late: list[OrderRequest] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    sending: asyncio.Event | None = None
    called: asyncio.Event = field(default_factory=asyncio.Event)
    executed: asyncio.Event = field(default_factory=asyncio.Event)
    venue: str = "paper"
    is_paper: bool = True

    async def place(self, request: OrderRequest) -> OrderReport:
        self.called.set()
        self.attempted.append(request)
        fault = self.on_place.pop(0) if self.on_place else None
        if fault is Fault.DIES_BEFORE:
            raise Died
        if fault is Fault.REFUSED:
            raise OrderRefused("the venue does not want it")
        if fault is Fault.NEVER_ARRIVED:
            raise AmbiguousOutcome("no answer in time")
        if fault is Fault.LATE:
            self.late.append(request)
            raise AmbiguousOutcome("no answer in time")
        if self.sending is not None:
            await self.sending.wait()
        report = await self._forward(request)
        if fault is Fault.DIES_AFTER:
            raise Died
        if fault in (Fault.HANGS, Fault.HANGS_AND_LOST):
            await self.hanging.wait()
        if fault in (Fault.REPLY_LOST, Fault.HANGS_AND_LOST):
            raise AmbiguousOutcome("the connection broke")
        return report

    async def deliver(self) -> None:
        """What was late arrives, and the venue may not want it any more."""
        while self.late:
            with suppress(OrderRefused):
                await self._forward(self.late.pop(0))

    async def _forward(self, request: OrderRequest) -> OrderReport:
        report = await self.venue_side.place(request)
        self.arrived.append(request)
        self.executed.set()
        return report

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        fault = self.on_cancel.pop(0) if self.on_cancel else None
        if fault is Fault.REFUSED:
            raise OrderRefused("no such order")
        if fault is Fault.NEVER_ARRIVED:
            raise AmbiguousOutcome("no answer in time")
        report = await self.venue_side.cancel(client_order_id, symbol)
        if fault is Fault.REPLY_LOST:
            raise AmbiguousOutcome("the connection broke")
        return report

    async def instruments(self) -> Mapping[str, Instrument]:
        return await self.venue_side.instruments()

    async def balances(self) -> Mapping[str, Balance]:
        self._check_line()
        return await self.venue_side.balances()

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        self._check_line()
        return await self.venue_side.order(client_order_id, symbol)

    async def open_orders(self) -> Sequence[OrderReport]:
        self._check_line()
        return await self.venue_side.open_orders()

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        self._check_line()
        return await self.venue_side.fills(since=since)

    def updates(self) -> AsyncIterator[Update]:
        return self.venue_side.updates()

    async def close(self) -> None:
        await self.venue_side.close()

    def _check_line(self) -> None:
        if self.reads_fail:
            raise BrokerUnavailable("the line is down")


@dataclass
class World:
    """A desk and everything around it."""

    desk: Desk
    broker: LossyBroker
    database: Database
    clock: SimulatedClock
    feed: BarFeed
    limits: Limits

    def go(self, hours: float) -> None:
        """Move the clock to `hours` after the start of the bars."""
        self.clock.advance_to(at(hours))

    def another_desk(self, **changes: object) -> Desk:
        """A second desk of the same account: a new process, or another task."""
        parts: dict[str, object] = {
            "account_id": ACCOUNT,
            "database": self.database,
            "broker": self.broker,
            "feed": self.feed,
            "clock": self.clock,
            "limits": self.limits,
            "instruments": self.desk.instruments,
            "principals": {who.name: who for who in (TRADER, OPERATOR)},
        }
        parts |= changes
        if isinstance(parts["limits"], Limits):
            parts["limits"] = LimitsBook(desk=parts["limits"])
        return Desk(**parts)

    async def settle(self, seconds: float = 1) -> None:
        """Let orders arrive, then book what happened."""
        await self.clock.sleep(seconds)
        await self.desk.sync(RUNNER)

    async def send(self, intent: TradeIntent, style: WorkingStyle = WorkingStyle.NOW) -> Order:
        """Propose and submit what the gate is expected to let pass."""
        decision = await self.desk.propose(TRADER, intent)
        assert decision.verdict is Verdict.APPROVED, decision.failed
        sent = await self.desk.submit(TRADER, intent.intent_id, style)
        assert isinstance(sent, Order), sent.failed
        return sent

    async def hold(self, quantity: str = "10", symbol: str = BTC, stop: str = "90") -> TradeIntent:
        """Buy, and wait until the stop is in place."""
        intent = buy(quantity, symbol=symbol, stop_price=D(stop), intent_id=make_intent_id(RUN, Purpose.ENTRY, symbol, "hold"))
        await self.send(intent)
        await self.settle()
        await self.settle()
        return intent

    async def order(self, intent: TradeIntent) -> Order:
        async with self.database.reading() as uow:
            found = await uow.orders.get(make_client_order_id(intent.intent_id))
        assert found is not None
        return found

    async def orders(self, purpose: Purpose | None = None, *, live: bool = False) -> list[Order]:
        async with self.database.reading() as uow:
            found = await uow.orders.all(ACCOUNT)
        return [order for order in found if purpose in (None, order.purpose) and (order.is_live or not live)]

    async def covered(self, symbol: str = BTC) -> Decimal:
        """Base quantity under live stops, as the ledger has it."""
        stops = await self.orders(Purpose.STOP, live=True)
        return sum((order.remaining for order in stops if order.symbol == symbol), D(0))

    async def held(self, symbol: str = BTC) -> Decimal:
        return (await self.desk.account(RUNNER)).portfolio.position(symbol).quantity

    async def decisions(self, intent: TradeIntent) -> list[Verdict]:
        async with self.database.reading() as uow:
            return [decision.verdict for decision in await uow.intents.decisions_of(intent.intent_id)]

    async def end_run(self, run_id: str = RUN) -> None:
        async with self.database.transaction() as uow:
            await uow.runs.set_state(run_id, RunState.DONE, at=self.clock.now())

    async def start_run(self, run_id: str) -> None:
        async with self.database.transaction() as uow:
            await uow.runs.start(RunRecord(run_id, ACCOUNT, RunKind.CYCLE, at(1), at(1)))


_templates: list[Path] = []


async def migrated(path: Path) -> None:
    """A new ledger at `path`, from one that this process has run the migrations on; one that is there stays."""
    if path.exists():  # noqa: ASYNC240 - a moment, in a test
        return
    if not _templates:
        template = Path(tempfile.mkdtemp(prefix="ledger-")) / "template.db"
        atexit.register(shutil.rmtree, template.parent, ignore_errors=True)
        await (await Database.open(template)).close()
        _templates.append(template)
    shutil.copy(_templates[0], path)


@asynccontextmanager
async def open_world(
    folder: Path,
    bars: Mapping[str, Sequence[Bar]] = QUIET,
    *,
    limits: Limits = LIMITS,
    rules: PaperRules = PLAIN,
    half_spread: str = "0",
    synced: bool = True,
    hours: float = 1,
    **changes: object,
) -> AsyncIterator[World]:
    """A desk `hours` after the start of the bars, on new files or on those of an earlier one. `changes` are to the limits."""
    limits = Limits.model_validate({**limits.model_dump(), **changes})
    feed = BarFeed([instrument(symbol) for symbol in bars], bars, half_spread=half_spread)
    clock = SimulatedClock(at(hours))
    venue = PaperBroker(
        feed, clock, Timeframe("1h"), account_id=ACCOUNT, deposit=DEPOSIT, store=PaperStore(folder / "venue.db"), rules=rules
    )
    await migrated(folder / "ledger.db")
    async with venue, await Database.open(folder / "ledger.db") as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), "paper", clock.now())
        broker = LossyBroker(venue)
        desk = Desk(
            account_id=ACCOUNT,
            database=database,
            broker=broker,
            feed=feed,
            clock=clock,
            limits=LimitsBook(desk=limits),
            instruments=await feed.instruments(),
            principals={who.name: who for who in (TRADER, OPERATOR)},
        )
        world = World(desk, broker, database, clock, feed, limits)
        await world.start_run(RUN)
        if synced:
            await desk.sync(RUNNER)
        yield world


def buy(quantity: D | str = "10", leg: str = "", **changes: object) -> TradeIntent:
    """A limit buy at 101, through a market at 100, with its stop at 90."""
    symbol = str(changes.get("symbol", BTC))
    blank = TradeIntent(
        intent_id=make_intent_id(RUN, Purpose.ENTRY, symbol, leg),
        run_id=RUN,
        account_id=ACCOUNT,
        proposer=TRADER.name,
        purpose=Purpose.ENTRY,
        symbol=symbol,
        side=Side.BUY,
        quantity=D(quantity),
        type=OrderType.LIMIT,
        created_at=at(1),
        limit_price=D(101),
        stop_price=D(90),
    )
    return replace(blank, **changes)


def sell(quantity: D | str = "10", leg: str = "", **changes: object) -> TradeIntent:
    """A market sale."""
    symbol = str(changes.get("symbol", BTC))
    blank = buy(quantity, symbol=symbol, purpose=Purpose.EXIT, side=Side.SELL, type=OrderType.MARKET)
    blank = replace(blank, limit_price=None, stop_price=None, intent_id=make_intent_id(RUN, Purpose.EXIT, symbol, leg))
    return replace(blank, **changes)


def codes(answer: Order | RiskDecision) -> tuple[str, ...]:
    """Why the gate said no."""
    assert isinstance(answer, RiskDecision), f"it was sent: {answer}"
    return answer.reason_codes
