"""Every order type and time in force, and what a stop becomes."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

from tests.acceptance.account import FAR_ABOVE, FAR_BELOW, PRICE, Account
from tests.acceptance.case import case
from tests.acceptance.expect import ENDED, refused
from trading_core.domain.errors import AmbiguousOutcome, OrderRefused
from trading_core.domain.orders import OrderState, Side, TimeInForce

D = Decimal
GROUP = "order types"
NEAR = D(100)
"""How far from `PRICE` a market order may end: the quote is one tick around it."""


@case(1, GROUP, "a market buy takes at once and is told whole")
async def market_buy(account: Account) -> None:
    before = await account.quote()
    report = await account.send(account.market("c1", "0.5"))
    assert (report.state, report.filled, report.symbol) == (OrderState.FILLED, D("0.5"), account.symbol)
    fills = await account.fills("c1")
    assert sum(fill.quantity for fill in fills) == D("0.5")
    assert all(abs(fill.price - PRICE) < NEAR for fill in fills)
    assert (await account.quote()).total < before.total - D("0.5") * (PRICE - NEAR)


@case(2, GROUP, "a market sell takes at once and brings quote")
async def market_sell(account: Account) -> None:
    quantity = await account.hold()
    before = await account.quote()
    report = await account.send(account.market("c1", quantity, Side.SELL))
    assert (report.state, report.filled) == (OrderState.FILLED, quantity)
    assert {fill.side for fill in await account.fills("c1")} == {Side.SELL}
    assert (await account.quote()).total > before.total + quantity * (PRICE - NEAR) * D("0.99")


@case(3, GROUP, "a limit buy below the market rests")
async def limit_buy_rests(account: Account) -> None:
    report = await account.send(account.limit("c1", "0.5"))
    assert (report.state, report.filled) == (OrderState.OPEN, D(0))
    assert await account.open_keys() == {"c1"}
    assert await account.fills() == []


@case(4, GROUP, "a limit sell above the market rests")
async def limit_sell_rests(account: Account) -> None:
    quantity = await account.hold()
    report = await account.send(account.limit("c1", quantity, FAR_ABOVE, Side.SELL))
    assert (report.state, report.filled) == (OrderState.OPEN, D(0))
    assert await account.open_keys() == {"c1"}


@case(5, GROUP, "a limit buy through the market takes, at the market's price and not its own")
async def limit_buy_takes(account: Account) -> None:
    report = await account.send(account.limit("c1", "0.5", D(51_000)))
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))
    assert all(abs(fill.price - PRICE) < NEAR for fill in await account.fills("c1"))


@case(6, GROUP, "a resting limit is filled at its price when the market comes to it")
async def limit_is_reached(account: Account) -> None:
    await account.send(account.limit("c1", "0.5", D(49_000)))
    await account.trade(Side.SELL, D(49_000), D("0.5"))
    assert (await account.report("c1")).state is OrderState.FILLED
    assert {fill.price for fill in await account.fills("c1")} == {D(49_000)}


@case(7, GROUP, "immediate-or-cancel takes what is offered and the rest ends")
async def immediate_in_part(account: Account) -> None:
    await account.offer(D("0.1"))
    report = await account.send(account.limit("c1", "0.3", D(50_500), time_in_force=TimeInForce.IOC))
    assert report.state in ENDED
    assert report.filled == D("0.1")
    assert sum(fill.quantity for fill in await account.fills("c1")) == D("0.1")
    assert (await account.quote()).locked == 0


@case(8, GROUP, "immediate-or-cancel out of reach ends with nothing")
async def immediate_out_of_reach(account: Account) -> None:
    before = await account.quote()
    # Crypto.com answers with an error for an order that it took and ended at once: what it then is has to be asked.
    with suppress(AmbiguousOutcome):
        await account.broker.place(account.limit("c1", "0.3", FAR_BELOW, time_in_force=TimeInForce.IOC))
    await account.settle()
    report = await account.report("c1")
    assert report.state in ENDED
    assert report.filled == 0
    assert await account.quote() == before


@case(9, GROUP, "post-only below the market rests and fills as a maker")
async def post_only_rests(account: Account) -> None:
    report = await account.send(account.limit("c1", "0.5", D(49_000), time_in_force=TimeInForce.POST_ONLY))
    assert report.state is OrderState.OPEN
    await account.trade(Side.SELL, D(49_000), D("0.5"))
    assert all(fill.is_maker for fill in await account.fills("c1"))


@case(10, GROUP, "post-only that would take is refused, or ends unfilled")
async def post_only_would_take(account: Account) -> None:
    before = await account.quote()
    try:
        report = await account.send(account.limit("c1", "0.5", D(51_000), time_in_force=TimeInForce.POST_ONLY))
    except OrderRefused:
        pass  # at the door: Binance, Coinbase, Kraken, paper; the others take it and end it
    else:
        assert report.state in ENDED | {OrderState.REFUSED}
        assert report.filled == 0
    assert await account.fills() == []
    assert await account.quote() == before


@case(11, GROUP, "a stop waits while the price stays above it")
async def stop_waits(account: Account) -> None:
    quantity = await account.hold()
    report = await account.send(account.stop("s1", quantity, D(45_000)))
    assert (report.state, report.filled) == (OrderState.OPEN, D(0))
    await account.move(D(47_000))
    assert (await account.report("s1")).state is OrderState.OPEN
    assert await account.open_keys() == {"s1"}


@case(12, GROUP, "a stop sell triggers and is filled at the market")
async def stop_triggers(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000)))
    await account.move(D(44_000))
    report = await account.report("s1")
    assert (report.state, report.filled) == (OrderState.FILLED, quantity)
    fills = await account.fills("s1")
    assert sum(fill.quantity for fill in fills) == quantity
    assert all(abs(fill.price - D(44_000)) < NEAR for fill in fills)
    assert await account.open_keys() == set()


@case(13, GROUP, "a stop buy triggers when the price rises to it")
async def stop_buy_triggers(account: Account) -> None:
    await account.send(account.stop("s1", "0.2", D(55_000), Side.BUY))
    await account.move(D(55_500))
    report = await account.report("s1")
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.2"))


@case(14, GROUP, "a stop-limit triggers and is filled at its limit or better")
async def stop_limit_triggers(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000), limit=D(43_000)))
    await account.move(D(44_000))
    report = await account.report("s1")
    assert (report.state, report.filled) == (OrderState.FILLED, quantity)
    assert all(fill.price >= D(43_000) for fill in await account.fills("s1"))


@case(15, GROUP, "a stop-limit that the price jumps over rests at its limit, under the same id")
async def stop_limit_rests(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000), limit=D(44_500)))
    await account.move(D(43_000))
    report = await account.report("s1")
    assert (report.state, report.filled) == (OrderState.OPEN, D(0))
    assert await account.open_keys() == {"s1"}
    assert (await account.cancel("s1")).state is OrderState.CANCELLED


@case(16, GROUP, "a stop is cancelled and its coins can be sold again")
async def stop_cancelled(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000)))
    assert (await account.cancel("s1")).state is OrderState.CANCELLED
    assert (await account.send(account.market("c1", quantity, Side.SELL))).state is OrderState.FILLED


@case(17, GROUP, "a stop that has triggered cannot be cancelled away")
async def stop_cancelled_late(account: Account) -> None:
    quantity = await account.hold()
    await account.send(account.stop("s1", quantity, D(45_000)))
    await account.move(D(44_000))
    report = await account.broker.cancel("s1", account.symbol)
    assert (report.state, report.filled) == (OrderState.FILLED, quantity)


@case(18, GROUP, "a stop on the wrong side of the price is refused, so that nobody counts on it")
async def stop_would_trigger(account: Account) -> None:
    quantity = await account.hold()
    await refused(account, account.stop("s1", quantity, D(51_000)))
    assert await account.open_keys() == set()
