"""Private streams through unmodified ccxt.pro and real sockets: what is told is what is read, and what breaks is mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest

from tests.venues.binance import LOCAL, BinanceVenue
from tests.venues.engine_types import Side as VenueSide
from tests.venues.local import PRICE, Local, LocalVenue, opened, serving
from tests.venues.server import VenueServer
from tests.venues.six import SIX
from tests.venues.streams import Streaming
from tests.waiting import until
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.brokers.venues import stream as private_stream
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials
from trading_core.brokers.venues.streams import Told
from trading_core.domain.errors import BrokerUnavailable
from trading_core.domain.orders import Fill, OrderRequest, OrderState, OrderType, Side

D = Decimal
BELOW, TAKES = PRICE * D("0.97"), PRICE * D("1.0001")
SUBSCRIPTIONS = {"bybit": 2, "cryptocom": 2}  # executions and orders; elsewhere one brings both
STREAMING = [kind for kind in SIX.values() if isinstance(kind.empty(), Streaming)]


@dataclass
class Ear:
    """What was told so far."""

    told: list[Update] = field(default_factory=list)

    @property
    def fills(self) -> list[Fill]:
        return [update for update in self.told if isinstance(update, Fill)]

    @property
    def reports(self) -> list[OrderReport]:
        return [update for update in self.told if isinstance(update, OrderReport)]

    @property
    def missed(self) -> list[str]:
        return [update.why for update in self.told if isinstance(update, Missed)]

    async def until(self, done: Callable[[Ear], bool]) -> None:
        await until(lambda: done(self), lambda: str(self.told))


@asynccontextmanager
async def listening(broker: CcxtBroker) -> AsyncIterator[Ear]:
    """An ear that hears from the first `Missed` on."""
    ear = Ear()

    async def listen() -> None:
        async for update in broker.updates():
            ear.told.append(update)

    task = asyncio.create_task(listen())
    try:
        await ear.until(lambda ear: bool(ear.told) or task.done())
        yield ear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def order(key: str, price: Decimal, quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, LOCAL.symbol, Side.BUY, OrderType.LIMIT, D(quantity), limit_price=price)


def at(kind: LocalVenue, request: OrderRequest) -> OrderRequest:
    return replace(request, symbol=kind.symbol)


def sell_to(local: Local, quantity: str, price: Decimal = BELOW) -> None:
    """The house sells to what rests at `price`."""
    local.exchange.trade_at(local.symbol, VenueSide.SELL, price, D(quantity))


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        yield x


@pytest.mark.parametrize("kind", STREAMING, ids=lambda kind: kind.profile.venue)
class TestEveryVenue:
    async def test_what_is_told_is_what_is_read(self, kind: LocalVenue) -> None:
        streams = kind.profile.streams
        with serving(kind) as server:
            async with opened(kind, server) as local, listening(local.broker) as ear:
                await ear.until(lambda ear: ear.told == [Missed()] * SUBSCRIPTIONS.get(kind.profile.venue, 1))
                await local.broker.place(at(kind, order("taken", TAKES)))
                await local.broker.place(at(kind, order("rests", BELOW)))
                for quantity in ("0.1", "0.2", "0.05"):
                    sell_to(local, quantity)
                await local.broker.place(at(kind, order("ends", BELOW)))
                await local.broker.cancel("ends", kind.symbol)
                if streams.orders is Told.WHOLE:
                    await ear.until(lambda ear: any(report.client_order_id == "ends" for report in ear.reports))
                    await ear.until(lambda ear: last(ear, "ends").state is OrderState.CANCELLED)
                    await ear.until(lambda ear: last(ear, "rests").filled == D("0.35"))
                    for key in ("taken", "rests", "ends"):
                        read = await local.broker.order(key, kind.symbol)
                        assert read is not None
                        assert replace(last(ear, key), updated_at=read.updated_at, reason=read.reason) == read
                else:
                    await ear.until(lambda ear: len(ear.missed) >= 5)
                read_fills = await local.broker.fills(since=local.began_at)
                assert sum(fill.quantity for fill in read_fills) == D("0.85")
                if streams.fills is Told.WHOLE:
                    await ear.until(lambda ear: len(ear.fills) >= len(read_fills))
                    assert set(ear.fills) == set(read_fills)
                else:
                    assert ear.fills == []

    async def test_a_line_that_breaks_in_the_middle_of_a_frame_is_told_and_opened_anew(self, kind: LocalVenue) -> None:
        with serving(kind) as server:
            async with opened(kind, server) as local, listening(local.broker) as ear:
                await local.broker.place(at(kind, order("rests", BELOW)))
                server.faults.streams.drop()
                await ear.until(lambda ear: any(why for why in ear.missed))
                sell_to(local, "0.1")
                broke = next(index for index, update in enumerate(ear.told) if isinstance(update, Missed) and update.why)
                assert kind.profile.title in "".join(ear.missed)
                await ear.until(lambda ear: Missed() in ear.told[broke + 1 :])
                heard_before = len(ear.told)
                sell_to(local, "0.2")
                await ear.until(lambda ear: len(ear.told) > heard_before)


def last(ear: Ear, key: str) -> OrderReport:
    return [report for report in ear.reports if report.client_order_id == key][-1]


async def test_a_doubled_and_a_swapped_event_are_told_as_they_come(local: Local) -> None:
    async with listening(local.broker) as ear:
        await local.broker.place(order("rests", BELOW))
        await ear.until(lambda ear: bool(ear.reports))
        local.server.faults.streams.double(4)
        sell_to(local, "0.1")
        await ear.until(lambda ear: D("0.1") in {report.filled for report in ear.reports})
        local.server.faults.streams.swap()
        sell_to(local, "0.2")
        sell_to(local, "0.05")
        await ear.until(lambda ear: len({fill.trade_id for fill in ear.fills}) == 3)
        assert {fill.quantity for fill in ear.fills} == {D("0.1"), D("0.2"), D("0.05")}
        # Twice or not, each is the same fill: the ledger books it once.
        assert set(ear.fills) == set(await local.broker.fills(since=local.began_at))


async def test_numbers_come_to_the_last_digit(local: Local) -> None:
    long = "0.12345678901234567890123"
    async with listening(local.broker) as ear:
        await local.broker.place(order("rests", BELOW))
        await ear.until(lambda ear: bool(ear.reports))
        (stream,) = local.server.streams
        event = {
            "e": "executionReport",
            "x": "TRADE",
            "X": "PARTIALLY_FILLED",
            "s": "BTCUSDT",
            "S": "BUY",
            "c": "rests",
            "i": 1,
            "t": 900,
            "m": True,
            "N": "BTC",
            **{name: D(long) for name in ("q", "p", "l", "z", "L", "n", "Z", "Y", "Q")},
            **{name: local.exchange.clock() for name in ("E", "T", "O")},
        }
        with local.exchange.lock:
            stream.send({"subscriptionId": 0, "event": event})  # JSON numbers: a float would keep 17 of the digits
        await ear.until(lambda ear: bool(ear.fills))
    (fill,) = ear.fills
    assert (fill.quantity, fill.price, fill.fee.amount) == (D(long), D(long), D(long))


async def test_a_frame_that_is_no_json_opens_the_stream_anew(local: Local) -> None:
    async with listening(local.broker) as ear:
        (stream,) = local.server.streams
        with local.exchange.lock:
            stream.send('{"broken')
        await ear.until(lambda ear: len(ear.missed) == 3)
        assert ear.missed[0] == ear.missed[2] == ""
        assert "JSONDecodeError" in ear.missed[1]
        await local.broker.place(order("taken", TAKES))
        await ear.until(lambda ear: bool(ear.fills))


async def test_an_account_the_venue_no_longer_tells_of_is_subscribed_to_anew(local: Local) -> None:
    venue = local.server.venue
    assert isinstance(venue, BinanceVenue)
    async with listening(local.broker) as ear:
        venue.end_user_streams()
        await ear.until(lambda ear: len(ear.missed) == 3)
        assert "eventStreamTerminated" in ear.missed[1]
        await local.broker.place(order("taken", TAKES))
        await ear.until(lambda ear: bool(ear.fills))


async def test_a_venue_that_takes_no_sockets_is_told_of_once_and_asked_ever_more_seldom(local: Local) -> None:
    async with listening(local.broker) as ear:
        local.server.faults.streams.refuse()
        local.server.faults.streams.drop()
        await ear.until(lambda ear: len(local.clock.slept) >= 8)
        assert [bool(why) for why in ear.missed] == [False, True]
        waits = local.clock.slept[:8]
        assert all(0 <= wait <= min(60.0, 0.5 * 2**tries) for tries, wait in enumerate(waits))
        assert max(waits[4:]) > 0.5
        local.server.faults.streams.clear()
        await ear.until(lambda ear: len(ear.missed) >= 3)
        await local.broker.place(order("taken", TAKES))
        await ear.until(lambda ear: bool(ear.fills))


async def test_a_venue_that_falls_silent_without_a_close_is_left_and_opened_anew(
    server: VenueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = replace(LOCAL.profile, streams=replace(LOCAL.profile.streams, ping_seconds=0.1))
    async with opened(replace(LOCAL, profile=hasty), server) as local, listening(local.broker) as ear:

        async def comes_back(_: float) -> None:
            server.faults.streams.clear()

        monkeypatch.setattr(local.clock, "sleep", comes_back)  # in the wait before it is opened anew, and no later
        server.faults.streams.silence()
        await ear.until(lambda ear: len(ear.missed) == 3)
        while not ear.fills:  # on a busy machine a tenth of a second without a pong is soon past, and the fill falls into a gap
            opened_anew = len(ear.missed)
            await local.broker.place(order(f"taken-{opened_anew}", TAKES))
            await ear.until(lambda ear, before=opened_anew: bool(ear.fills) or len(ear.missed) > before)


async def test_pings_alone_are_no_answer_to_a_subscription(server: VenueServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lively = replace(LOCAL.profile, streams=replace(LOCAL.profile.streams, ping_seconds=1.0))
    monkeypatch.setattr(private_stream, "_OPENING_SECONDS", 1.5)
    async with opened(replace(LOCAL, profile=lively), server) as local:
        server.faults.streams.silence(answers_pings=True)
        async with listening(local.broker) as ear:
            assert "it did not take the subscription" in ear.missed[0]
            monkeypatch.undo()
            server.faults.streams.clear()
            await ear.until(lambda ear: Missed() in ear.told)


async def test_pings_alone_keep_a_quiet_stream_open(server: VenueServer) -> None:
    # A stream is left after three pings without a pong: a busy machine keeps none back for that long.
    hasty = replace(LOCAL.profile, streams=replace(LOCAL.profile.streams, ping_seconds=0.5))
    async with opened(replace(LOCAL, profile=hasty), server) as local, listening(local.broker) as ear:
        await asyncio.sleep(2.0)
        assert ear.told == [Missed()]


async def test_a_key_that_may_not_listen_is_refused_once_and_clearly(local: Local) -> None:
    stranger = await local.anew(Credentials("nobody", "nothing"))
    try:
        with pytest.raises(BrokerUnavailable, match="Binance does not stream to this account"):
            async for _ in stranger.updates():
                pass
        assert local.clock.slept == []
    finally:
        await stranger.close()


async def test_it_is_listened_to_once(local: Local) -> None:
    async with listening(local.broker):
        with pytest.raises(BrokerUnavailable, match="already"):
            await anext(aiter(local.broker.updates()))
    async with listening(local.broker) as again:
        assert again.told == [Missed()]


async def test_closing_the_account_ends_the_stream(local: Local) -> None:
    other = await local.anew()
    updates = other.updates()
    assert await anext(updates) == Missed()
    ending = asyncio.create_task(anext(updates, None))
    await asyncio.sleep(0)
    await other.close()
    assert await ending is None or isinstance(await ending, Missed)
