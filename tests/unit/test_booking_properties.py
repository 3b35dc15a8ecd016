"""Whatever order a venue's words come in, however often, late or not at all: the books end as the set of unique fills."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.desk_cases import ACCOUNT, LIMITS, RUN, D, buy, sell
from tests.unit.paper_exchange import BTC, ETH, at, instrument
from tests.unit.told_venue import ToldVenue
from trading_core.brokers.base import OrderReport
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import LedgerError
from trading_core.domain.intents import TradeIntent, make_client_order_id
from trading_core.domain.money import ZERO, Money
from trading_core.domain.orders import Fill, Order, OrderState, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.book import read_book
from trading_core.execution.booking import Booking
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.ledger import Ledger
from trading_core.execution.verify import read_ledger
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

NOW = at(2)
INSTRUMENTS = {symbol: instrument(symbol) for symbol in (BTC, ETH)}
ENDS = [OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REFUSED]
# Where an order may stand in the ledger when the first word of the venue comes.
STARTS = [OrderState.SUBMITTING, OrderState.UNKNOWN, OrderState.OPEN]


@dataclass(frozen=True)
class Truth:
    """One order, and everything that ever happens to it at the venue: its fills, and its end if they do not fill it."""

    intent: TradeIntent
    start: OrderState
    fills: tuple[Fill, ...]
    end: OrderState

    @property
    def key(self) -> str:
        return make_client_order_id(self.intent.intent_id)

    def report(self, stage: int) -> OrderReport | None:
        """What the venue says of it at a stage: before it knows it (0), open, after each fill, and after its end."""
        done = sum((fill.quantity for fill in self.fills[: max(0, stage - 1)]), ZERO)
        if stage == 0:
            return None
        if stage > len(self.fills) + 1:
            state = self.end
        elif done:
            state = OrderState.PARTIALLY_FILLED if done < self.intent.quantity else OrderState.FILLED
        else:
            state = OrderState.OPEN
        return OrderReport(self.key, "v", self.intent.symbol, state, done, NOW, "as the venue says")

    @property
    def stages(self) -> int:
        return len(self.fills) + 3


@dataclass(frozen=True)
class Telling:
    """One reading of the venue: the fills that it lists, in this order and so often, each order's stage, and when."""

    fills: tuple[Fill, ...]
    stages: tuple[int, ...]
    after_seconds: float


@st.composite
def truths(draw: st.DrawFn) -> list[Truth]:
    """Orders whose fills all lie within the hour that is read again; every sale is of what earlier buys brought."""
    made: list[Truth] = []
    seconds = 0.0
    held = dict.fromkeys(INSTRUMENTS, ZERO)
    for number in range(draw(st.integers(2, 5))):
        symbol, lots = draw(st.sampled_from([BTC, BTC, ETH])), draw(st.lists(st.integers(1, 5000), max_size=4))
        selling = draw(st.booleans()) and held[symbol] > 0
        quantities = [D(lot) / 1000 for lot in lots]
        if selling:  # the fee is in base on a buy and in quote on a sale
            share = sum(quantities, ZERO) or D(1)
            quantities = [INSTRUMENTS[symbol].floor_quantity(quantity * held[symbol] / share) for quantity in quantities]
            quantities = [quantity for quantity in quantities if quantity]
        total = sum(quantities, ZERO)
        whole = bool(total) and draw(st.booleans())
        make = sell if selling else buy
        intent = make(total if whole else total + 1, leg=str(number), symbol=symbol)
        fills = []
        for index, quantity in enumerate(quantities):
            seconds += draw(st.sampled_from([0.0, 1.0, 60.0]))
            price = D(draw(st.integers(9000, 11000))) / 100
            fee = Money(D("0.1"), "USDT") if selling else Money(quantity * D("0.002"), symbol[:3])
            side, when = intent.side, NOW + timedelta(seconds=seconds)
            key = make_client_order_id(intent.intent_id)
            fills.append(Fill(f"t{number}.{index}", key, symbol, side, quantity, price, fee, when))
            held[symbol] += -quantity if selling else quantity * D("0.998")
        end = OrderState.FILLED if whole else draw(st.sampled_from(ENDS))
        made.append(Truth(intent, draw(st.sampled_from(STARTS)), tuple(fills), end))
    return made


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Truth], list[Telling]]:
    orders = draw(truths())
    every = [fill for order in orders for fill in order.fills]
    some = st.lists(st.sampled_from(every), max_size=8).map(tuple) if every else st.just(())
    stages = st.tuples(*(st.integers(0, order.stages - 1) for order in orders))
    tellings = draw(st.lists(st.builds(Telling, some, stages, st.sampled_from([0.0, 1.0, 9.0, 11.0])), max_size=6))
    last = Telling(tuple(draw(st.permutations(every + every))), tuple(order.stages - 1 for order in orders), 11.0)
    return orders, [*tellings, last, last, last]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with an account and a run in it."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"

    async def make() -> None:
        async with await Database.open(path) as database, database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", D(100_000)), "told", NOW)
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, NOW, NOW))

    asyncio.run(make())
    return path


@settings(max_examples=15)
@given(worlds())
def test_the_books_are_the_set_of_unique_fills(template: Path, world: tuple[list[Truth], list[Telling]]) -> None:
    _books_come_out_true(template, world)


@pytest.mark.slow
@settings(max_examples=100)
@given(worlds())
def test_the_books_are_the_set_of_unique_fills_in_many_worlds(template: Path, world: tuple[list[Truth], list[Telling]]) -> None:
    _books_come_out_true(template, world)


def _books_come_out_true(template: Path, world: tuple[list[Truth], list[Telling]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(shutil.copy(template, folder)), *world))


async def _play(path: Path, orders: Sequence[Truth], tellings: Sequence[Telling]) -> None:
    clock, venue = SimulatedClock(NOW), ToldVenue()
    async with Database(create_engine(parse_location(path))) as database:
        async with database.transaction() as uow:
            for truth in orders:
                request = make_request(truth.intent, INSTRUMENTS[truth.intent.symbol], None, WorkingStyle.NOW)
                await uow.intents.add(truth.intent)
                await uow.orders.add(replace(make_order(truth.intent, request, None, NOW), state=truth.start))
        ledger = Ledger(ACCOUNT, database, clock, LimitsBook(desk=LIMITS))
        booking = Booking(ledger, venue, clock, INSTRUMENTS)
        told: set[str] = set()
        for telling in tellings:
            await clock.sleep(telling.after_seconds)
            venue.told = list(telling.fills)
            reports = {truth.key: truth.report(stage) for truth, stage in zip(orders, telling.stages, strict=True)}
            venue.reports = {key: report for key, report in reports.items() if report is not None}
            told |= {fill.trade_id for fill in telling.fills}
            try:
                await booking.sync()
            except LedgerError:
                # The sale of what nobody has told was bought. Once everything is told it can be booked.
                assert telling is not tellings[-1]
            await _check(database, ledger, orders, told, clock.now())
        await _check_the_end(database, ledger, orders)


async def _check(database: Database, ledger: Ledger, truths: Sequence[Truth], told: set[str], now: datetime) -> None:
    true = {fill.trade_id: fill for truth in truths for fill in truth.fills}
    async with database.reading() as uow:
        kept = await read_ledger(uow, ACCOUNT)
        read = await read_book(uow, ACCOUNT, await uow.claims.version(ACCOUNT), now - timedelta(days=1))
    booked = {fill.trade_id: fill for fill in kept.fills}
    assert len(booked) == len(kept.fills)
    assert all(true[key] == fill and key in told for key, fill in booked.items())
    for record in kept.orders.values():
        filled = sum((fill.quantity for fill in kept.fills if fill.client_order_id == record.order.client_order_id), ZERO)
        assert record.order.filled == filled <= record.order.request.quantity
    assert kept.portfolio == Portfolio.opened(ACCOUNT, "USDT", D(100_000)).after_all(kept.fills, INSTRUMENTS)
    assert replace(await ledger.book(), recent=()) == replace(read, recent=())


async def _check_the_end(database: Database, ledger: Ledger, truths: Sequence[Truth]) -> None:
    book, after = await ledger.book(), Portfolio.opened(ACCOUNT, "USDT", D(100_000))
    fills = sorted((fill for truth in truths for fill in truth.fills), key=lambda fill: fill.at)
    true = after.after_all(fills, INSTRUMENTS)
    assert (book.live, book.waiting) == ({}, {}), "something is still reserved"
    assert (book.portfolio.balances, book.portfolio.fees) == (true.balances, true.fees)
    held = {symbol: position.quantity for symbol, position in book.portfolio.positions.items()}
    assert held == {symbol: position.quantity for symbol, position in true.positions.items()}
    async with database.reading() as uow:
        for truth in truths:
            order = await uow.orders.get(truth.key)
            assert order is not None
            assert _ended(order, truth), (order.state, truth.end)


def _ended(order: Order, truth: Truth) -> bool:
    """What traded in part was not refused; what nothing but silence was heard of for ten seconds was, and nothing traded."""
    if order.filled:
        return order.state is (OrderState.CANCELLED if truth.end is OrderState.REFUSED else truth.end)
    return order.state in (truth.end, OrderState.REFUSED)


def test_the_worlds_have_sales_and_parts_in_them() -> None:
    """Else the property above would say less than it seems to."""
    seen: set[tuple[Side, bool]] = set()
    ends: set[OrderState] = set()

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(worlds())
    def look(world: tuple[list[Truth], list[Telling]]) -> None:
        for truth in world[0]:
            seen.add((truth.intent.side, bool(truth.fills)))
            ends.add(truth.end)

    look()
    assert {(side, True) for side in Side} <= seen
    assert ends == {OrderState.FILLED, *ENDS}
