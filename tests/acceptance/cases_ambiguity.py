"""Orders whose answer is lost: ambiguous, sent once, and then found or provably absent."""

from __future__ import annotations

from decimal import Decimal

from tests.acceptance.case import line_case
from tests.acceptance.expect import raises
from tests.acceptance.venue_account import VenueAccount
from tests.venues.faults import (
    BROKEN_BODY,
    ERROR_AFTER,
    ERROR_BEFORE,
    HTML_200,
    HTML_AFTER,
    HTML_BEFORE,
    REPLY_LOST,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    drip,
    late,
)
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.orders import OrderState, Side

D = Decimal
GROUP = "lost answers"
SHORT_MS, TOO_LATE_SECONDS = 250, 0.6
"""The patience of a client that shall not be waited for, and an answer that comes after it."""


async def _ambiguous(account: VenueAccount, fault: Fault) -> None:
    account.next("place", fault)
    await raises(AmbiguousOutcome, account.broker.place(account.limit("c1", "0.5")))
    assert account.sent("place") == 1, f"it was sent {account.sent('place')} times"


async def _found(account: VenueAccount, fault: Fault) -> None:
    await _ambiguous(account, fault)
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.OPEN, D(0))
    assert len(account.at_venue()) == 1
    assert (await account.cancel("c1")).state is OrderState.CANCELLED


async def _absent(account: VenueAccount, fault: Fault) -> None:
    await _ambiguous(account, fault)
    assert await account.broker.order("c1", account.symbol) is None
    assert account.at_venue() == []
    assert account.sent("place") == 1


@line_case(44, GROUP, "reply lost after execution: ambiguous, found under its id, sent once")
async def reply_lost(account: VenueAccount) -> None:
    await _found(account, REPLY_LOST)


@line_case(45, GROUP, "reset after execution: ambiguous, found under its id, sent once")
async def reset_after(account: VenueAccount) -> None:
    await _found(account, RESET_AFTER)


@line_case(46, GROUP, "5xx after execution: ambiguous, found under its id, sent once")
async def error_after(account: VenueAccount) -> None:
    await _found(account, ERROR_AFTER)


@line_case(47, GROUP, "HTML page with a 5xx after execution: ambiguous, found under its id, sent once")
async def page_after(account: VenueAccount) -> None:
    await _found(account, HTML_AFTER)


@line_case(48, GROUP, "HTML page with status 200: ambiguous, found under its id, sent once")
async def page_with_200(account: VenueAccount) -> None:
    await _found(account, HTML_200)


@line_case(49, GROUP, "status 200 and half a body: ambiguous, found under its id, sent once")
async def half_a_body(account: VenueAccount) -> None:
    await _found(account, BROKEN_BODY)


@line_case(50, GROUP, "an answer that comes too late: ambiguous, found under its id, sent once")
async def too_late(account: VenueAccount) -> None:
    patience = account.client.timeout
    account.client.timeout = SHORT_MS
    await _ambiguous(account, late(TOO_LATE_SECONDS))
    account.client.timeout = patience
    assert (await account.report("c1")).state is OrderState.OPEN
    assert account.sent("place") == 1


@line_case(51, GROUP, "an answer that drips in is read to its end")
async def drips(account: VenueAccount) -> None:
    account.next("place", drip(0.1))
    await account.broker.place(account.limit("c1", "0.5"))
    assert (await account.report("c1")).state is OrderState.OPEN
    assert account.sent("place") == 1


@line_case(52, GROUP, "reset before execution: ambiguous, provably absent, never sent again")
async def reset_before(account: VenueAccount) -> None:
    await _absent(account, RESET_BEFORE)


@line_case(53, GROUP, "5xx before execution: ambiguous, provably absent, never sent again")
async def error_before(account: VenueAccount) -> None:
    await _absent(account, ERROR_BEFORE)


@line_case(54, GROUP, "HTML page before execution: ambiguous, provably absent, never sent again")
async def page_before(account: VenueAccount) -> None:
    await _absent(account, HTML_BEFORE)


@line_case(55, GROUP, "reply of a market order lost: ambiguous, found filled, its fills under its id")
async def market_reply_lost(account: VenueAccount) -> None:
    account.next("place", REPLY_LOST)
    await raises(AmbiguousOutcome, account.broker.place(account.market("c1", "0.2")))
    report = await account.report("c1")
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.2"))
    assert sum(fill.quantity for fill in await account.fills("c1")) == D("0.2")
    assert account.sent("place") == 1


@line_case(56, GROUP, "reply of a stop lost: ambiguous, found waiting, and cancelled under its id")
async def stop_reply_lost(account: VenueAccount) -> None:
    quantity = await account.hold()
    account.next("place", REPLY_LOST)
    await raises(AmbiguousOutcome, account.broker.place(account.stop("s1", quantity, D(45_000))))
    assert (await account.report("s1")).state is OrderState.OPEN
    assert (await account.cancel("s1")).state is OrderState.CANCELLED


@line_case(57, GROUP, "an order whose answer was lost is found by a process that knows nothing of it")
async def found_after_restart(account: VenueAccount) -> None:
    await _ambiguous(account, REPLY_LOST)
    await account.restart()
    assert (await account.report("c1")).state is OrderState.OPEN


@line_case(58, GROUP, "a read that fails is unknown: never an absent order, never an empty list")
async def failed_reads(account: VenueAccount) -> None:
    await account.send(account.limit("c1", "0.5"))
    await account.send(account.market("c2", "0.1"))
    await account.restart()
    await account.broker.open()
    for fault in (ERROR_BEFORE, HTML_200, BROKEN_BODY, RESET_BEFORE):
        account.server.faults.always(fault)
        await raises(BrokerUnavailable, account.broker.order("c1", account.symbol))
        await raises(BrokerUnavailable, account.broker.open_orders())
        await raises(BrokerUnavailable, account.broker.fills(since=account.since))
        await raises(BrokerUnavailable, account.broker.balances())


@line_case(59, GROUP, "a read that fails once is asked again, a write never is")
async def read_again(account: VenueAccount) -> None:
    account.next("balance", ERROR_BEFORE, RESET_BEFORE)
    assert (await account.quote()).free > 0
    await _ambiguous(account, ERROR_BEFORE)


@line_case(60, GROUP, "a venue whose markets cannot be read gets no order: refused, nothing sent")
async def no_markets(account: VenueAccount) -> None:
    await account.restart()
    account.server.faults.always(RESET_BEFORE, "markets")
    await raises(OrderRefused, account.broker.place(account.market("c1", "0.1", Side.BUY)))
    assert account.sent("place") == 0
