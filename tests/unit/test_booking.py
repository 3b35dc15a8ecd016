"""What the venue tells is written down once, in any order it may come, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUN, D, buy, sell
from tests.unit.feeds import BarFeed, flat
from tests.unit.paper_exchange import BTC, at, instrument
from tests.unit.told_venue import ToldVenue
from trading_core.brokers.base import Balance, OrderReport
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import FillConflict, LedgerError
from trading_core.domain.intents import TradeIntent, make_client_order_id
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import ABSENT_AFTER, OVERLAP, Booking
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.ledger import Ledger
from trading_core.execution.together import AT_ONCE
from trading_core.execution.transfers import Transfers
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

NOW = at(2)


@dataclass
class Books:
    ledger: Ledger
    booking: Booking
    venue: ToldVenue
    database: Database
    clock: SimulatedClock

    async def write(self, intent: TradeIntent, state: OrderState = OrderState.OPEN) -> Order:
        """An order of the desk, as far as `state`."""
        order = make_order(intent, make_request(intent, instrument(), None, WorkingStyle.NOW), None, NOW)
        async with self.database.transaction() as uow:
            await uow.intents.add(intent)
            await uow.orders.add(replace(order, state=state))
        return order

    async def order(self, intent: TradeIntent) -> Order:
        return await self.ledger.order(make_client_order_id(intent.intent_id))

    async def portfolio(self) -> Portfolio:
        async with self.database.reading() as uow:
            return await uow.portfolios.load(ACCOUNT)

    def report(self, intent: TradeIntent, state: OrderState, filled: str = "0") -> None:
        key = make_client_order_id(intent.intent_id)
        self.venue.reports[key] = OrderReport(key, "o-1", intent.symbol, state, D(filled), NOW, "as the venue says")


def fill(intent: TradeIntent, trade_id: str, quantity: str, *, seconds: float = 0, price: str = "100") -> Fill:
    fee = Money(D(quantity) * D("0.002"), "BTC") if intent.side.value == "buy" else Money(D("0.1"), "USDT")
    key = make_client_order_id(intent.intent_id)
    return Fill(trade_id, key, intent.symbol, intent.side, D(quantity), D(price), fee, NOW + timedelta(seconds=seconds))


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    async with await Database.open(tmp_path / "ledger.db") as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", D(100_000)), "told", NOW)
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, NOW, NOW))
        clock, venue = SimulatedClock(NOW), ToldVenue()
        ledger = Ledger(ACCOUNT, database, clock, LimitsBook(desk=LIMITS))
        booking = Booking(ledger, venue, clock, {BTC: instrument()})
        yield Books(ledger, booking, venue, database, clock)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OrderState.SUBMITTING, OrderState.PARTIALLY_FILLED),
        (OrderState.UNKNOWN, OrderState.PARTIALLY_FILLED),
        (OrderState.OPEN, OrderState.PARTIALLY_FILLED),
        (OrderState.CANCELLED, OrderState.CANCELLED),
        (OrderState.EXPIRED, OrderState.EXPIRED),
        (OrderState.REFUSED, OrderState.PARTIALLY_FILLED),
    ],
)
async def test_a_fill_is_booked_whatever_the_order_is_thought_to_be(books: Books, before: OrderState, after: OrderState) -> None:
    entry = buy("10")
    await books.write(entry, before)
    books.venue.told = [fill(entry, "t1", "4")]
    assert [booked.trade_id for booked in await books.booking.sync()] == ["t1"]
    assert (await books.order(entry)).state is after
    books.venue.told.append(fill(entry, "t2", "6", seconds=1))
    assert [booked.trade_id for booked in await books.booking.sync()] == ["t2"]
    assert (await books.order(entry)).state is OrderState.FILLED
    assert (await books.portfolio()).balances == {"USDT": D(99_000), "BTC": D("9.98")}


async def test_a_fill_is_booked_once(books: Books) -> None:
    entry = buy("10")
    await books.write(entry)
    books.venue.told = [fill(entry, "t1", "4"), fill(entry, "t1", "4")]
    assert len(await books.booking.sync()) == 1
    assert await books.booking.sync() == ()
    books.venue.told = [fill(entry, "t1", "5")]
    with pytest.raises(FillConflict, match="'t1'"):
        await books.booking.sync()
    assert (await books.order(entry)).filled == 4


async def test_a_trade_listed_late_behind_a_younger_one_is_not_missed(books: Books) -> None:
    entry = buy("10")
    await books.write(entry)
    books.venue.told = [fill(entry, "t2", "6", seconds=10)]
    await books.booking.sync()
    books.venue.told = [fill(entry, "t1", "4"), *books.venue.told]
    assert [booked.trade_id for booked in await books.booking.sync()] == ["t1"]
    assert books.venue.asked_since[-1] == NOW + timedelta(seconds=10) - OVERLAP
    assert (await books.order(entry)).state is OrderState.FILLED


async def test_a_venue_that_lists_its_newest_trade_first_is_understood(books: Books) -> None:
    entry, leave = buy("10"), sell("4")
    for intent in (entry, leave):
        await books.write(intent)
    books.venue.told = [fill(leave, "t2", "4"), fill(entry, "t1", "10")]  # at one instant, and the sale cannot come first
    assert [booked.trade_id for booked in await books.booking.sync()] == ["t1", "t2"]
    assert (await books.portfolio()).balances["BTC"] == D("5.98")


async def test_an_order_of_another_account_is_not_booked_on_this_one(books: Books) -> None:
    entry = buy("10", account_id="told-2", run_id="r2")
    async with books.database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened("told-2", "USDT", D(100_000)), "told", NOW)
        await uow.runs.start(RunRecord("r2", "told-2", RunKind.CYCLE, NOW, NOW))
    await books.write(entry)
    books.venue.told = [fill(entry, "t1", "4")]
    with pytest.raises(LedgerError, match="did not place"):
        await books.booking.sync()
    assert (await books.portfolio()).balances == {"USDT": D(100_000)}


async def test_more_than_was_ordered_is_not_booked(books: Books) -> None:
    entry = buy("10")
    await books.write(entry)
    books.venue.told = [fill(entry, "t1", "10.001")]
    with pytest.raises(FillConflict):
        await books.booking.sync()
    assert (await books.portfolio()).balances == {"USDT": D(100_000)}
    assert books.booking.known_at is None


@pytest.mark.parametrize("symbol", [BTC, "DOGE/USDT"])
async def test_a_fill_that_cannot_be_ours_is_not_booked(books: Books, symbol: str) -> None:
    entry = buy("10", symbol=symbol)
    if symbol != BTC:
        await books.write(entry)
    books.venue.told = [fill(entry, "t1", "4")]
    with pytest.raises(LedgerError, match="did not place" if symbol == BTC else "does not list"):
        await books.booking.sync()


@pytest.mark.parametrize("end", [OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REFUSED])
async def test_an_end_counts_when_the_fills_before_it_are_booked(books: Books, end: OrderState) -> None:
    entry = buy("10")
    await books.write(entry)
    books.report(entry, end, filled="4")
    await books.booking.sync()
    assert (await books.order(entry)).state is OrderState.OPEN
    books.venue.told = [fill(entry, "t1", "4")]
    await books.booking.sync()
    ended = await books.order(entry)
    # What has traded was not refused.
    assert ended.state is (OrderState.CANCELLED if end is OrderState.REFUSED else end)
    assert (ended.filled, ended.reason) == (4, "as the venue says")


async def test_a_fill_is_never_inferred(books: Books) -> None:
    entry = buy("10")
    await books.write(entry, OrderState.UNKNOWN)
    books.report(entry, OrderState.FILLED, filled="10")
    await books.booking.sync()
    assert ((await books.order(entry)).state, (await books.order(entry)).filled) == (OrderState.UNKNOWN, 0)
    assert (await books.portfolio()).balances == {"USDT": D(100_000)}


@pytest.mark.parametrize(
    ("state", "ends"),
    [
        (OrderState.SUBMITTING, True),
        (OrderState.UNKNOWN, True),
        (OrderState.OPEN, False),
        (OrderState.PARTIALLY_FILLED, False),
    ],
)
async def test_silence_ends_only_what_was_never_acknowledged(books: Books, state: OrderState, ends: bool) -> None:
    entry = buy("10")
    await books.write(entry, state)
    await books.clock.sleep(ABSENT_AFTER.total_seconds() - 0.001)
    await books.booking.sync()
    assert (await books.order(entry)).state is state
    await books.clock.sleep(0.001)
    await books.booking.sync()
    assert (await books.order(entry)).state is (OrderState.REFUSED if ends else state)


async def test_what_has_traded_is_not_absent(books: Books) -> None:
    entry = buy("10")
    await books.write(entry, OrderState.UNKNOWN)
    books.venue.told = [fill(entry, "t1", "4")]
    await books.booking.sync()
    async with books.database.transaction() as uow:
        order = await books.order(entry)
        moved = order.on(OrderEvent.AMBIGUOUS, at=NOW)
        await uow.orders.update(order, moved, OrderEvent.AMBIGUOUS, "a cancel went astray")
    await books.clock.sleep(3600)
    await books.booking.sync()
    assert (await books.order(entry)).state is OrderState.UNKNOWN


async def test_an_order_that_is_gone_and_listed_open_again_is_not_revived(books: Books) -> None:
    entry = buy("10")
    await books.write(entry, OrderState.CANCELLED)
    books.report(entry, OrderState.OPEN)  # a list behind its time
    await books.booking.sync()
    assert (await books.order(entry)).state is OrderState.CANCELLED


async def test_what_somebody_else_has_written_down_meanwhile_is_not_written_again(books: Books) -> None:
    entry = buy("10")
    await books.write(entry)
    books.report(entry, OrderState.CANCELLED)
    ledger = Ledger(ACCOUNT, books.database, books.clock, LimitsBook(desk=LIMITS))
    other = Booking(ledger, books.venue, books.clock, {BTC: instrument()})
    ask = books.venue.order

    async def overtaken(client_order_id: str, symbol: str) -> OrderReport | None:
        report = await ask(client_order_id, symbol)
        books.venue.order = ask
        await other.sync()
        return report

    books.venue.order = overtaken
    await books.booking.sync()
    async with books.database.reading() as uow:
        steps = await uow.orders.events(make_client_order_id(entry.intent_id))
    assert [step.event for step in steps] == [OrderEvent.CANCELLED]


async def test_orders_that_the_venue_no_longer_lists_are_asked_for_side_by_side(books: Books) -> None:
    entries = [buy("10", leg=str(number)) for number in range(AT_ONCE)]
    for entry in entries:
        await books.write(entry)
        books.report(entry, OrderState.CANCELLED)
    ask, met = books.venue.order, asyncio.Barrier(AT_ONCE)

    async def together(client_order_id: str, symbol: str) -> OrderReport | None:
        async with asyncio.timeout(30):
            await met.wait()
        return await ask(client_order_id, symbol)

    books.venue.order = together
    await books.booking.sync()
    assert [(await books.order(entry)).state for entry in entries] == AT_ONCE * [OrderState.CANCELLED]


async def test_an_answer_that_comes_too_late_moves_nothing(books: Books) -> None:
    entry = buy("10")
    order = await books.write(entry, OrderState.CANCELLED)
    after = await books.booking.apply(order.client_order_id, OrderEvent.ACCEPTED, when=lambda order: order.is_live)
    assert after.state is OrderState.CANCELLED
    async with books.database.reading() as uow:
        assert await uow.orders.events(order.client_order_id) == ()


async def test_the_account_is_known_as_of_when_it_was_asked_for(books: Books) -> None:
    slow = books.venue.open_orders

    async def open_orders() -> Sequence[OrderReport]:
        await books.clock.sleep(5)
        return await slow()

    books.venue.open_orders = open_orders
    await books.booking.sync()
    assert books.booking.known_at == NOW


async def test_profit_is_counted_over_all_fills_of_a_sale(books: Books) -> None:
    entry, leave = buy("10"), sell("9")
    await books.write(entry)
    await books.write(leave)
    books.venue.told = [fill(entry, "t1", "10")]
    # Bought 9.98 for 1000: the first half sold with a profit, the second with a loss, a loss in all.
    books.venue.told += [fill(leave, "t2", "4.5", seconds=1, price="101"), fill(leave, "t3", "4.5", seconds=2, price="99")]
    await books.booking.sync()
    risk = (await books.ledger.book()).risk_at(NOW)
    assert (risk.consecutive_losses, risk.last_loss_at) == (1, NOW + timedelta(seconds=2))
    realised = (await books.portfolio()).position(BTC).realised
    assert realised.quantize(Decimal("0.0001")) == (900 - D("0.2") - D(1000) / D("9.98") * 9).quantize(Decimal("0.0001"))


async def test_who_asks_while_the_venue_is_being_read_shares_the_next_reading(books: Books) -> None:
    ask, reading, go_on = books.venue.fills, asyncio.Event(), asyncio.Event()

    async def slow(*, since: datetime) -> Sequence[Fill]:
        reading.set()
        await go_on.wait()
        return await ask(since=since)

    books.venue.fills = slow
    first = asyncio.create_task(books.booking.sync())
    await reading.wait()
    others = [asyncio.create_task(books.booking.sync()) for _ in range(5)]
    await asyncio.sleep(0)
    entry = buy("10")
    await books.write(entry)
    books.venue.told = [fill(entry, "t1", "4")]
    go_on.set()
    assert [booked.trade_id for booked in await first] == ["t1"]
    assert await asyncio.gather(*others) == [()] * 5
    assert len(books.venue.asked_since) == 2


def test_a_loop_that_ends_while_the_venue_is_read_ends_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        async with await Database.open(tmp_path / "ledger.db") as database:
            venue, reading = ToldVenue(), asyncio.Event()

            async def silent(*, since: datetime) -> Sequence[Fill]:
                reading.set()
                await asyncio.sleep(60)
                return []

            venue.fills = silent
            clock = SimulatedClock(NOW)
            ledger = Ledger(ACCOUNT, database, clock, LimitsBook(desk=LIMITS))
            syncing = asyncio.create_task(Booking(ledger, venue, clock, {}).sync())
            await reading.wait()
            syncing.cancel()

    asyncio.run(leave())
    assert caplog.records == []


async def test_a_fill_in_the_middle_of_booking_transfers_is_no_transfer(books: Books) -> None:
    entry = buy("10")
    await books.write(entry)
    traded = fill(entry, "t1", "4")

    class Racing(ToldVenue):
        """Its order fills just before it tells the balances."""

        async def balances(self) -> dict[str, Balance]:
            books.venue.told = [traded]
            return {"USDT": Balance("USDT", D(99_600), D(0)), "BTC": Balance("BTC", D("3.992"), D(0))}

    listed = {BTC: instrument()}
    transfers = Transfers(
        books.ledger,
        books.booking,
        Racing(),
        BarFeed([instrument()], {BTC: [flat(hour) for hour in range(5)]}),
        books.clock,
        listed,
    )
    with pytest.raises(LedgerError, match="moved meanwhile"):
        await transfers.book(OPERATOR, "a deposit, one thought")
    assert (await books.portfolio()).balances == {"USDT": D(99_600), "BTC": D("3.992")}
    assert (await books.portfolio()).transferred == 0
    assert await transfers.book(OPERATOR, "again") == ()
