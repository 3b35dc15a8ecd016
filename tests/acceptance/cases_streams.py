"""Private streams: what happens is told as it happens, nothing is lost and nothing is booked twice."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.following import Following, following
from tests.acceptance.venue_account import VenueAccount
from trading_core.brokers.base import Missed
from trading_core.domain.orders import OrderState, Side

D = Decimal
GROUP = "streams"
NO_SOCKET = "in this process: no socket to break"


async def _as_read(account: Account, follower: Following) -> None:
    """The listener knows what a reading tells, each fill once, to the digit."""
    assert sorted(follower.fills.values(), key=lambda fill: (fill.at, fill.trade_id)) == await account.fills()


@case(132, GROUP, "a stream that opens says first that what was before has to be read")
async def opens(account: Account) -> None:
    await account.send(account.market("before", "0.1"))
    async with following(account) as follower:
        assert isinstance(follower.first, Missed)
        await follower.filled("before", 1)
        await _as_read(account, follower)


@case(133, GROUP, "a fill of a resting order arrives, equal to the one that is read")
async def fill_arrives(account: Account) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
        (fill,) = await follower.filled("c1", 1)
        assert (fill.quantity, fill.price) == (D("0.2"), FAR_BELOW)
        await _as_read(account, follower)


@case(134, GROUP, "an order's way is told: open, filled in part, cancelled")
async def order_arrives(account: Account) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await _becomes(follower, OrderState.OPEN)
        await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
        await _becomes(follower, OrderState.PARTIALLY_FILLED)
        await account.cancel("c1")
        await _becomes(follower, OrderState.CANCELLED)
        assert follower.orders["c1"].filled == D("0.2")


@case(135, GROUP, "an order that takes at once is told filled, with its fill")
async def taken_at_once(account: Account) -> None:
    async with following(account) as follower:
        await account.send(account.market("c1", "0.3"))
        fills = await follower.filled("c1", 1)
        assert sum(fill.quantity for fill in fills) == D("0.3")
        await _as_read(account, follower)


@case(136, GROUP, "what a stop does when it triggers is told under the desk's id")
async def stop_arrives(account: Account) -> None:
    quantity = await account.hold()
    async with following(account) as follower:
        await account.send(account.stop("s1", quantity, D(45_000)))
        await account.move(D(44_000))
        await account.report("s1")
        fills = await follower.filled("s1", 1)
        assert sum(fill.quantity for fill in fills) == quantity
        await _as_read(account, follower)


@line_case(
    137,
    GROUP,
    "a socket that breaks in the middle of a frame: what happened meanwhile is there afterwards, once",
    paper=NO_SOCKET,
)
async def dropped(account: VenueAccount) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 1)
        account.server.faults.streams.drop()
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 2)
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 3)
        assert len(follower.missed) > 1
        await _as_read(account, follower)


@line_case(138, GROUP, "a venue that takes no sockets for a while: told when it does again, read in between", paper=NO_SOCKET)
async def refused_for_a_while(account: VenueAccount) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        account.server.faults.streams.refuse()
        account.server.faults.streams.drop()
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        assert len(await account.fills("c1")) == 1
        await asyncio.sleep(0.1)
        account.server.faults.clear()
        await follower.filled("c1", 1)
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 2)
        await _as_read(account, follower)


@line_case(139, GROUP, "events that come twice are booked once", paper=NO_SOCKET)
async def doubled(account: VenueAccount) -> None:
    async with following(account) as follower:
        account.server.faults.streams.double(20)
        await account.send(account.limit("c1", "0.5"))
        for _ in range(2):
            await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 2)
        await account.cancel("c1")
        await _becomes(follower, OrderState.CANCELLED)
        assert follower.orders["c1"].filled == D("0.2")
        await _as_read(account, follower)


@line_case(140, GROUP, "events that come in another order bring the same fills and the same end", paper=NO_SOCKET)
async def swapped(account: VenueAccount) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await follower.until("the order", lambda: "c1" in follower.orders)
        account.server.faults.streams.swap()
        await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
        await account.trade(Side.SELL, FAR_BELOW, D("0.3"))
        await follower.filled("c1", 2)
        await _becomes(follower, OrderState.FILLED)
        await _as_read(account, follower)


@line_case(141, GROUP, "a socket that goes silent is noticed, and what it did not tell is read", paper=NO_SOCKET)
async def silent(account: VenueAccount) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await follower.until("the order", lambda: "c1" in follower.orders)
        account.server.faults.streams.silence()
        await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
        await follower.filled("c1", 1)
        account.server.faults.clear()
        account.server.faults.streams.drop()  # one that was opened in the silence was never told that it is
        await account.trade(Side.SELL, FAR_BELOW, D("0.3"))
        await follower.filled("c1", 2)
        await _as_read(account, follower)


@line_case(142, GROUP, "a process that restarts listens anew and misses nothing of what happened in between", paper=NO_SOCKET)
async def restarted(account: VenueAccount) -> None:
    async with following(account) as follower:
        await account.send(account.limit("c1", "0.5"))
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 1)
    await account.restart()
    await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
    async with following(account) as follower:
        await follower.filled("c1", 2)
        await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
        await follower.filled("c1", 3)
        await _as_read(account, follower)


async def _becomes(follower: Following, state: OrderState) -> None:
    def is_so() -> bool:
        known = follower.orders.get("c1")
        return known is not None and known.state is state

    await follower.until(f"that it is {state.value}", is_so)
