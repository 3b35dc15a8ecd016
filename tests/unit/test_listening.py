"""A desk that listens: each fill is booked once whichever way it comes, and what cannot be followed is read."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.bookkeeping import Bookkeeping
from graph.events import RunEvent
from graph.tending import Intervals, tending
from tests.unit.desk_cases import ACCOUNT, LIMITS, RUNNER, TRADER, D, Fault, LossyBroker, World, buy, open_world
from tests.unit.paper_exchange import BTC
from tests.unit.test_booking_properties import INSTRUMENTS, NOW, Truth, _check, _check_the_end, template, truths
from tests.unit.told_venue import ToldVenue
from tests.waiting import until
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AlgoTrendyError, BrokerUnavailable, FillConflict, LedgerError
from trading_core.domain.intents import Verdict, make_client_order_id
from trading_core.domain.orders import Fill, Order, OrderState, Purpose
from trading_core.execution.booking import Booking
from trading_core.execution.desk import Desk, Synced
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.ledger import Ledger
from trading_core.persistence.engines import create_engine, parse_location
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

__all__ = ["template"]


@dataclass(frozen=True)
class Step:
    """What reaches the ledger next: a reading of the venue, or some updates of its stream at once."""

    is_read: bool
    updates: tuple[Fill | OrderReport, ...]


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[list[Truth], list[Step]]:
    """Everything that happens to a few orders, told and read in any order and so often as it may be; read to the end at last."""
    orders = draw(truths())
    fills: list[Fill | OrderReport] = [fill for order in orders for fill in order.fills]
    reports = [report for order in orders for stage in range(order.stages) if (report := order.report(stage)) is not None]
    some = st.lists(st.sampled_from(fills + reports), max_size=6).map(tuple)
    return orders, draw(st.lists(st.builds(Step, st.booleans(), some), max_size=10))


@settings(max_examples=25, deadline=None)
@given(interleavings())
def test_the_ledger_ends_the_same_however_stream_and_reading_interleave(
    template: Path, world: tuple[list[Truth], list[Step]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(shutil.copy(template, folder)), *world))


async def _play(path: Path, orders: Sequence[Truth], steps: Sequence[Step]) -> None:
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
        for step in steps:
            told |= {update.trade_id for update in step.updates if isinstance(update, Fill)}
            venue.told = [update for update in step.updates if isinstance(update, Fill)]
            venue.reports = {update.client_order_id: update for update in step.updates if isinstance(update, OrderReport)}
            with suppress(LedgerError):  # the sale of what nobody has told was bought: once everything is told it can be booked
                await (booking.sync() if step.is_read else booking.hear(step.updates))
            await _check(database, ledger, orders, told, clock.now())
        venue.told = [fill for truth in orders for fill in truth.fills]
        venue.reports = {truth.key: report for truth in orders if (report := truth.report(truth.stages - 1)) is not None}
        for _ in range(3):
            await clock.sleep(11)
            await booking.sync()
        await _check_the_end(database, ledger, orders)


@dataclass
class Whisperer(LossyBroker):
    """A venue whose stream tells what the test says, after `Missed`."""

    whispers: asyncio.Queue[Update] = field(default_factory=asyncio.Queue)
    readings: int = 0
    refuses: str = ""

    async def updates(self) -> AsyncIterator[Update]:
        if self.refuses:
            raise BrokerUnavailable(self.refuses)
        yield Missed()
        while True:
            yield await self.whispers.get()

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        self.readings += 1
        return await super().fills(since=since)


@dataclass
class Listener:
    desk: Desk
    venue: Whisperer
    heard: list[Synced | AlgoTrendyError] = field(default_factory=list)

    @property
    def fills(self) -> list[Fill]:
        return [fill for each in self.heard if isinstance(each, Synced) for fill in each.fills]

    @property
    def errors(self) -> list[AlgoTrendyError]:
        return [each for each in self.heard if isinstance(each, AlgoTrendyError)]

    async def until(self, done: Callable[[], bool]) -> None:
        await until(done, lambda: str(self.heard))


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[Listener]:
    """A desk that listens and has read the venue once."""
    venue = Whisperer(world.broker.venue_side)
    listener = Listener(world.another_desk(broker=venue), venue)

    async def listen() -> None:
        async for each in listener.desk.listen(RUNNER):
            listener.heard.append(each)

    task = asyncio.create_task(listen())
    try:
        await listener.until(lambda: bool(listener.heard))
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def venue_fills(world: World) -> Sequence[Fill]:
    await world.clock.sleep(1)
    return await world.broker.venue_side.fills(since=NOW.replace(year=2000))


async def test_a_fill_that_is_told_is_booked_and_what_was_bought_is_under_a_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        entry = buy()
        await world.send(entry)
        readings = listener.venue.readings
        (fill,) = await venue_fills(world)
        for _ in range(2):
            listener.venue.whispers.put_nowait(fill)
        await listener.until(lambda: bool(listener.fills))
        await listener.until(lambda: any(isinstance(each, Synced) and each.placed for each in listener.heard))
        assert listener.fills == [fill]
        assert (await world.order(entry)).state is OrderState.FILLED
        assert await world.covered() == D("9.98")
        assert listener.venue.readings == readings, "nothing had to be read"
        assert await world.desk.agrees(RUNNER)
        assert (await world.desk.sync(RUNNER)).fills == ()


async def test_an_end_counts_when_its_fills_are_booked_and_until_then_is_read(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        entry = buy()
        await world.send(entry)
        await venue_fills(world)
        key = make_client_order_id(entry.intent_id)
        report = await world.broker.venue_side.order(key, BTC)
        assert report is not None
        assert report.state is OrderState.FILLED
        listener.venue.whispers.put_nowait(report)
        await listener.until(lambda: bool(listener.fills))
        assert (await world.order(entry)).state is OrderState.FILLED


async def test_a_burst_of_reasons_to_read_is_one_reading(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        before = listener.venue.readings
        for _ in range(100):
            listener.venue.whispers.put_nowait(Missed())
        await listener.until(lambda: listener.venue.whispers.empty() and listener.venue.readings > before)
        await asyncio.sleep(0.05)
        assert listener.venue.readings - before <= 2


async def test_a_stream_that_broke_is_told_and_read(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        entry = buy()
        await world.send(entry)
        await world.clock.sleep(1)
        listener.venue.whispers.put_nowait(Missed("the line broke"))
        await listener.until(lambda: bool(listener.fills))
        assert [error.what for error in listener.errors] == ["the line broke"]


async def test_an_order_of_somebody_else_is_read_and_then_nothing_is_entered(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        await world.broker.venue_side.place(
            replace(make_request(buy(limit_price=D(50)), INSTRUMENTS[BTC], None, WorkingStyle.NOW), client_order_id="theirs")
        )
        report = await world.broker.venue_side.order("theirs", BTC)
        assert report is not None
        listener.venue.whispers.put_nowait(report)
        await listener.until(lambda: bool(listener.errors))
        assert isinstance(listener.errors[0], LedgerError)
        decision = await listener.desk.propose(TRADER, buy())
        assert decision.verdict is Verdict.DENIED


async def test_two_tales_of_one_trade_stop_entries_and_not_the_listening(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        first = buy()
        await world.send(first)
        (fill,) = await venue_fills(world)
        listener.venue.whispers.put_nowait(fill)
        await listener.until(lambda: bool(listener.fills))
        listener.venue.whispers.put_nowait(replace(fill, price=fill.price + 1))
        await listener.until(lambda: bool(listener.errors))
        assert isinstance(listener.errors[0], FillConflict)
        assert (await listener.desk.propose(TRADER, buy("1", leg="second"))).verdict is Verdict.DENIED
        found, _ = await listener.desk.reconcile(RUNNER)
        assert found.agrees
        assert (await listener.desk.propose(TRADER, buy("1", leg="third"))).verdict is Verdict.APPROVED
        assert await world.held() == D("9.98")


async def test_a_refused_order_that_is_told_as_open_is_read_and_not_believed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        entry = buy()
        listener.venue.on_place = [Fault.REFUSED]
        await listener.desk.propose(TRADER, entry)
        refused = await listener.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW)
        assert isinstance(refused, Order)
        assert refused.state is OrderState.REFUSED
        readings = listener.venue.readings
        late = OrderReport(refused.client_order_id, "o-1", BTC, OrderState.OPEN, D(0), world.clock.now())
        listener.venue.whispers.put_nowait(late)
        await listener.until(lambda: listener.venue.readings > readings)
        assert (await world.order(entry)).state is OrderState.REFUSED


async def test_an_order_that_has_ended_does_not_come_back_by_what_is_told_late(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, listening(world) as listener:
        entry = buy(limit_price=D(96))
        await world.send(entry)
        key = make_client_order_id(entry.intent_id)
        await world.clock.sleep(1)
        report = await world.broker.venue_side.cancel(key, BTC)
        await world.clock.sleep(1)
        await world.desk.sync(RUNNER)
        readings = listener.venue.readings
        listener.venue.whispers.put_nowait(replace(report, state=OrderState.OPEN))
        await asyncio.sleep(0.1)
        assert (await world.order(entry)).state is OrderState.CANCELLED
        assert listener.venue.readings == readings


@dataclass
class Ending(Whisperer):
    """A venue whose stream ends for good while the desk is reading."""

    is_read: asyncio.Event = field(default_factory=asyncio.Event)

    async def updates(self) -> AsyncIterator[Update]:
        yield Missed()
        await self.is_read.wait()
        raise BrokerUnavailable("the key was taken back")

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        self.is_read.set()
        await asyncio.sleep(0.05)
        return await super().fills(since=since)


async def test_what_is_being_read_when_the_stream_ends_is_told_all_the_same(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        desk, heard = world.another_desk(broker=Ending(world.broker.venue_side)), list[Synced | AlgoTrendyError]()
        await world.send(buy())
        await world.clock.sleep(1)

        async def listen() -> None:
            async for each in desk.listen(RUNNER):
                heard.append(each)

        with pytest.raises(BrokerUnavailable, match="taken back"):
            await listen()
        assert [fill.quantity for each in heard if isinstance(each, Synced) for fill in each.fills] == [D(10)]


async def test_a_venue_that_does_not_stream_is_told_once_and_read_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[RunEvent] = []
    async with open_world(tmp_path) as world:
        venue = Whisperer(world.broker.venue_side, refuses="this key may not listen")
        desk = world.another_desk(broker=venue)
        books = Bookkeeping(desk, world.database, world.clock, RUNNER, told.append)
        await world.send(buy())
        await world.clock.sleep(1)
        async with tending(books, Intervals(look=0.01, sync=0.02, reconcile=3600)):
            await until(lambda: any(event.kind == "fill_booked" for event in told))
        assert caplog.text.count("this key may not listen") == 1


async def test_a_session_that_waits_books_what_the_paper_exchange_matches(tmp_path: Path) -> None:
    told: list[RunEvent] = []
    async with open_world(tmp_path) as world:
        books = Bookkeeping(world.desk, world.database, world.clock, RUNNER, told.append)
        async with tending(books, Intervals(look=3600)):
            await world.send(buy())
            await world.clock.sleep(1)
            await world.broker.balances()  # somebody looks, and so the market is walked
            await until(lambda: any(event.kind == "fill_booked" for event in told))
        assert [order.purpose for order in await world.orders(live=True)] == [Purpose.STOP]
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_who_hears_the_paper_exchange_too_slowly_is_told_to_read(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        updates = aiter(world.broker.updates())
        assert await anext(updates) == Missed()
        for number in range(600):  # each is told when it is placed, and when it is cancelled
            request = make_request(buy("0.1", leg=str(number), limit_price=D(50)), INSTRUMENTS[BTC], None, WorkingStyle.NOW)
            await world.broker.place(request)
            await world.broker.cancel(request.client_order_id, BTC)
        first = await anext(updates)
        assert isinstance(first, Missed)
        assert first.why
        assert isinstance(await anext(updates), OrderReport)
