"""A process that knows nothing finds what an earlier one left, and what is not the desk's."""

from __future__ import annotations

from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.venue_account import VenueAccount
from tests.venues.engine_types import Kind, Ticket
from tests.venues.engine_types import Side as VenueSide
from tests.venues.local import ACCOUNT
from trading_core.domain.orders import OrderState, Side

D = Decimal
GROUP = "restart"


@case(61, GROUP, "open orders are found under the desk's ids, and can be cancelled")
async def open_orders(account: Account) -> None:
    for key in ("c1", "c2"):
        await account.send(account.limit(key, "0.5"))
    await account.restart()
    assert await account.open_keys() == {"c1", "c2"}
    assert (await account.cancel("c1")).state is OrderState.CANCELLED
    assert await account.open_keys() == {"c2"}


@case(62, GROUP, "a part-filled order is found with what was filled, also while nobody was there")
async def part_filled(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
    await account.restart()
    await account.trade(Side.SELL, FAR_BELOW, D("0.1"))
    await account.restart()
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.2"))
    assert sum(fill.quantity for fill in await account.fills("c1")) == D("0.2")


@case(63, GROUP, "stops are found under the desk's ids, and can be cancelled")
async def stops(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000)))
    await account.restart()
    assert await account.open_keys() == {"s1"}
    assert (await account.report("s1")).state is OrderState.OPEN
    assert (await account.cancel("s1")).state is OrderState.CANCELLED


@case(64, GROUP, "a stop that triggered meanwhile is told filled, its fills under its id")
async def stop_meanwhile(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000)))
    await account.restart()
    await account.move(D(44_000))
    report = await account.report("s1")
    assert (report.state, report.filled) == (OrderState.FILLED, quantity)
    assert sum(fill.quantity for fill in await account.fills("s1")) == quantity


@case(65, GROUP, "orders that ended meanwhile are found with their end")
async def ended(account: Account) -> None:
    await account.send(account.limit("cancelled", "0.1"))
    await account.cancel("cancelled")
    await account.send(account.limit("filled", "0.5"))
    await account.restart()
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    assert (await account.report("cancelled")).state is OrderState.CANCELLED
    assert (await account.report("filled")).state is OrderState.FILLED
    assert await account.open_keys() == set()


@line_case(
    66,
    GROUP,
    "an order that somebody else placed on the account is shown, under an id that is not the desk's",
    paper="in this process: nobody else can place on its account",
)
async def foreign(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.2"))
    account.exchange.place(Ticket(ACCOUNT, account.symbol, VenueSide.BUY, Kind.LIMIT, "", quantity=D("0.1"), limit=FAR_BELOW))
    await account.restart()
    reports = await account.broker.open_orders()
    assert len(reports) == 2
    (other,) = [report for report in reports if report.client_order_id != "c1"]
    assert other.client_order_id
    assert other.venue_order_id
    assert (other.state, other.symbol) == (OrderState.OPEN, account.symbol)


@line_case(
    67,
    GROUP,
    "a fill of somebody else's order is told, and under none of the desk's ids",
    paper="in this process: nobody else can place on its account",
)
async def foreign_fill(account: VenueAccount) -> None:
    await account.send(account.market("c1", "0.2"))
    account.exchange.place(Ticket(ACCOUNT, account.symbol, VenueSide.BUY, Kind.MARKET, "", quantity=D("0.1")))
    await account.restart()
    fills = await account.fills()
    assert sorted(fill.quantity for fill in fills) == [D("0.1"), D("0.2")]
    assert [fill.quantity for fill in fills if fill.client_order_id == "c1"] == [D("0.2")]
    assert all(fill.client_order_id for fill in fills)
