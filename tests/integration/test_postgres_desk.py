"""The whole desk on PostgreSQL, as on SQLite: a trade's life, a restart, and two desks that decide on the same money at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUN, RUNNER, TRADER, World, buy, open_world, sell
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH, at
from trading_core.domain.errors import ApprovalError, LedgerError
from trading_core.domain.intents import ApprovalState, TradeIntent, Verdict
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.state import TradingState

PRICE = 101  # what a buy may pay at most


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), "paper", at(1))
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, at(1), at(1)))
        yield database


def on(world: World, database: Database, **changes: object) -> World:
    """The same world with its ledger in `database`."""
    limits = world.limits.model_copy(update=changes)
    desk = world.another_desk(database=database, limits=limits)
    return replace(world, desk=desk, database=database, limits=limits)


async def assert_proven(world: World) -> None:
    findings = [
        *await verify_ledger(RUNNER, world.database, ACCOUNT),
        *await verify_venue(RUNNER, world.database, ACCOUNT, world.broker),
    ]
    assert not [finding for finding in findings if not finding.holds]


async def test_a_trade_lives_from_proposal_to_exit(tmp_path: Path, database: Database) -> None:
    async with open_world(tmp_path, synced=False) as elsewhere:
        world = on(elsewhere, database)
        found, _ = await world.desk.reconcile(RUNNER)
        assert found.agrees
        await world.hold("10")
        assert await world.covered() == await world.held() > 0
        await world.send(sell("4"))
        await world.settle()
        await world.settle()
        assert await world.covered() == await world.held()
        await assert_proven(world)


async def test_a_desk_that_starts_again_finds_everything_and_reconciles_first(
    tmp_path: Path, database: Database, location: str
) -> None:
    async with open_world(tmp_path, synced=False) as elsewhere:
        world = on(elsewhere, database, approval_above_notional=Decimal(2000))
        await world.desk.reconcile(RUNNER)
        await world.hold("10")
        big = buy("30", "big", symbol=ETH)
        assert (await world.desk.propose(TRADER, big)).verdict is Verdict.NEEDS_APPROVAL
        world.broker.hanging.set()
        asked = buy("1", "resting", limit_price=Decimal(99))
        assert (await world.desk.propose(TRADER, asked)).verdict is Verdict.APPROVED
        resting = await world.desk.submit(TRADER, asked.intent_id, WorkingStyle.NOW)
        assert isinstance(resting, Order)
        await Control(ACCOUNT, database, world.clock).halt(OPERATOR, "for the test")
        before = await world.desk.account(RUNNER)

        async with await Database.open(location) as reopened:
            again = on(world, reopened)
            found, _ = await again.desk.reconcile(RUNNER)
            assert found.agrees
            after = await again.desk.account(RUNNER)
            assert after.portfolio == before.portfolio
            assert after.risk.trading_state is TradingState.HALTED
            assert {order.client_order_id for order in after.live_orders} == {o.client_order_id for o in before.live_orders}
            async with reopened.reading() as uow:
                assert [asked.intent_id for asked in await uow.approvals.pending(ACCOUNT)] == [big.intent_id]
            assert (await again.desk.propose(TRADER, buy("1", "new"))).verdict is Verdict.DENIED
            await assert_proven(again)


async def test_desks_that_propose_at_once_never_exceed_a_limit_together(
    tmp_path: Path, database: Database, location: str
) -> None:
    async with AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(open_world(tmp_path, synced=False))
        share = Decimal("0.31")
        worlds = [on(elsewhere, database, max_exposure=share)]
        for _ in range(2):
            other = await stack.enter_async_context(await Database.open(location))
            worlds.append(on(elsewhere, other, max_exposure=share))
        for world in worlds:
            await world.desk.sync(RUNNER)
        quantity = DEPOSIT.amount / 20 / PRICE  # of 5 % each: six fit into 31 %
        wanted = [buy(str(quantity.quantize(Decimal("0.001"))), f"leg{number}") for number in range(24)]
        desks = [world.desk for world in worlds]

        async def propose(number: int, intent: TradeIntent) -> bool:
            return (await desks[number % 3].propose(TRADER, intent)).verdict is Verdict.APPROVED

        passed = await asyncio.gather(*(propose(number, intent) for number, intent in enumerate(wanted)))
        taken = sum(intent.quantity for intent, yes in zip(wanted, passed, strict=True) if yes) * PRICE
        assert taken <= share * DEPOSIT.amount
        assert sum(passed) == 6

        sent = await asyncio.gather(
            *(desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW) for intent in wanted for desk in desks)
        )
        assert sum(isinstance(each, Order) for each in sent) == 3 * 6
        assert len(elsewhere.broker.arrived) == len({order.client_order_id for order in elsewhere.broker.arrived}) == 6


async def test_of_two_answers_to_one_approval_the_first_stands(tmp_path: Path, database: Database, location: str) -> None:
    async with open_world(tmp_path, synced=False) as elsewhere, await Database.open(location) as other:
        worlds = [on(elsewhere, each, approval_above_notional=Decimal(100)) for each in (database, other)]
        for world in worlds:
            await world.desk.sync(RUNNER)
        intent = buy("5")
        assert (await worlds[0].desk.propose(TRADER, intent)).verdict is Verdict.NEEDS_APPROVAL

        async def answer(desk: Desk, yes: bool) -> ApprovalState | None:
            try:
                return (await desk.decide_approval(OPERATOR, intent.intent_id, approve=yes, reason="told so")).state
            except ApprovalError:
                return None

        answers = [await each for each in asyncio.as_completed([answer(worlds[0].desk, True), answer(worlds[1].desk, False)])]
        stands = await _approval(database, intent)
        assert [said for said in answers if said is not None] == [stands]


async def test_both_desks_book_the_same_fills_once(tmp_path: Path, database: Database, location: str) -> None:
    async with open_world(tmp_path, synced=False) as elsewhere, await Database.open(location) as other:
        one, two = on(elsewhere, database), on(elsewhere, other)
        await one.desk.sync(RUNNER)
        await one.send(buy("10"))
        await elsewhere.clock.sleep(1)
        ends = await asyncio.gather(*(world.desk.sync(RUNNER) for world in (one, two) * 4), return_exceptions=True)
        assert all(not isinstance(end, BaseException) or isinstance(end, LedgerError) for end in ends), ends
        await one.settle()
        async with database.reading() as uow:
            fills = await uow.fills.of_account(ACCOUNT)
        assert len(fills) == len({fill.trade_id for fill in fills}) == 1
        assert await one.held() == await two.held() > 0
        assert await one.held() == await one.covered()
        assert [order.state for order in await one.orders(Purpose.ENTRY)] == [OrderState.FILLED]
        assert await one.held(BTC) > 0
        await assert_proven(two)


async def _approval(database: Database, intent: TradeIntent) -> ApprovalState:
    async with database.reading() as uow:
        approval = await uow.approvals.get(intent.intent_id)
    assert approval is not None
    return approval.state
