"""A desk over the account: what it promises its owner must hold over every venue."""

from __future__ import annotations

from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.desk import STOP, trading
from tests.acceptance.venue_account import VenueAccount
from tests.unit.desk_cases import RUNNER, TRADER, codes
from tests.venues.engine_types import Fees
from tests.venues.faults import ERROR_BEFORE, REPLY_LOST
from trading_core.domain.orders import Order, OrderState, Side
from trading_core.execution.forms import WorkingStyle
from trading_core.risk.checks import ReasonCode

D = Decimal
GROUP = "desk"
IN_BASE = Fees(D("0.001"), D("0.002"))


@case(118, GROUP, "an entry that fills gets its protective stop at the venue, over what is held")
async def entry_gets_its_stop(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        (stop,) = await world.stops()
        assert (await account.report(stop.client_order_id)).state is OrderState.OPEN
        instrument = await account.instrument()
        assert stop.request.stop_price == instrument.floor_price(STOP)
        assert stop.request.quantity == instrument.floor_quantity(await world.held())
        await world.agrees()


@case(119, GROUP, "an entry that fills in part gets a stop over that part, and one over the rest when it fills")
async def part_gets_its_stop(account: Account) -> None:
    async with trading(account) as world:
        entry = await world.send(world.entry("entry", limit=D(49_000)))
        await account.trade(Side.SELL, D(49_000), D("0.04"))
        await world.sync()
        assert (await world.order(entry.client_order_id)).state is OrderState.PARTIALLY_FILLED
        assert D("0.039") < sum(stop.remaining for stop in await world.stops()) <= D("0.04")
        await account.trade(Side.SELL, D(49_000), D("0.06"))
        await world.sync()
        assert D("0.099") < sum(stop.remaining for stop in await world.stops()) <= D("0.1")
        await world.agrees()


@case(120, GROUP, "an exit sells what is held after fees and no more, its stop out of the way", fees=IN_BASE)
async def exit_sells_what_is_held(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        instrument = await account.instrument()
        quantity = instrument.floor_quantity(await world.held())
        sold = await world.send(world.exit("exit", quantity))
        await world.sync()
        assert (await world.order(sold.client_order_id)).state is OrderState.FILLED
        assert 0 <= await world.held() < instrument.lot_size
        assert await world.stops() == []
        assert await account.open_keys() == set()
        await world.agrees()


@case(121, GROUP, "an exit of more than is held is denied, and the stop stays", fees=IN_BASE)
async def exit_of_more(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        before = await world.stops()
        refused = await world.submit(world.exit("exit", "0.11"))
        assert ReasonCode.OVERSELL in codes(refused)
        assert await world.stops() == before
        assert await account.open_keys() == {stop.client_order_id for stop in before}


@case(122, GROUP, "a stop that triggers is booked as the exit, and the ledger agrees with the venue")
async def stop_is_booked(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        (stop,) = await world.stops()
        await account.move(STOP - 500)
        await world.sync()
        assert (await world.order(stop.client_order_id)).state is OrderState.FILLED
        assert await world.held() < (await account.instrument()).lot_size
        await world.agrees()


@case(123, GROUP, "submitting an intent twice sends it once")
async def submitted_twice(account: Account) -> None:
    async with trading(account) as world:
        intent = world.entry("entry", limit=FAR_BELOW + 8_000)
        first = await world.send(intent)
        second = await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
        assert isinstance(second, Order)
        assert second.client_order_id == first.client_order_id
        await account.settle()
        assert await account.open_keys() == {first.client_order_id}


@case(124, GROUP, "reconcile agrees after a partial fill")
async def agrees_after_part(account: Account) -> None:
    async with trading(account) as world:
        await world.send(world.entry("entry", limit=D(49_000)))
        await account.trade(Side.SELL, D(49_000), D("0.03"))
        await world.agrees()
        assert (await world.held()) > D("0.029")


@case(125, GROUP, "reconcile agrees after a restart with an open order, a fill nobody saw, and a stop")
async def agrees_after_restart(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        resting = await world.send(world.entry("rests", limit=D(49_000)))
        await account.settle()
    await account.restart()
    await account.trade(Side.SELL, D(49_000), D("0.05"))
    async with trading(account) as world:
        order = await world.order(resting.client_order_id)
        assert (order.state, order.filled) == (OrderState.PARTIALLY_FILLED, D("0.05"))
        await world.agrees()
        assert D("0.149") < sum(stop.remaining for stop in await world.stops()) <= D("0.15")


@case(126, GROUP, "the kill switch takes back every order but the stops")
async def kill(account: Account) -> None:
    async with trading(account) as world:
        await world.bought()
        resting = await world.send(world.entry("rests", limit=D(48_000)))
        (stop,) = await world.stops()
        await world.kill()
        await world.sync()
        assert await account.open_keys() == {stop.client_order_id}
        assert (await world.order(resting.client_order_id)).state is OrderState.CANCELLED
        assert ReasonCode.TRADING_STATE in codes(await world.submit(world.entry("after")))
        await world.agrees()


@line_case(127, GROUP, "reconcile agrees after a lost reply, and the order is booked once")
async def agrees_after_lost_reply(account: VenueAccount) -> None:
    async with trading(account) as world:
        account.next("place", REPLY_LOST)
        lost = await world.send(world.entry("lost"))
        assert lost.state is OrderState.UNKNOWN
        await world.sync()
        assert (await world.order(lost.client_order_id)).state is OrderState.FILLED
        await world.agrees()
        assert account.sent("place") == 2  # the entry and its stop


@line_case(128, GROUP, "an UNKNOWN order blocks new entries in its symbol, and only there, until the venue tells")
async def unknown_blocks(account: VenueAccount) -> None:
    async with trading(account) as world:
        account.next("place", REPLY_LOST)
        lost = await world.send(world.entry("lost", limit=D(48_000)))
        assert lost.state is OrderState.UNKNOWN
        assert ReasonCode.UNKNOWN_ORDER in codes(await world.submit(world.entry("next", limit=D(48_500))))
        await world.sync()
        assert (await world.order(lost.client_order_id)).state is OrderState.OPEN
        assert (await world.send(world.entry("later", limit=D(48_500)))).state is OrderState.OPEN


@line_case(129, GROUP, "a stop whose answer is lost is found and not placed again")
async def stop_reply_lost(account: VenueAccount) -> None:
    async with trading(account) as world:
        await world.send(world.entry("entry"))
        account.next("place", REPLY_LOST)
        await world.sync()
        await world.sync()
        await world.agrees()
        (stop,) = await world.stops()
        assert await account.open_keys() == {stop.client_order_id}
        assert account.sent("place") == 2


@line_case(130, GROUP, "an entry that never arrived stays unknown, is not sent again, and a restart does not send it either")
async def never_arrived(account: VenueAccount) -> None:
    async with trading(account) as world:
        account.next("place", ERROR_BEFORE)
        unsent = await world.send(world.entry("unsent"))
        assert unsent.state is OrderState.UNKNOWN
    await account.restart()
    async with trading(account) as world:
        await world.sync()
        assert (await world.order(unsent.client_order_id)).state in (OrderState.UNKNOWN, OrderState.REFUSED)
        assert account.sent("place") == 1
        assert account.at_venue() == []


@line_case(131, GROUP, "an order of somebody else makes reconcile disagree, and it is left alone")
async def foreign_order(account: VenueAccount) -> None:
    async with trading(account) as world:
        await account.broker.place(account.limit("nobodys", "0.1"))
        found, _ = await world.desk.reconcile(RUNNER)
        assert not found.agrees
        assert "nobodys" in found.disagreement
        assert await account.open_keys() == {"nobodys"}
