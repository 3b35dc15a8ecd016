"""Cancels: of what is open, ended and unknown, in races with fills, and without an answer."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.acceptance.account import FAR_BELOW, Account
from tests.acceptance.case import case, line_case
from tests.acceptance.expect import raises
from tests.acceptance.venue_account import VenueAccount
from tests.venues.engine_types import Status
from tests.venues.faults import ERROR_AFTER, REPLY_LOST, RESET_BEFORE, Fault
from trading_core.domain.errors import AmbiguousOutcome, OrderRefused
from trading_core.domain.orders import OrderState, Side

D = Decimal
GROUP = "cancel"
FINAL_EITHER_WAY = {OrderState.CANCELLED, OrderState.FILLED}


@case(32, GROUP, "an open order is cancelled and frees what it held")
async def of_open(account: Account) -> None:
    before = await account.quote()
    await account.send(account.limit("c1", "0.5"))
    report = await account.cancel("c1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, D(0))
    assert await account.open_keys() == set()
    assert await account.quote() == before


@case(33, GROUP, "a second cancel tells the same end and asks for nothing new")
async def twice(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    first = await account.cancel("c1")
    second = await account.cancel("c1")
    assert (second.state, second.filled, second.venue_order_id) == (first.state, first.filled, first.venue_order_id)


@case(34, GROUP, "the cancel of a filled order tells the fill")
async def of_filled(account: Account) -> None:
    await account.send(account.market("c1", "0.2"))
    report = await account.broker.cancel("c1", account.symbol)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.2"))


@case(35, GROUP, "the cancel of an unknown order is refused, and nothing else is touched")
async def of_unknown(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await raises(OrderRefused, account.broker.cancel("nobody", account.symbol))
    assert (await account.report("c1")).state is OrderState.OPEN


@case(36, GROUP, "race: the last fill comes before the cancel, and the order is filled")
async def fill_first(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    report = await account.broker.cancel("c1", account.symbol)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))


@case(37, GROUP, "race: the cancel comes before the taker, and nothing is filled")
async def cancel_first(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.cancel("c1")
    await account.trade(Side.SELL, FAR_BELOW, D("0.5"))
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, D(0))
    assert await account.fills() == []


@case(38, GROUP, "race: a fill and a cancel at once end as the venue has it, fills and balances agreeing")
async def at_once(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await asyncio.gather(account.broker.cancel("c1", account.symbol), account.trade(Side.SELL, FAR_BELOW, D("0.5")))
    await account.settle()
    report = await account.report("c1")
    assert report.state in FINAL_EITHER_WAY
    assert report.filled == sum(fill.quantity for fill in await account.fills("c1"))
    assert (await account.quote()).locked == 0


@case(39, GROUP, "race: a partial fill slips in before the cancel and is kept")
async def part_first(account: Account) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.trade(Side.SELL, FAR_BELOW, D("0.3"))
    report = await account.cancel("c1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.3"))
    assert [fill.quantity for fill in await account.fills("c1")] == [D("0.3")]


async def _cancel_without_an_answer(account: VenueAccount, fault: Fault) -> None:
    """Ambiguous; or told as the venue then has it, for a cancel that is a DELETE.

    A DELETE may be repeated on a new connection when the old one breaks (RFC 9110, 9.2.2), and aiohttp does so once. The
    cancel of an order that has ended changes nothing.
    """
    account.next("cancel", fault)
    try:
        report = await account.broker.cancel("c1", account.symbol)
    except AmbiguousOutcome:
        assert account.sent("cancel") == 1
    else:
        assert account.sent("cancel") == 2
        assert report.state is OrderState.CANCELLED


@line_case(40, GROUP, "reply lost: ambiguous or found cancelled, and it is cancelled")
async def reply_lost(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    await _cancel_without_an_answer(account, REPLY_LOST)
    assert (await account.report("c1")).state is OrderState.CANCELLED


@line_case(41, GROUP, "reset before execution: ambiguous or found cancelled, and asking again ends it")
async def never_arrived(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    await _cancel_without_an_answer(account, RESET_BEFORE)
    live = account.at_venue()[0].status is Status.OPEN
    assert (await account.report("c1")).state is (OrderState.OPEN if live else OrderState.CANCELLED)
    assert (await account.broker.cancel("c1", account.symbol)).state is OrderState.CANCELLED


@line_case(42, GROUP, "5xx after execution: ambiguous, and asking again tells that it is cancelled")
async def error_after(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    account.next("cancel", ERROR_AFTER)
    await raises(AmbiguousOutcome, account.broker.cancel("c1", account.symbol))
    assert account.sent("cancel") == 1
    assert (await account.broker.cancel("c1", account.symbol)).state is OrderState.CANCELLED


@line_case(43, GROUP, "cancelled, and the venue cannot be read: ambiguous, never taken for an end")
async def cannot_be_read(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    for operation in ("order", "orders", "open_orders"):
        account.server.faults.always(RESET_BEFORE, operation)
    await raises(AmbiguousOutcome, account.broker.cancel("c1", account.symbol))
    account.server.faults.clear()
    assert (await account.report("c1")).state is OrderState.CANCELLED
