"""A live session that waits for its next bar does not leave the account alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from graph.bookkeeping import Bookkeeping
from graph.events import Listener, RunEvent, ignore
from graph.tending import Intervals, tending
from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUNNER, TRADER, D, World, buy, open_world
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC
from tests.unit.test_control import control_of, working
from tests.unit.test_reconcile import tamper
from tests.waiting import until
from trading_core.domain.orders import OrderState, Purpose
from trading_core.execution.book import AccountView
from trading_core.execution.control import Control
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.session import Database

OFTEN = Intervals(look=0.01, sync=3600, reconcile=3600)


def books_of(world: World, listener: Listener = ignore) -> Bookkeeping:
    return Bookkeeping(world.desk, world.database, world.clock, RUNNER, listener)


async def only_the_stop_is_left(world: World) -> None:
    async def it_is() -> bool:
        return [order.purpose for order in await world.orders(live=True)] == [Purpose.STOP]

    await until(it_is)


async def test_a_session_that_waits_obeys_without_being_asked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        await working(world)
        async with tending(books_of(world), OFTEN):
            await Control(ACCOUNT, elsewhere, world.clock).kill(OPERATOR, "now")
            await only_the_stop_is_left(world)
        assert await world.covered() == D("9.98")


async def test_a_venue_out_of_reach_does_not_stop_the_obeying(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_world(tmp_path) as world:
        await working(world)
        world.broker.reads_fail = True
        await control_of(world).kill(OPERATOR, "now")
        async with tending(books_of(world), OFTEN):
            await until(lambda: "could not be attended to" in caplog.text)
            world.broker.reads_fail = False
            await only_the_stop_is_left(world)
        assert world.clock.now() - (await world.desk.account(RUNNER)).risk.changed_at < timedelta(minutes=1)


async def test_a_stop_that_fills_between_two_bars_is_booked_and_told(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "80", "85"), flat(3, "85")]
    told: list[RunEvent] = []
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.hold()
        world.go(3)
        async with tending(books_of(world, told.append), Intervals(look=0.01, sync=0.02, reconcile=3600)):
            await until(lambda: any(event.kind == "fill_booked" for event in told))
        (fill,) = [event.data["fill"] for event in told if event.kind == "fill_booked"]
        assert (fill.symbol, fill.quantity) == (BTC, D("9.98"))
        assert await world.held() == 0


async def test_an_order_that_expires_between_two_bars_is_taken_back(tmp_path: Path) -> None:
    told: list[RunEvent] = []
    async with open_world(tmp_path) as world:
        entry = buy(limit_price=D(96), expires_at=world.clock.now() + timedelta(minutes=5))
        await world.desk.propose(TRADER, entry)
        await world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW)
        world.clock.advance_to(world.clock.now() + timedelta(minutes=6))
        async with tending(books_of(world, told.append), Intervals(look=0.01, sync=0.02, reconcile=3600)):
            await until(lambda: any(event.kind == "order_cancelled" for event in told))
        assert (await world.order(entry)).state is OrderState.CANCELLED
        assert {event.data["why"] for event in told if event.kind == "order_cancelled"} == {"has expired"}


async def test_a_difference_between_two_bars_is_found_and_told(tmp_path: Path) -> None:
    told: list[RunEvent] = []
    async with open_world(tmp_path) as world:
        await world.hold()
        tamper(tmp_path, "UPDATE balances SET amount = amount || '1' WHERE asset = 'BTC'")
        async with tending(books_of(world, told.append), Intervals(look=0.01, sync=3600, reconcile=0.02)):
            await until(lambda: any(event.kind == "venue_differs" for event in told))
        assert "BTC" in next(event.data["differs"] for event in told if event.kind == "venue_differs")


async def test_not_even_an_error_of_the_desks_own_stops_the_obeying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(tmp_path) as world:
        await working(world)
        books = books_of(world)
        real, failed = books.account, list[str]()

        async def odd() -> AccountView:
            if not failed:
                failed.append("once")
                raise KeyError("nobody thought of this")
            return await real()

        monkeypatch.setattr(books, "account", odd)
        await control_of(world).kill(OPERATOR, "now")
        async with tending(books, OFTEN):
            await only_the_stop_is_left(world)
        assert "nobody thought of this" in caplog.text
