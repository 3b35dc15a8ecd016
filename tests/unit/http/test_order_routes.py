"""Orders, fills and intents as the ledger has them, page by page, and asking for orders and cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from graph.runs.leases import lease_of
from graph.runs.manager import RunManager
from tests.unit.http.trading_cases import ACCOUNT, HERE, Trading, number, trading
from trading_core.domain.clock import Clock, SystemClock, iso
from trading_core.domain.money import plain
from trading_core.domain.orders import OrderState, Purpose
from trading_core.execution.quality import measure
from trading_core.persistence.records import RunKind, RunState

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUY: dict[str, Any] = {"symbol": "BTC/USDT", "side": "buy", "notional": "500", "stop_price": "100", "reason": "a try"}
SELL: dict[str, Any] = {"symbol": "BTC/USDT", "side": "sell", "fraction": "0.5"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trading]:
    async with trading(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


async def test_orders_come_newest_first_and_every_page_size_gives_the_same_list(desk: Trading) -> None:
    kept = sorted(await desk.orders(), key=lambda order: (order.created_at, order.client_order_id), reverse=True)
    whole = (await desk.get("/orders"))["items"]
    assert [one["id"] for one in whole] == [order.client_order_id for order in kept]
    assert len(whole) >= 4
    for limit in (1, 2, 3):
        assert await desk.all_of("/orders", limit) == whole
    for one, order in zip(whole, kept, strict=True):
        assert (one["state"], number(one["filled"]), one["created_at"]) == (order.state, order.filled, iso(order.created_at))


async def test_orders_are_filtered(desk: Trading) -> None:
    kept = await desk.orders()
    live = await desk.all_of("/orders", 1, live=True)
    assert {one["id"] for one in live} == {order.client_order_id for order in kept if order.is_live}
    assert live, "a protective stop works"
    run = kept[0].run_id
    assert {one["id"] for one in await desk.all_of("/orders", 1, run=run)} == {
        order.client_order_id for order in kept if order.run_id == run
    }
    assert await desk.all_of("/orders", 5, symbol="ETH/BTC") == []


async def test_an_order_is_read_with_its_steps_fills_and_quality(desk: Trading) -> None:
    order = next(one for one in await desk.orders() if one.state is OrderState.FILLED)
    shown = await desk.get(f"/orders/{order.client_order_id}")
    async with desk.system.database.reading() as uow:
        events, fills = await uow.orders.events(order.client_order_id), await uow.fills.of_order(order.client_order_id)
    found = measure(order, fills)
    assert [(one["sequence"], one["event"], one["state"]) for one in shown["events"]] == [
        (event.sequence, event.event, event.state) for event in events
    ]
    assert [number(one["quantity"]) for one in shown["fills"]] == [fill.quantity for fill in fills]
    assert found.slippage is not None
    assert abs(number(shown["quality"]["slippage"]) - found.slippage) < number("0.00000001")
    assert shown["order"]["slippage"] == shown["quality"]["slippage"]


async def test_fills_are_all_there(desk: Trading) -> None:
    async with desk.system.database.reading() as uow:
        kept = await uow.fills.of_account(ACCOUNT)
    for limit in (1, 50):
        assert [one["trade_id"] for one in await desk.all_of("/fills", limit)] == [fill.trade_id for fill in reversed(kept)]
    assert len(kept) >= 2


async def test_intents_carry_every_check_of_the_gate(desk: Trading) -> None:
    whole = (await desk.get("/intents"))["items"]
    assert len(whole) >= 2
    for limit in (1, 2):
        assert await desk.all_of("/intents", limit) == whole
    async with desk.system.database.reading() as uow:
        kept = await uow.intents.get(whole[0]["id"])
        decisions = await uow.intents.decisions_of(whole[0]["id"])
    assert kept is not None
    assert (whole[0]["content_hash"], whole[0]["verdict"]) == (kept.content_hash, decisions[-1].verdict)
    shown = await desk.get(f"/intents/{kept.intent_id}")
    assert [[check["code"] for check in one["checks"]] for one in shown["decisions"]] == [
        [check.code for check in decision.checks] for decision in decisions
    ]
    assert all({"code", "passed", "found", "limit", "detail"} == check.keys() for check in shown["decisions"][0]["checks"])
    assert shown["orders"], "it led to an order"


async def test_reading_works_the_same_without_the_desk(desk: Trading) -> None:
    paths = ("/orders", "/fills", "/intents")
    here = [await desk.get(path) for path in paths]
    async with desk.elsewhere():
        assert [await desk.get(path) for path in paths] == here


@pytest.mark.parametrize("cursor", ["x", "bm9uc2Vuc2U", "WyJub3QgYSB0aW1lIiwiaWQiXQ", "WzEsMl0"])
@pytest.mark.parametrize("path", ["/orders", "/fills", "/intents", "/risk/changes"])
async def test_a_cursor_of_no_list_is_refused(desk: Trading, path: str, cursor: str) -> None:
    answer = await desk.doors.ask("GET", HERE + path, "trader", params={"cursor": cursor})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("path", ["/orders/at00", "/intents/00"])
async def test_what_is_not_there_is_not_found(desk: Trading, path: str) -> None:
    assert (await desk.doors.ask("GET", HERE + path, "trader")).status_code == 404


async def test_an_order_is_queued_once_for_each_key(desk: Trading) -> None:
    key = {"Idempotency-Key": "one-order-only"}
    first = await desk.doors.ask("POST", HERE + "/orders", "trader", json=BUY, headers=key)
    again = await desk.doors.ask("POST", HERE + "/orders", "trader", json=BUY, headers=key)
    other = await desk.doors.ask("POST", HERE + "/orders", "trader", json={**BUY, "notional": "501"}, headers=key)
    assert first.status_code == again.status_code == 202, first.text
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    asked = first.json()
    assert (asked["kind"], asked["state"], asked["worked_on_by"]) == ("order", "queued", "this process")
    async with desk.system.database.reading() as uow:
        record, request = await uow.runs.get(asked["run_id"]), await uow.run_requests.get(asked["run_id"])
    assert record is not None
    assert request is not None
    assert (record.kind, record.state, request.requested_by) == (RunKind.ORDER, RunState.QUEUED, "user:trader")
    ticket = request.payload["ticket"]
    assert isinstance(ticket, dict)
    assert ticket["notional"] == "500"


async def test_an_order_that_nobody_works_on_says_so(desk: Trading) -> None:
    async with desk.elsewhere():
        alone = await desk.doors.ask("POST", HERE + "/orders", "trader", json=SELL)
        now = desk.doors.world.clock.now()
        async with desk.system.database.transaction() as uow:
            assert await uow.leases.take(lease_of(ACCOUNT), "another", now, now + timedelta(seconds=20))
        served = await desk.doors.ask("POST", HERE + "/orders", "trader", json=SELL)
        async with desk.system.database.transaction() as uow:
            await uow.leases.give_back(lease_of(ACCOUNT), "another")
    assert (alone.json()["worked_on_by"], served.json()["worked_on_by"]) == ("none", "another process")
    assert "waits" in alone.json()["note"]


@pytest.mark.parametrize(
    "ticket",
    [
        {},
        {**BUY, "stop_price": None},
        {**BUY, "quantity": "1"},
        {**BUY, "notional": "-1"},
        {**BUY, "notional": "NaN"},
        {**BUY, "leverage": "5"},
        {**SELL, "fraction": "1.5"},
        {**BUY, "type": "limit"},
        {**BUY, "symbol": "BTC"},
        {**BUY, "type": "limit", "limit_price": "200", "expires_at": "0001-01-01T00:00:00+14:00"},
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused(desk: Trading, ticket: dict[str, Any]) -> None:
    answer = await desk.doors.ask("POST", HERE + "/orders", "trader", json=ticket)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_stop_and_an_order_that_is_over_are_not_taken_back(desk: Trading) -> None:
    kept = await desk.orders()
    stop = next(order for order in kept if order.purpose is Purpose.STOP and order.is_live)
    over = next(order for order in kept if not order.is_live)
    answers = [
        await desk.doors.ask("POST", f"{HERE}/orders/{key}/cancel", "trader")
        for key in (stop.client_order_id, over.client_order_id, "at00")
    ]
    assert [answer.status_code for answer in answers] == [422, 409, 404], [answer.text for answer in answers]
    assert "stops_too" in answers[0].json()["next_step"]


class Paced(SystemClock):
    """The time at which the doors take an order, and waits that are real."""

    def __init__(self, of: Clock) -> None:
        self._of = of

    def now(self) -> datetime:
        return self._of.now()


async def test_an_order_is_placed_and_taken_back_by_the_desk(tmp_path: Path) -> None:
    async with trading(tmp_path, cycles=1) as desk:
        state = desk.doors.state
        ticker = await desk.system.feed.ticker("BTC/USDT", as_of=desk.system.clock.now())
        assert ticker is not None
        far, stop = (plain(round(ticker.bid * share, 1)) for share in (Decimal("0.97"), Decimal("0.95")))
        ticket = {"symbol": "BTC/USDT", "side": "buy", "notional": "500", "type": "limit", "limit_price": far, "stop_price": stop}
        async with RunManager(desk.system.database, Paced(desk.doors.world.clock), state.log, state.desks, "worker").working():
            asked = await desk.doors.ask("POST", HERE + "/orders", "trader", json=ticket)
            placed = await state.runs.wait(asked.json()["run_id"], 60)
            (order,) = await desk.all_of("/orders", 5, live=True)
            taken = await desk.doors.ask("POST", f"{HERE}/orders/{order['id']}/cancel", "trader")
            ended = await state.runs.wait(taken.json()["run_id"], 60)
        shown = await desk.get(f"/orders/{order['id']}")
    assert (placed.state, ended.state) == (RunState.DONE, RunState.DONE), (placed, ended)
    assert (order["state"], shown["order"]["state"]) == ("open", "cancelled")
    assert shown["order"]["run_id"] == placed.id
