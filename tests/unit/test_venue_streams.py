"""The stream frame of the local venues over real sockets, what its faults do to them, and what the exchange tells."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from tests.venues.engine import HOUSE, Exchange
from tests.venues.engine_types import Execution, Kind, Lifetime, Market, Print, Side, Status, Ticket, VenueOrder
from tests.venues.faults import Fault, Listing, Trouble
from tests.venues.server import Answer, Call, Stream, VenueServer, wall_clock_ms
from tests.venues.streams import exact_json
from tests.waiting import until

D = Decimal
BTC = "BTC/USDT"
SOON = 0.15


class Parrot:
    """A venue that answers what it hears, and tells every stream the numbers of the orders that change."""

    def __init__(self) -> None:
        self.exchange = Exchange([Market("BTC", "USDT")], wall_clock_ms)
        self.skew_ms = 0
        self.streams: list[Stream] = []
        self.came = threading.Event()
        self.went = threading.Event()
        self.exchange.listen(self._tell)

    def operation(self, call: Call) -> str:
        return call.path

    def answer(self, call: Call) -> Answer:
        return Answer({"path": call.path})

    def trouble(self, trouble: Trouble, fault: Fault) -> Answer:
        return Answer(None, 500)

    def relisted(self, answer: Answer, listing: Listing) -> Answer:
        return answer

    def connected(self, stream: Stream) -> None:
        self.streams.append(stream)
        self.came.set()

    def heard(self, stream: Stream, message: object) -> None:
        if message == "close":
            stream.close(4001)
        stream.answer({"heard": message, "facts": len(stream.facts)})
        stream.facts[str(len(stream.facts))] = message

    def gone(self, stream: Stream) -> None:
        self.streams.remove(stream)
        self.went.set()

    def _tell(self, change: VenueOrder | Execution) -> None:
        if isinstance(change, VenueOrder) and change.ticket.account != HOUSE:
            for stream in self.streams:
                stream.send({"order": change.number})


@pytest.fixture(scope="module")
def shared() -> Iterator[VenueServer]:
    with VenueServer(Parrot()) as server:
        yield server


@pytest.fixture
def venue(shared: VenueServer) -> Parrot:
    shared.venue = parrot = Parrot()
    shared.faults.clear()
    parrot.exchange.deposit("desk", "USDT", D(1_000_000))
    parrot.exchange.move(BTC, D(50_000))
    return parrot


@pytest.fixture
async def socket(shared: VenueServer, venue: Parrot) -> AsyncIterator[ClientConnection]:
    async with connect(f"{shared.ws_url}/feed?token=t", proxy=None, ping_interval=None) as client:
        assert await asyncio.to_thread(venue.came.wait, 30)
        yield client


def place(venue: Parrot, count: int) -> list[int]:
    start = len(venue.exchange.orders)
    tickets = [
        Ticket("desk", BTC, Side.BUY, Kind.LIMIT, f"id-{index}", quantity=D("0.001"), limit=D(40_000))
        for index in range(start, start + count)
    ]
    return [venue.exchange.place(ticket).number for ticket in tickets]


async def open_sockets(server: VenueServer, count: int) -> None:
    """Wait until the server has that many."""
    await until(lambda: len(server.streams) == count, lambda: f"{count} sockets; there are {len(server.streams)}")


async def told(socket: ClientConnection, count: int) -> list[int]:
    async with asyncio.timeout(30):
        return [json.loads(await socket.recv())["order"] for _ in range(count)]


async def nothing_comes(socket: ClientConnection) -> bool:
    try:
        async with asyncio.timeout(SOON):
            await socket.recv()
    except TimeoutError:
        return True
    return False


async def test_a_socket_has_a_path_and_a_memory_and_hears_json_and_text(venue: Parrot, socket: ClientConnection) -> None:
    for said in ('{"op": "subscribe"}', "ping"):
        await socket.send(said)
    assert json.loads(await socket.recv()) == {"heard": {"op": "subscribe"}, "facts": 0}
    assert json.loads(await socket.recv()) == {"heard": "ping", "facts": 1}
    (stream,) = venue.streams
    assert stream.path == "/feed?token=t"
    assert stream.heard == [{"op": "subscribe"}, "ping"]


async def test_what_happens_in_another_thread_reaches_every_socket_in_order(
    shared: VenueServer, venue: Parrot, socket: ClientConnection
) -> None:
    async with connect(f"{shared.ws_url}/other", proxy=None) as other:
        await open_sockets(shared, 2)
        numbers = await asyncio.to_thread(place, venue, 20)
        assert await told(socket, 20) == await told(other, 20) == numbers


async def test_the_venue_closes_with_its_own_code_after_what_it_said(
    shared: VenueServer, venue: Parrot, socket: ClientConnection
) -> None:
    place(venue, 1)
    await socket.send("close")
    await told(socket, 1)
    with pytest.raises(ConnectionClosedError) as closed:
        await socket.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4001
    assert await asyncio.to_thread(venue.went.wait, 30)


async def test_a_client_that_leaves_is_forgotten(shared: VenueServer, venue: Parrot, socket: ClientConnection) -> None:
    await socket.close()
    assert await asyncio.to_thread(venue.went.wait, 30)
    assert venue.streams == []
    place(venue, 1)


async def test_a_drop_is_a_broken_frame_and_no_close(shared: VenueServer, venue: Parrot, socket: ClientConnection) -> None:
    shared.faults.streams.drop()
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    # No close frame came, and what came of the last frame is no message.
    assert closed.value.rcvd is None
    assert await asyncio.to_thread(venue.went.wait, 30)
    await open_sockets(shared, 0)


async def test_new_sockets_are_refused_until_all_is_well(shared: VenueServer, venue: Parrot) -> None:
    shared.faults.streams.refuse()
    with pytest.raises(InvalidStatus) as refused:
        async with connect(shared.ws_url, proxy=None):
            raise AssertionError("it was taken")
    assert refused.value.response.status_code == 503
    shared.faults.clear()
    async with connect(shared.ws_url, proxy=None):
        pass


@pytest.mark.parametrize("answers_pings", [True, False])
async def test_silence(answers_pings: bool, shared: VenueServer, venue: Parrot, socket: ClientConnection) -> None:
    shared.faults.streams.silence(answers_pings=answers_pings)
    place(venue, 1)
    await socket.send("hello")
    assert await nothing_comes(socket)
    pong = await socket.ping()
    done, _ = await asyncio.wait([asyncio.ensure_future(pong)], timeout=30 if answers_pings else SOON)
    assert bool(done) is answers_pings
    shared.faults.streams.clear()
    (number,) = place(venue, 1)
    assert await told(socket, 1) == [number]
    assert len(shared.streams) == 1


async def test_events_come_twice_and_answers_once(shared: VenueServer, venue: Parrot, socket: ClientConnection) -> None:
    shared.faults.streams.double(2)
    await socket.send("hello")
    assert "hello" in str(await socket.recv())
    first, second, third = place(venue, 3)
    assert await told(socket, 5) == [first, first, second, second, third]


async def test_two_events_change_places(shared: VenueServer, venue: Parrot, socket: ClientConnection) -> None:
    shared.faults.streams.swap()
    first, second, third = place(venue, 3)
    assert await told(socket, 3) == [second, first, third]
    shared.faults.streams.swap(behind=2)
    first, second, third, fourth = place(venue, 4)
    assert await told(socket, 4) == [second, third, first, fourth]


async def test_a_venue_that_does_not_stream_takes_no_socket(shared: VenueServer) -> None:
    class Mute:
        exchange, skew_ms = Exchange([Market("BTC", "USDT")], wall_clock_ms), 0
        operation, answer, trouble, relisted = Parrot.operation, Parrot.answer, Parrot.trouble, Parrot.relisted

    shared.venue = Mute()
    with pytest.raises(InvalidStatus):
        async with connect(shared.ws_url, proxy=None):
            raise AssertionError("it was taken")


@given(
    st.recursive(st.decimals(allow_nan=False, allow_infinity=False, places=10) | st.text() | st.none() | st.booleans(), st.lists)
)
def test_numbers_are_written_digit_by_digit(value: object) -> None:
    assert json.loads(exact_json(value), parse_float=D, parse_int=D) == value


# What the exchange tells


def new_exchange() -> Exchange:
    ticks = itertools.count(1)
    exchange = Exchange([Market("BTC", "USDT", tick=D(1), lot=D("0.1"), min_quantity=D("0.1"))], lambda: next(ticks))
    exchange.deposit("desk", "USDT", D(100_000))
    exchange.deposit("desk", "BTC", D(100))
    exchange.move(BTC, D(100))
    return exchange


def heard(exchange: Exchange) -> list[tuple[str, object, Status, Decimal]]:
    """What the account's listener is told: what, how much, and the order's state at that moment."""
    log: list[tuple[str, object, Status, Decimal]] = []

    def note(change: VenueOrder | Execution) -> None:
        order = change if isinstance(change, VenueOrder) else change.order
        if order.ticket.account == HOUSE:
            return
        what = ("order", order.waiting) if isinstance(change, VenueOrder) else ("execution", change.quantity)
        log.append((*what, order.status, order.filled))

    exchange.listen(note)
    return log


def ask(side: Side, quantity: str | None, limit: str | None = None, **more: object) -> Ticket:
    asked: dict[str, object] = {"quantity": quantity and D(quantity), "limit": limit and D(limit), "client_id": "x"}
    asked["kind"] = Kind.MARKET if limit is None else Kind.LIMIT
    return Ticket("desk", BTC, side, **(asked | more))


def test_a_resting_order_is_told_at_each_step() -> None:
    exchange = new_exchange()
    log = heard(exchange)
    exchange.place(ask(Side.BUY, "3", "90"))
    exchange.trade_at(BTC, Side.SELL, D(90), D(1))
    exchange.trade_at(BTC, Side.SELL, D(90), D(2))
    assert log == [
        ("order", False, Status.OPEN, D(0)),
        ("execution", D(1), Status.OPEN, D(1)),
        ("order", False, Status.OPEN, D(1)),
        ("execution", D(2), Status.FILLED, D(3)),
        ("order", False, Status.FILLED, D(3)),
    ]


def test_a_market_order_by_cost_has_ended_when_its_last_execution_is_told() -> None:
    exchange = new_exchange()
    exchange.quote(BTC, [(D(99), D(9))], [(D(100), D(1)), (D(110), D(9))])
    log = heard(exchange)
    exchange.place(ask(Side.BUY, None, cost=D(210)))
    assert log == [
        ("order", False, Status.OPEN, D(0)),
        ("execution", D(1), Status.OPEN, D(1)),
        ("order", False, Status.OPEN, D(1)),
        ("execution", D(1), Status.FILLED, D(2)),
        ("order", False, Status.FILLED, D(2)),
    ]


def test_a_stop_is_told_when_it_is_taken_when_it_triggers_and_when_it_fills() -> None:
    exchange = new_exchange()
    log = heard(exchange)
    exchange.place(ask(Side.SELL, "1", kind=Kind.STOP, stop=D(80)))
    exchange.move(BTC, D(80))
    assert [(entry[0], entry[1], entry[2]) for entry in log] == [
        ("order", True, Status.OPEN),
        ("order", False, Status.OPEN),
        ("execution", D(1), Status.FILLED),
        ("order", False, Status.FILLED),
    ]


def test_a_cancel_and_an_order_that_may_not_rest_are_told() -> None:
    exchange = new_exchange()
    number = exchange.place(ask(Side.BUY, "1", "90")).number
    log = heard(exchange)
    exchange.cancel("desk", BTC, number)
    exchange.place(ask(Side.BUY, "1", "90", lifetime=Lifetime.IOC))
    assert [entry[2] for entry in log] == [Status.CANCELLED, Status.OPEN, Status.EXPIRED]


def test_an_order_that_is_filled_leaves_an_own_one_behind_it_alone() -> None:
    exchange = new_exchange()
    resting = exchange.place(ask(Side.SELL, "1", "105"))
    exchange.place(ask(Side.BUY, "1", "105", client_id="y"))
    assert resting.status is Status.OPEN


def test_a_watcher_sees_each_act_once_and_never_a_book_that_is_half_changed() -> None:
    exchange = new_exchange()
    seen: list[tuple[str, list[Decimal], int]] = []

    def watch(symbol: str, prints: list[Print]) -> None:
        seen.append((symbol, [done.quantity for done in prints], len(exchange.book(symbol, Side.BUY))))

    exchange.watch(watch)
    exchange.move(BTC, D(100))
    exchange.place(ask(Side.BUY, "2"))
    exchange.place(ask(Side.BUY, "1", "90"))
    assert seen == [(BTC, [D(0)], 1), (BTC, [D(2)], 1), (BTC, [], 2)]


ORDERS = st.tuples(st.sampled_from(Side), st.integers(1, 30), st.integers(95, 105) | st.none(), st.sampled_from(Lifetime))


@given(st.lists(ORDERS, min_size=1, max_size=25))
@settings(max_examples=50, deadline=None)
def test_what_is_told_adds_up_to_what_the_exchange_holds(asked: list[tuple[Side, int, int | None, Lifetime]]) -> None:
    exchange = new_exchange()
    exchange.quote(BTC, [(D(99), D(20))], [(D(101), D(20))])
    executions: list[Execution] = []
    last: dict[int, tuple[Status, Decimal]] = {}

    def note(change: VenueOrder | Execution) -> None:
        order = change if isinstance(change, VenueOrder) else change.order
        last[order.number] = order.status, order.filled
        if isinstance(change, Execution):
            executions.append(change)

    exchange.listen(note)
    for index, (side, tenths, limit, lifetime) in enumerate(asked):
        more = {"lifetime": lifetime, "client_id": str(index)}
        exchange.place(ask(side, str(D(tenths) / 10), None if limit is None else str(limit), **more))
    assert [e for e in executions if e.order.ticket.account == "desk"] == exchange.executions["desk"]
    for order in exchange.orders_of("desk"):
        assert last[order.number] == (order.status, order.filled)
