"""Proving the ledger: it holds after every kind of trade, and each row that is tampered with is found and named."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, QUIET, RUNNER, TRADER, Fault, World, buy, open_world, sell
from tests.unit.feeds import flat
from tests.unit.paper_exchange import BTC, ETH
from trading_core.domain.orders import Purpose
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.verify import Finding, verify_ledger, verify_venue

D = Decimal


async def trade(world: World) -> None:
    """Bought, sold in part, stopped again, refused, cancelled, and one whose answer was lost."""
    await world.hold("10")
    await world.send(sell("4"))
    await world.settle()
    world.broker.on_place = [Fault.REFUSED]
    await world.send(buy("1", symbol=ETH, leg="refused"))
    await world.send(buy("3", symbol=ETH, leg="rests", limit_price=D(95)))
    await world.settle()
    await world.desk.cancel_entries(RUNNER, but_run="r2")
    world.broker.on_place = [Fault.REPLY_LOST]
    await world.send(buy("2", symbol=ETH, leg="lost"))
    await world.settle()


async def offences(world: World) -> dict[str, tuple[str, ...]]:
    """What does not hold, by check."""
    return {finding.name: finding.offences for finding in await findings(world) if not finding.holds}


async def findings(world: World) -> list[Finding]:
    return [
        *await verify_ledger(RUNNER, world.database, ACCOUNT),
        *await verify_venue(RUNNER, world.database, ACCOUNT, world.broker),
    ]


async def test_everything_holds_after_every_kind_of_trade(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await trade(world)
        found = await findings(world)
        assert [finding.offences for finding in found] == [()] * len(found)
        compared = {finding.name: finding.compared for finding in found}
        assert compared["every fill has its order"] == compared["fills at the venue"] == 3
        assert compared["orders are filled as their fills say"] == len(await world.orders())
        assert compared["order events follow the transition table"] > len(await world.orders())


async def test_an_empty_account_holds(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert await offences(world) == {}


BALANCES, POSITIONS, REALISED = (
    "balances are what the fills made",
    "positions are what the fills made",
    "realised profit is that of the fills",
)
FEES, FILLED = "fees are those of the fills", "orders are filled as their fills say"
EVENTS = "order events follow the transition table"
APPROVED, KNOWN, ONE = "every order was approved before it was sent", "every fill has its order", "one order for each intent"
RESERVED = "the gate granted every reservation"
AT_VENUE, BALANCES_THERE = "fills at the venue", "balances at the venue"
ENTRY = "client_order_id = (SELECT client_order_id FROM orders WHERE purpose = 'entry' AND symbol = 'BTC/USDT')"


@pytest.mark.parametrize(
    ("statement", "checks", "named"),
    [
        ("UPDATE balances SET amount = amount || '1' WHERE asset = 'BTC'", {BALANCES, BALANCES_THERE}, "BTC: "),
        ("UPDATE positions SET cost = '1' WHERE symbol = 'BTC/USDT'", {POSITIONS}, "cost of BTC/USDT: 1 on record"),
        ("UPDATE positions SET realised = '1' WHERE symbol = 'BTC/USDT'", {REALISED}, "BTC/USDT: 1 on record"),
        ("UPDATE fees SET amount = '0' WHERE asset = 'USDT'", {FEES}, "USDT: 0 on record"),
        ("UPDATE fills SET price = '99' WHERE ENTRY", {BALANCES, POSITIONS, REALISED, FILLED, AT_VENUE}, "USDT: "),
        ("DELETE FROM order_events WHERE sequence = 1 AND ENTRY", {EVENTS}, "event 1 is missing"),
        ("UPDATE order_events SET state = 'cancelled' WHERE sequence = 2 AND ENTRY", {EVENTS}, "not cancelled"),
        ("UPDATE order_events SET event = 'absent' WHERE sequence = 2 AND ENTRY", {EVENTS, FILLED}, "to nowhere"),
        ("UPDATE orders SET filled = '9' WHERE ENTRY", {FILLED}, "filled 9, its fills sum to 10"),
        ("UPDATE orders SET filled_notional = '9' WHERE ENTRY", {FILLED}, "filled for 9"),
        ("UPDATE orders SET quantity = '11' WHERE ENTRY", {FILLED, APPROVED}, "asks for more"),
        ("UPDATE risk_decisions SET verdict = 'denied'", {APPROVED}, "was not approved before"),
        ("UPDATE risk_decisions SET decided_at = '2099-01-01T00:00:00.000000Z'", {APPROVED}, "was not approved before"),
        ("UPDATE fills SET client_order_id = 'nobody' WHERE side = 'sell'", {KNOWN, FILLED, AT_VENUE}, "nobody is not on record"),
        ("UPDATE fills SET side = 'sell' WHERE ENTRY", {KNOWN, AT_VENUE}, "is not what order"),
        ("UPDATE orders SET intent_id = 'nothing' WHERE ENTRY", {ONE, APPROVED}, "intent nothing is not on record"),
        (
            "UPDATE orders SET intent_id = (SELECT intent_id FROM orders WHERE purpose = 'exit') WHERE ENTRY",
            {ONE, APPROVED},
            "2 orders",
        ),
    ],
)
async def test_a_row_that_was_tampered_with_is_found_and_named(
    tmp_path: Path, statement: str, checks: set[str], named: str
) -> None:
    async with open_world(tmp_path) as world:
        await trade(world)
        tamper(tmp_path, statement)
        found = await offences(world)
        assert checks <= set(found)
        assert any(named in offence for each in found.values() for offence in each), found


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE approvals SET decided_at = '2099-01-01T00:00:00.000000Z'",
        "UPDATE approvals SET expires_at = '2001-01-01T00:00:00.000000Z'",
        "UPDATE approvals SET state = 'rejected'",
        "UPDATE approvals SET content_hash = 'another'",
        "DELETE FROM approvals",
    ],
)
async def test_an_approval_that_was_tampered_with_is_found(tmp_path: Path, statement: str) -> None:
    async with open_world(tmp_path, approval_above_notional=D(500)) as world:
        asked = buy("10")
        await world.desk.propose(TRADER, asked)
        await world.desk.decide_approval(OPERATOR, asked.intent_id, approve=True, reason="good")
        await world.desk.submit(TRADER, asked.intent_id, WorkingStyle.NOW)
        await world.settle()
        assert await offences(world) == {}
        tamper(tmp_path, statement)
        (offence,) = (await offences(world))[APPROVED]
        assert "was not approved before it was sent" in offence


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM risk_decisions", "the gate was not asked"),
        ("DELETE FROM approvals", "an approval that nobody was asked for"),
    ],
)
async def test_a_reservation_that_the_gate_did_not_grant_is_found(tmp_path: Path, statement: str, named: str) -> None:
    async with open_world(tmp_path, approval_above_notional=D(500)) as world:
        await world.desk.propose(TRADER, buy("10"))
        assert await offences(world) == {}
        tamper(tmp_path, statement)
        (offence,) = (await offences(world))[RESERVED]
        assert named in offence


async def test_what_the_venue_has_not_answered_yet_is_no_offence(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.REPLY_LOST]
        await world.send(buy("3", limit_price=D(95)))
        assert await offences(world) == {}


async def test_a_fill_taken_out_of_the_record_is_missed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await trade(world)
        tamper(tmp_path, "DELETE FROM fills WHERE ENTRY")
        found = await offences(world)
        # Without the buy, the sale sells what nobody held.
        assert any("would leave" in offence for offence in found[POSITIONS])
        assert {FILLED, AT_VENUE} <= set(found)


async def test_a_row_that_cannot_be_read_is_an_offence_and_no_crash(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await trade(world)
        tamper(tmp_path, "UPDATE order_events SET state = 'sold' WHERE ENTRY")
        (finding,) = await verify_ledger(RUNNER, world.database, ACCOUNT)
        assert (finding.holds, "sold" in finding.offences[0]) == (False, True)


async def test_a_live_order_that_the_venue_does_not_have_is_found(tmp_path: Path) -> None:
    async with open_world(tmp_path, {**QUIET, BTC: [flat(hour) for hour in range(9)]}) as world:
        await world.hold()
        (stop,) = await world.orders(Purpose.STOP)
        await world.broker.venue_side.cancel(stop.client_order_id, BTC)
        await world.clock.sleep(1)
        found = await offences(world)
        assert found == {
            "live orders at the venue": (f"order {stop.client_order_id}: 0 on record, none by the venue",),
        }
        await world.desk.sync(RUNNER)
        assert await offences(world) == {}


def tamper(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        assert connection.execute(statement.replace("ENTRY", ENTRY)).rowcount > 0
    connection.close()
