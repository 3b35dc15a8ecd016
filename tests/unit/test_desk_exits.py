"""Sales: they take the stops away first, sell what is held and no more, and leave nothing bare that could have a stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.desk_cases import QUIET, RUNNER, TRADER, D, Fault, buy, codes, open_world, sell
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, ETH, at
from trading_core.brokers.base import OrderReport
from trading_core.domain.errors import BrokerUnavailable, RunError
from trading_core.domain.market import Ticker
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunState
from trading_core.risk.checks import ReasonCode


async def test_an_exit_cancels_the_stop_and_sells_what_is_held(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10.001")  # 9.980998 after the fee
        order = await world.send(sell("9.98"))
        await world.settle()
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.state is OrderState.CANCELLED
        assert (order.request.quantity, (await world.order(sell())).state) == (D("9.98"), OrderState.FILLED)
        # Less than a lot is left. It cannot be sold, and nobody tries to.
        await world.settle()
        assert await world.held() == D("0.000998")
        assert len(await world.orders()) == 3
        assert await world.desk.agrees(RUNNER)


async def test_a_run_that_is_stopped_while_its_sale_takes_the_stop_away_leaves_the_holding_under_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        leave, cancel = sell("9.98"), world.broker.cancel
        await world.desk.propose(TRADER, leave)

        async def stopped_meanwhile(client_order_id: str, symbol: str) -> OrderReport:
            async with world.database.transaction() as uow:
                await uow.runs.set_state(leave.run_id, RunState.CANCELLED, at=world.clock.now())
            return await cancel(client_order_id, symbol)

        monkeypatch.setattr(world.broker, "cancel", stopped_meanwhile)
        with pytest.raises(RunError, match="is over"):
            await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert await world.covered() == await world.held() == D("9.98")


async def test_what_became_dust_before_it_was_sold_is_denied(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "80", "85"), flat(3, "85")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.hold("10.001")
        leave = sell("9.98")
        await world.desk.propose(TRADER, leave)
        world.go(3.1)  # the stop sold all but dust
        await world.desk.sync(RUNNER)
        assert ReasonCode.QUANTITY_INVALID in codes(await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW))
        assert await world.held() == D("0.000998")


async def test_a_sale_is_cut_to_what_a_triggered_stop_has_left(tmp_path: Path) -> None:
    thin = [flat(0), flat(1), bar(2, "100", "100", "80", "95", "40"), flat(3, "95", "40")]
    async with open_world(tmp_path, {BTC: thin}) as world:
        await world.hold("10")
        leave = sell("9.98")
        await world.desk.propose(TRADER, leave)
        world.go(3 - 1e-7)
        await world.desk.sync(RUNNER)
        # The stop trades 4 of 9.98 in the bar that closes while the sale takes it away.
        sent = await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert isinstance(sent, Order)
        sold = sum((order.filled for order in await world.orders(Purpose.STOP)), D(0))
        assert 0 < sold < D("9.98")
        assert sent.request.quantity == D("9.98") - sold
        world.go(8)
        await world.desk.sync(RUNNER)
        assert await world.held() >= 0
        assert await world.desk.agrees(RUNNER)


async def test_a_sale_in_part_puts_the_rest_under_a_stop_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        await world.send(sell("4"))
        # At once, and not at the next sync.
        assert await world.covered() == D("5.98")
        await world.settle()
        assert (await world.held(), await world.covered()) == (D("5.98"), D("5.98"))
        assert await world.desk.agrees(RUNNER)


async def test_a_sale_that_rests_leaves_the_rest_under_its_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        await world.send(sell("4", type=OrderType.LIMIT, limit_price=D(104)))
        await world.settle()
        assert (await world.held(), await world.covered()) == (D("9.98"), D("5.98"))


async def test_a_sale_the_gate_denies_leaves_the_stop_where_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        before = await world.orders()
        refused = sell("11")
        assert codes(await world.desk.propose(TRADER, refused)) == (ReasonCode.OVERSELL,)
        assert codes(await world.desk.submit(TRADER, refused.intent_id, WorkingStyle.NOW)) == (ReasonCode.OVERSELL,)
        gone = sell("5", leg="gone")
        await world.desk.propose(TRADER, gone)
        stranger = world.another_desk(principals={})
        await stranger.sync(RUNNER)
        assert ReasonCode.ACTOR_PERMISSION in codes(await stranger.submit(TRADER, gone.intent_id, WorkingStyle.NOW))
        assert await world.orders() == before


async def test_a_sale_denied_after_its_stops_were_cancelled_puts_them_back(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "120", "120", "120", "120")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.hold("10")
        leave = sell("9.98", type=OrderType.LIMIT, limit_price=D(101))
        await world.desk.propose(TRADER, leave)
        # The market jumps away while the cancel is on its way: the limit is outside the collar then.
        world.clock.advance_to(at(2))
        await world.desk.sync(RUNNER)
        answer = await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert codes(answer) == (ReasonCode.PRICE_COLLAR,)
        assert [order.state for order in await world.orders(Purpose.STOP)] == [OrderState.CANCELLED, OrderState.OPEN]
        assert await world.covered() == await world.held()


async def test_a_sale_the_venue_refuses_puts_the_stop_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        world.broker.on_place = [Fault.REFUSED]
        assert (await world.send(sell("9.98"))).state is OrderState.REFUSED
        assert await world.covered() == await world.held() == D("9.98")


async def test_a_stop_that_will_not_be_cancelled_keeps_the_holding(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        world.broker.on_cancel = [Fault.NEVER_ARRIVED]
        # The base is still locked by the stop, and the venue says so.
        assert (await world.send(sell("9.98"))).state is OrderState.REFUSED
        await world.settle()
        assert await world.covered() == await world.held() == D("9.98")


async def test_an_ambiguous_sale_is_neither_sent_again_nor_covered(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        world.broker.on_place = [Fault.REPLY_LOST]
        order = await world.send(sell("9.98"))
        assert order.state is OrderState.UNKNOWN
        assert await world.orders(Purpose.STOP, live=True) == []
        assert ReasonCode.OVERSELL in codes(await world.desk.propose(TRADER, sell("5", leg="b")))
        await world.settle()
        assert await world.held() == 0
        assert len([r for r in world.broker.arrived if r.client_order_id == order.client_order_id]) == 1


async def test_a_line_that_breaks_in_the_middle_leaves_the_stop_to_the_next_sync(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        leave = sell("9.98")
        await world.desk.propose(TRADER, leave)
        world.broker.reads_fail = True
        with pytest.raises(BrokerUnavailable):
            await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert [order.purpose for order in await world.orders()] == [Purpose.ENTRY, Purpose.STOP]
        world.broker.reads_fail = False
        await world.settle()
        assert await world.covered() == await world.held() == D("9.98")
        # The sale was not sent and can still be.
        assert isinstance(await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW), Order)


async def test_a_sync_beside_a_sale_does_not_put_its_stop_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        leave = sell("9.98")
        await world.desk.propose(TRADER, leave)
        read, syncs = world.desk.inputs.tickers, list[asyncio.Task[object]]()

        async def while_bare(symbol: str) -> dict[str, Ticker]:
            if not await world.orders(Purpose.STOP, live=True):
                syncs.append(asyncio.create_task(world.desk.sync(RUNNER)))
                await asyncio.wait(syncs, timeout=0.2)
            return await read(symbol)

        world.desk.inputs.tickers = while_bare
        sent = await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert isinstance(sent, Order)
        assert sent.state is OrderState.OPEN
        await asyncio.gather(*syncs)
        assert len(syncs) == 1
        assert await world.orders(Purpose.STOP, live=True) == []
        await world.settle()
        assert await world.held() == 0


async def test_an_agents_own_stop_takes_the_place_of_the_cores(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        nearer = sell("9.98", purpose=Purpose.STOP, type=OrderType.STOP, stop_price=D(95))
        await world.send(nearer)
        await world.settle()
        (stop,) = await world.orders(Purpose.STOP, live=True)
        assert (stop.request.stop_price, stop.request.quantity) == (95, D("9.98"))


async def test_a_dust_holding_the_session_does_not_list_harms_nobody(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10.001", symbol=ETH)
        await world.send(sell("9.98", symbol=ETH))
        await world.settle()
    only_btc = {BTC: QUIET[BTC]}
    async with open_world(tmp_path, only_btc, hours=2) as world:
        assert await world.desk.agrees(RUNNER)
        # What the dust is worth is not known here, and an unknown price is not zero.
        assert ReasonCode.EQUITY_UNKNOWN in codes(await world.desk.propose(TRADER, buy("1", leg="later")))
