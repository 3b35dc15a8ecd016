"""Client order ids, fitted to what a venue takes, and many orders at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.venue_account import VenueAccount
from trading_core.brokers.venues.client_ids import fit
from trading_core.domain.errors import OrderRefused
from trading_core.domain.intents import make_client_order_id, make_intent_id
from trading_core.domain.orders import OrderState, Purpose, Side

D = Decimal
GROUP = "ids"
LONG = "an-id-of-the-desk-that-is-far-too-long-for-any-venue-" + "0123456789" * 3
ODD = "ümläut & spaces/§?=%"
MANY = 20


@case(92, GROUP, "an id is taken once: no second order comes of it, and the first is untouched")
async def twice(account: Account) -> None:
    first = await account.send(account.limit("c1", "0.2"))
    try:
        again = await account.broker.place(account.limit("c1", "0.3"))
    except OrderRefused:
        pass
    else:  # Coinbase answers with the order that has the id
        assert again.venue_order_id == first.venue_order_id
    await account.settle()
    report = await account.report("c1")
    assert (report.venue_order_id, report.state) == (first.venue_order_id, OrderState.OPEN)
    assert len(await account.broker.open_orders()) == 1
    assert (await account.quote()).locked < D("0.21") * FAR_BELOW


@case(93, GROUP, "the desk's own ids go through as they are, and come back after a restart")
async def own(account: Account) -> None:
    key = make_client_order_id(make_intent_id("run", Purpose.ENTRY, account.symbol, "leg"))
    await account.send(account.limit(key, "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    await account.restart()
    assert await account.open_keys() == {key}
    assert {fill.client_order_id for fill in await account.fills()} == {key}


@case(94, GROUP, "an id that is too long for a venue is fitted, and the order found under it again")
async def too_long(account: Account) -> None:
    await account.send(account.limit(LONG, "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.2"))
    assert await account.open_keys() == {LONG}
    assert {fill.client_order_id for fill in await account.fills()} == {LONG}
    await account.restart()
    assert (await account.report(LONG)).filled == D("0.2")
    assert (await account.cancel(LONG)).state is OrderState.CANCELLED


@case(95, GROUP, "an id of odd characters is fitted, and the order found under it again")
async def odd(account: Account) -> None:
    await account.send(account.limit(ODD, "0.5"))
    assert await account.open_keys() == {ODD}
    await account.restart()
    assert (await account.report(ODD)).state is OrderState.OPEN
    assert (await account.cancel(ODD)).state is OrderState.CANCELLED


@case(96, GROUP, "long ids that differ in their last letter are two orders")
async def nearly_the_same(account: Account) -> None:
    for last in "ab":
        await account.send(account.limit(LONG + last, "0.1"))
    await account.cancel(LONG + "a")
    assert await account.open_keys() == {LONG + "b"}
    assert (await account.report(LONG + "a")).state is OrderState.CANCELLED


@line_case(97, GROUP, "an id that looks like a fitted one is not taken for it", paper="it takes every id as it is")
async def looks_fitted(account: VenueAccount) -> None:
    made = fit(LONG, account.local.kind.profile.ids)
    await account.send(account.limit(LONG, "0.1"))
    await account.send(account.limit(made, "0.2"))
    assert await account.open_keys() == {LONG, made}
    assert len({order.ticket.client_id for order in account.at_venue()}) == 2
    assert (await account.cancel(made)).state is OrderState.CANCELLED
    assert (await account.report(LONG)).state is OrderState.OPEN


@case(98, GROUP, "twenty orders at once are twenty orders, each known by its id")
async def at_once(account: Account) -> None:
    keys = {f"c{number}" for number in range(MANY)}
    await asyncio.gather(*(account.broker.place(account.limit(key, "0.01")) for key in sorted(keys)))
    await account.settle()
    reports = {report.client_order_id: report for report in await account.broker.open_orders()}
    assert set(reports) == keys
    assert len({report.venue_order_id for report in reports.values()}) == MANY
    await asyncio.gather(*(account.broker.cancel(key, account.symbol) for key in sorted(keys)))
    await account.settle()
    assert await account.open_keys() == set()


@case(99, GROUP, "ten market orders at once fill, each once")
async def taking_at_once(account: Account) -> None:
    keys = [f"c{number}" for number in range(10)]
    await asyncio.gather(*(account.broker.place(account.market(key, "0.02")) for key in keys))
    await account.settle()
    for key in keys:
        assert (await account.report(key)).state is OrderState.FILLED
    assert sum(fill.quantity for fill in await account.fills()) == D("0.2")
    assert {fill.client_order_id for fill in await account.fills()} == set(keys)
