"""Lists that people page through: the same whatever the page size, nobody else's, and read by an index. On both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event

from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import PortfolioSnapshotRecord, RiskStateChange, RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUNS, LEGS = 4, 3  # three of everything at one instant: ties are where pages go wrong
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
D = Decimal

Rows = Sequence[Any]
Fetch = Callable[[UnitOfWork, int, Any], Awaitable[Rows]]


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as opened:
        async with opened.transaction() as uow:
            for account in ("mine", "theirs"):
                await uow.portfolios.open_account(Portfolio.opened(account, "USDT", D(1000)), "paper", AT)
            for number in range(RUNS):
                for account in ("mine", "theirs"):
                    await _run(uow, account, number)
        yield opened


async def _run(uow: UnitOfWork, account: str, number: int) -> None:
    run_id, at = f"{account}-{number}", AT + number * HOUR
    await uow.runs.start(RunRecord(run_id, account, RunKind.CYCLE, at, at))
    for leg, symbol in enumerate(SYMBOLS):
        key = f"{run_id}-{leg}"
        wanted = TradeIntent(
            key, run_id, account, "agent:risk", Purpose.ENTRY, symbol, Side.BUY, D(2), OrderType.LIMIT, at, D(10), D(9)
        )
        await uow.intents.add(wanted)
        await uow.intents.add_decision(RiskDecision(key, Verdict.APPROVED, (Check("c", True, "1", "2"),), at))
        request = OrderRequest(f"o-{key}", symbol, Side.BUY, OrderType.LIMIT, D(2), D(10))
        state = OrderState.OPEN if leg == 0 else OrderState.FILLED
        await uow.orders.add(Order(request, account, key, run_id, Purpose.ENTRY, at, state=state))
        await uow.fills.add(account, Fill(f"t-{key}", f"o-{key}", symbol, Side.BUY, D(2), D(10), Money(D(0), "USDT"), at))
    await uow.portfolios.record(PortfolioSnapshotRecord(account, run_id, at, D(1000 + number), D(1000)))
    await uow.risk.change(RiskStateChange(account, "active", "halted", "olga", run_id, at))


async def _orders(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    before = None if last is None else (last.created_at, last.client_order_id)
    return await uow.pages.orders("mine", limit=limit, before=before)


async def _fills(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    return await uow.pages.fills("mine", limit=limit, before=None if last is None else last[0])


async def _intents(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    before = None if last is None else (last[0], last[1].created_at, last[1].intent_id)
    return await uow.pages.intents("mine", limit=limit, before=before)


async def _changes(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    return await uow.pages.risk_changes("mine", limit=limit, before=None if last is None else last[0])


async def _worth(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    return await uow.pages.worth("mine", limit=limit, after=None if last is None else (last.at, last.run_id))


async def _folded(uow: UnitOfWork, limit: int, last: Any) -> Rows:
    return await uow.pages.fills_after("mine", 0 if last is None else last[0], limit)


LISTS = {"orders": _orders, "fills": _fills, "intents": _intents, "changes": _changes, "worth": _worth, "folded": _folded}


async def walked(database: Database, fetch: Fetch, limit: int) -> list[Any]:
    found: list[Any] = []
    while True:
        async with database.reading() as uow:
            rows = await fetch(uow, limit, found[-1] if found else None)
        found += rows
        if len(rows) < limit:
            return found


@pytest.mark.parametrize("name", LISTS)
async def test_every_page_size_gives_the_same_list(database: Database, name: str) -> None:
    whole = await walked(database, LISTS[name], 100)
    assert len(whole) == (RUNS if name in ("changes", "worth") else RUNS * LEGS)
    assert "theirs" not in str(whole)
    for limit in (1, 2, 3, 5):
        assert await walked(database, LISTS[name], limit) == whole


async def test_the_newest_come_first_and_a_fold_goes_forward(database: Database) -> None:
    orders = await walked(database, _orders, 2)
    assert orders == sorted(orders, key=lambda one: (one.created_at, one.client_order_id), reverse=True)
    intents = [intent for _, intent in await walked(database, _intents, 2)]
    assert [intent.run_id for intent in intents] == [f"mine-{number}" for number in reversed(range(RUNS)) for _ in SYMBOLS]
    assert await walked(database, _folded, 2) == list(reversed(await walked(database, _fills, 2)))


async def test_lists_are_filtered(database: Database) -> None:
    async with database.reading() as uow:
        live = await uow.pages.orders("mine", limit=50, live=True)
        of_run = await uow.pages.orders("mine", limit=50, run_id="mine-2")
        other_run = await uow.pages.orders("mine", limit=50, run_id="theirs-2")
        sol = await uow.pages.fills("mine", limit=50, symbol="SOL/USDT")
        wanted = await uow.pages.intents("mine", limit=50, symbol="ETH/USDT")
        count = await uow.pages.count_worth("mine", since=AT + HOUR, until=AT + 2 * HOUR)
        worth = await uow.pages.worth("mine", limit=50, since=AT + HOUR, until=AT + 2 * HOUR)
    assert {order.symbol for order in live} == {"BTC/USDT"}
    assert {order.run_id for order in of_run} == {"mine-2"}
    assert other_run == ()
    assert (len(live), len(of_run), len(sol), len(wanted)) == (RUNS, LEGS, RUNS, RUNS)
    assert count == len(worth) == 2


async def test_what_belongs_to_a_page_is_read_at_once(database: Database) -> None:
    async with database.reading() as uow:
        fills = await uow.pages.fills_of_orders(["o-mine-0-0", "o-mine-1-2", "o-none"])
        decisions = await uow.pages.decisions_of(["mine-0-0", "none"])
        accounts = await uow.pages.accounts(["mine", "nobody"])
        assert await uow.pages.accounts([]) == ()
    assert {key: [fill.trade_id for fill in rows] for key, rows in fills.items()} == {
        "o-mine-0-0": ["t-mine-0-0"],
        "o-mine-1-2": ["t-mine-1-2"],
    }
    assert [one.verdict for one in decisions["mine-0-0"]] == [Verdict.APPROVED]
    assert [(one.id, one.currency, one.deposit) for one in accounts] == [("mine", "USDT", D(1000))]


@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", LISTS)
async def test_no_list_walks_a_whole_table(database: Database, name: str) -> None:
    asked: list[tuple[str, Any]] = []

    def hear(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    async with database.reading() as uow:
        connection = uow.pages._connection
        first = (await LISTS[name](uow, 1, None))[0]
        event.listen(connection.sync_connection, "before_cursor_execute", hear)
        await LISTS[name](uow, 2, first)
        event.remove(connection.sync_connection, "before_cursor_execute", hear)
        ((statement, parameters),) = asked
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
    steps = [str(row[-1]) for row in plan]
    # Rows of one instant are put in order by themselves ("the right part", or "the last term"); a whole sort would say neither.
    assert all(step.startswith("SEARCH") or "RIGHT PART" in step or "LAST" in step for step in steps), steps
