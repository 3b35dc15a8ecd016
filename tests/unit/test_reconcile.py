"""The ledger against the venue: every kind of difference is told, and none is entered on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from tests.unit.desk_cases import RUNNER, TRADER, D, Fault, LossyBroker, World, buy, codes, open_world, sell
from tests.unit.feeds import flat
from tests.unit.paper_exchange import BTC, ETH
from trading_core.brokers.base import OrderReport
from trading_core.domain.errors import BrokerUnavailable
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Fill, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.execution.reconcile import Difference, Row
from trading_core.risk.checks import ReasonCode
from trading_core.risk.state import TradingState


class Forgetful(LossyBroker):
    """A venue that has lost every order."""

    async def open_orders(self) -> Sequence[OrderReport]:
        return []

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        return None


class Secretive(LossyBroker):
    """A venue that tells how much of an order has traded, and lists no trade."""

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        return []


def tamper(folder: Path, statement: str, *values: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


async def rows(world: World) -> tuple[Row, ...]:
    return (await world.desk.reconcile(RUNNER))[0].rows


async def test_an_account_that_agrees_has_nothing_to_tell(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        found, synced = await world.desk.reconcile(RUNNER)
        assert (found.rows, found.agrees, found.disagreement, len(synced)) == ((), True, "", 1)


async def test_what_happened_meanwhile_is_booked_and_told(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        sent = await world.send(buy())
        await world.clock.sleep(1)
        found, synced = await world.desk.reconcile(RUNNER)
        assert found.agrees
        assert found.rows == (Row(Difference.ORDER_STATE, sent.client_order_id, "open", "filled", "booked", False),)
        assert [fill.quantity for each in synced for fill in each.fills] == [10]


async def test_a_balance_that_differs_in_its_last_digit_stops_entries_and_no_exit(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        async with world.database.reading() as uow:
            cash = (await uow.portfolios.load("paper-1")).cash
        tamper(tmp_path, "UPDATE balances SET amount = ? WHERE asset = 'USDT'", str(cash + D("0.00000001")))
        found, _ = await world.desk.reconcile(RUNNER)
        assert [(row.kind, row.subject, row.blocks) for row in found.rows] == [(Difference.BALANCE, "USDT", True)]
        assert not await world.desk.agrees(RUNNER)
        answer = await world.desk.propose(TRADER, buy("1", symbol=ETH))
        assert codes(answer) == (ReasonCode.TRADING_STATE,)
        assert "balance USDT" in answer.failed[0].detail
        assert (await world.desk.account(RUNNER)).risk.trading_state is TradingState.ACTIVE, "it is not written down"
        assert (await world.desk.propose(TRADER, sell("1"))).verdict is Verdict.APPROVED
        tamper(tmp_path, "UPDATE balances SET amount = ? WHERE asset = 'USDT'", str(cash))
        assert (await world.desk.reconcile(RUNNER))[0].agrees
        assert (await world.desk.propose(TRADER, buy("1", symbol=ETH, leg="2"))).verdict is Verdict.APPROVED


async def test_an_order_of_somebody_else_is_named_and_left_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        foreign = OrderRequest("theirs", BTC, Side.BUY, OrderType.LIMIT, D(1), limit_price=D(50))
        await world.broker.venue_side.place(foreign)
        await world.clock.sleep(1)
        found, _ = await world.desk.reconcile(RUNNER)
        assert [(row.kind, row.subject) for row in found.rows] == [(Difference.FOREIGN_ORDER, "theirs"), (Difference.RECORD, "")]
        assert found.error is not None
        assert ReasonCode.TRADING_STATE in codes(await world.desk.propose(TRADER, buy()))
        assert [report.client_order_id for report in await world.broker.open_orders()] == ["theirs"]


async def test_a_live_order_that_the_venue_has_lost_stays_live_and_blocks(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        (stop,) = await world.orders(Purpose.STOP)
        desk = world.another_desk(broker=Forgetful(world.broker))
        # Its balances are those of the paper exchange, which still has the order.
        found, _ = await desk.reconcile(RUNNER)
        assert [(row.kind, row.subject, row.blocks) for row in found.rows] == [
            (Difference.MISSING_ORDER, stop.client_order_id, True)
        ]
        assert (await world.orders(Purpose.STOP))[0].state is OrderState.OPEN


async def test_an_order_whose_answer_was_lost_is_told_and_blocks_only_its_symbol(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.NEVER_ARRIVED]
        lost = await world.send(buy())
        found, _ = await world.desk.reconcile(RUNNER)
        assert [(row.kind, row.subject, row.blocks) for row in found.rows] == [
            (Difference.MISSING_ORDER, lost.client_order_id, False)
        ]
        assert ReasonCode.UNKNOWN_ORDER in codes(await world.desk.propose(TRADER, buy(leg="2")))
        assert (await world.desk.propose(TRADER, buy(symbol=ETH))).verdict is Verdict.APPROVED
        await world.clock.sleep(11)
        assert [(row.kind, row.venue) for row in await rows(world)] == [(Difference.ORDER_STATE, "refused")]


async def test_a_stop_beyond_what_is_held_is_replaced_by_one_that_fits(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        (stop,) = await world.orders(Purpose.STOP)
        tamper(tmp_path, "UPDATE positions SET quantity = '4' WHERE symbol = ?", BTC)
        found = await rows(world)
        assert (found[0].kind, found[0].subject) == (Difference.ORDER_STATE, stop.client_order_id)
        orphan = next(row for row in found if row.kind is Difference.ORPHAN_STOP)
        assert (orphan.ledger, orphan.done, orphan.blocks) == ("covers 9.98, held 4", "cancelled", False)
        assert await world.covered() == 4


async def test_a_stop_of_a_holding_that_is_gone_is_taken_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        tamper(tmp_path, "UPDATE positions SET quantity = '0' WHERE symbol = ?", BTC)
        assert Difference.ORPHAN_STOP in {row.kind for row in await rows(world)}
        assert await world.orders(live=True) == []


async def test_a_venue_that_cannot_be_read_is_not_one_that_agrees(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.reads_fail = True
        with pytest.raises(BrokerUnavailable):
            await world.desk.reconcile(RUNNER)


async def test_what_has_traded_and_is_not_told_stops_entries(tmp_path: Path) -> None:
    async with open_world(tmp_path, {BTC: [flat(hour, volume="40") for hour in range(4)]}) as world:
        sent = await world.send(buy("10"))
        await world.clock.sleep(1)
        desk = world.another_desk(broker=Secretive(world.broker))
        found, _ = await desk.reconcile(RUNNER)
        assert Row(Difference.FILLED, sent.client_order_id, "0", "4", "no entries until it agrees", True) in found.rows
        assert ReasonCode.TRADING_STATE in codes(await desk.propose(TRADER, buy("1", leg="more")))
        await world.desk.sync(RUNNER)
        assert (await world.desk.reconcile(RUNNER))[0].agrees
