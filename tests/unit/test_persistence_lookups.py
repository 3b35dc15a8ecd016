"""Lookups that a longer history does not make longer, and taking a simulation out of a shared ledger. On both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from tests.unit.desk_rows import one_of_each
from trading_core.domain.errors import LedgerError
from trading_core.domain.intents import Approval, Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderRequest, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence import migrate
from trading_core.persistence.engines import parse_location
from trading_core.persistence.records import (
    DecisionRecord,
    EvidenceRecord,
    Outcome,
    PortfolioSnapshotRecord,
    RiskStateChange,
    RunKind,
    RunRecord,
    RunState,
    SessionRecord,
)
from trading_core.persistence.repositories.decisions import LOOKS_BACK
from trading_core.persistence.schema import metadata
from trading_core.persistence.session import Database
from trading_core.persistence.tables import runs
from trading_core.persistence.unit_of_work import UnitOfWork

AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        yield database


async def begin(uow: UnitOfWork, session: str, account: str, ids: Sequence[str]) -> None:
    """A session with its account and runs, a second apart."""
    await uow.portfolios.open_account(Portfolio.opened(account, "USDT", Decimal(1000)), "paper", AT)
    if await uow.sessions.get(session) is None:
        await uow.sessions.add(SessionRecord(session, {}, AT))
    for number, run_id in enumerate(ids):
        at = AT + number * SECOND
        await uow.runs.start(RunRecord(run_id, account, RunKind.CYCLE, at, at, session_id=session))


def intent(run_id: str, account: str, leg: str = "") -> TradeIntent:
    return TradeIntent(
        intent_id=f"{run_id}{leg}",
        run_id=run_id,
        account_id=account,
        proposer="agent:risk",
        purpose=Purpose.ENTRY,
        symbol="BTC/USDT",
        side=Side.BUY,
        quantity=Decimal(2),
        type=OrderType.LIMIT,
        created_at=AT,
        limit_price=Decimal(10),
        stop_price=Decimal(9),
    )


def order(wanted: TradeIntent, number: int, price: str | None = "10") -> Order:
    request = OrderRequest(f"o-{wanted.intent_id}", wanted.symbol, wanted.side, wanted.type, wanted.quantity, wanted.limit_price)
    arrival = None if price is None else Decimal(price)
    return Order(
        request,
        wanted.account_id,
        wanted.intent_id,
        wanted.run_id,
        wanted.purpose,
        AT + number * SECOND,
        arrival_price=arrival,
    )


async def trade(uow: UnitOfWork, run_id: str, account: str) -> None:
    """Something in every table that a run and its account can have rows in."""
    wanted, fee = intent(run_id, account), Money(Decimal(0), "USDT")
    await uow.intents.add(wanted)
    await uow.intents.add_decision(RiskDecision(wanted.intent_id, Verdict.NEEDS_APPROVAL, (Check("c", True, "1", "2"),), AT))
    await uow.approvals.request(Approval(wanted.intent_id, wanted.content_hash, Decimal(10), AT, AT + SECOND))
    sent = order(wanted, 0)
    await uow.orders.add(sent)
    opened = sent.on(OrderEvent.ACCEPTED, at=AT)
    await uow.orders.update(sent, opened, OrderEvent.ACCEPTED)
    request = sent.request
    fill = Fill(f"t-{run_id}", request.client_order_id, request.symbol, request.side, Decimal(2), Decimal(10), fee, AT)
    await uow.fills.add(account, fill)
    await uow.orders.update(opened, opened.on_fill(fill), OrderEvent.FULLY_FILLED)
    await uow.evidence.put_many([EvidenceRecord(run_id, "e1", "signal", "BTC/USDT", "t", {}, {}, AT)])
    await uow.decisions.put(DecisionRecord(run_id, "signal", "BTC/USDT", Outcome.ANSWERED, AT))
    await uow.snapshots.put(f"s-{run_id}", AT, {})
    await uow.runs.set_snapshot(run_id, f"s-{run_id}")
    await uow.portfolios.record(PortfolioSnapshotRecord(account, run_id, AT, Decimal(1000), Decimal(1000)))
    await uow.risk.save(account, {"state": "halted"}, AT)
    await uow.risk.change(RiskStateChange(account, "active", "halted", "olga", "why", AT))
    await one_of_each(uow, account, run_id)


async def test_runs_are_counted_within_their_session(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["x", "y"])
        await begin(uow, "two", "b", ["z"])
        await begin(uow, "one", "a", ["x", "w"])  # one of them again
        assert [await uow.runs.count_before(run) for run in ("x", "y", "z", "w", "?")] == [0, 1, 0, 2, 0]


async def test_runs_are_found_by_how_their_ids_begin(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["ab-2", "ab", "ab-1", "abc", "b", "aa", "ab%"])
        found = [run.id for run in await uow.runs.beginning("ab", 9)]
        assert found[0] == "ab", "the one with exactly that id first"
        assert set(found) == {"ab", "ab%", "ab-1", "ab-2", "abc"}
        assert [run.id for run in await uow.runs.beginning("ab-", 1)] == ["ab-1"]
        assert await uow.runs.beginning("c", 9) == ()


async def test_the_last_run_of_an_account_is_not_that_of_another(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["x", "y"])
        await begin(uow, "two", "b", ["z"])
        found = [await uow.runs.last_of_account(account) for account in ("a", "b", "c")]
        assert [run and run.id for run in found] == ["y", "z", None]


async def test_past_decisions_are_looked_for_in_the_last_runs_only(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", [f"r{number:04}" for number in range(LOOKS_BACK + 1)])
        await begin(uow, "two", "b", ["other"])
        said = DecisionRecord("r0000", "signal", "BTC/USDT", Outcome.ANSWERED, AT)
        seen = [replace(said, run_id=f"r{number:04}") for number in (1, LOOKS_BACK)]
        await uow.decisions.put_many(
            [said, *seen, replace(said, run_id="other"), replace(said, run_id="r0400", subject="ETH/USDT")]
        )
        assert await uow.decisions.recent("a", "signal", "BTC/USDT", 9) == tuple(reversed(seen))
        assert await uow.decisions.recent("a", "signal", "BTC/USDT", 1) == (seen[1],)


async def test_what_was_decided_and_wanted_is_found_behind_any_number_of_conversations(database: Database) -> None:
    said = DecisionRecord("cycle", "signal", "BTC/USDT", Outcome.ANSWERED, AT)
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["cycle"])
        await uow.decisions.put_many([said])
        await uow.intents.add(wanted := intent("cycle", "a"))
        for number in range(LOOKS_BACK + 1):
            await uow.runs.start(RunRecord(f"talk{number}", "a", RunKind.CONVERSATION, AT, AT, session_id="one"))
        assert await uow.decisions.recent("a", "signal", "BTC/USDT", 1) == (said,)
        assert await uow.intents.lately("a", "BTC/USDT", 1) == (wanted,)
        assert [run.id for run in await uow.runs.recent(2, conversations=False)] == ["cycle"]


async def test_the_last_orders_with_a_known_price_are_found_newest_first(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["x"])
        for number, price in enumerate(["1", "2", None, "4", "5"]):
            wanted = intent("x", "a", str(number))
            await uow.intents.add(wanted)
            await uow.orders.add(order(wanted, number, price))
        found = await uow.orders.last_priced("a", AT + SECOND, 2)
        assert [each.arrival_price for each in found] == [Decimal(5), Decimal(4)]
        assert [each.arrival_price for each in await uow.orders.last_priced("a", AT + SECOND, 9)] == [5, 4, 2]


async def test_the_last_worth_is_the_newest_point_of_the_curve(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["x", "y"])
        assert await uow.portfolios.last_worth("a") is None
        for number, run_id in enumerate(["y", "x"]):
            worth = PortfolioSnapshotRecord("a", run_id, AT + number * SECOND, Decimal(number), Decimal(0))
            await uow.portfolios.record(worth)
        assert await uow.portfolios.last_worth("a") == (await uow.portfolios.curve("a"))[-1] == worth


async def test_a_removed_simulation_leaves_nothing_and_nobody_else_misses_anything(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "kept", "a", ["x"])
        await trade(uow, "x", "a")
    before = await rows(database)
    async with database.transaction() as uow:
        await begin(uow, "gone", "b", ["y", "z"])
        await trade(uow, "y", "b")
    assert len(await rows(database)) > len(before)
    async with database.transaction() as uow:
        assert await uow.sessions.remove("gone", "b")
    left = await rows(database)
    assert [row for row in left if row not in before] == [row for row in left if row[0] == "snapshots" and "s-y" in row[1]]
    assert set(before) <= set(left)
    async with database.transaction() as uow:
        assert not await uow.sessions.remove("gone", "b")
        await begin(uow, "gone", "b", ["y", "z"])
        await trade(uow, "y", "b")


async def test_a_session_that_shares_its_account_is_not_removed(database: Database) -> None:
    async with database.transaction() as uow:
        await begin(uow, "one", "a", ["x"])
        await begin(uow, "two", "a", ["y"])
    before = await rows(database)
    with pytest.raises(LedgerError, match="not only session 'one' trades"):
        async with database.transaction() as uow:
            await uow.sessions.remove("one", "a")
    assert await rows(database) == before


async def test_runs_from_before_the_numbers_are_numbered_by_the_migration(empty_location: str) -> None:
    url = parse_location(empty_location)
    async with migrate.migrating(url) as engine:
        await migrate.upgrade(engine, "0005")
        stamp = "'2025-03-01T12:00:00.000000Z'"
        async with engine.begin() as connection:
            await connection.execute(
                text(f"INSERT INTO accounts (id, venue, currency, deposit, created_at) VALUES ('a', 'p', 'USDT', 1, {stamp})")  # noqa: S608 - made here
            )
            for session in ("one", "two"):
                await connection.execute(text(f"INSERT INTO sessions VALUES ('{session}', '{{}}', {stamp})"))  # noqa: S608 - made here
            for number, session in enumerate(["'one'", "'two'", "NULL", "'one'", "NULL", "'one'"]):
                await connection.execute(
                    text(
                        "INSERT INTO runs (id, session_id, account_id, kind, as_of, state, started_at, error)"  # noqa: S608 - made here
                        f" VALUES ('r{number}', {session}, 'a', 'cycle', {stamp}, 'done', {stamp}, '')"
                    )
                )
        await migrate.upgrade(engine)
    async with await Database.open(empty_location) as database, database.transaction() as uow:
        assert [await uow.runs.count_before(f"r{number}") for number in range(6)] == [0, 0, 0, 1, 0, 2]
        await uow.runs.start(RunRecord("r6", "a", RunKind.CYCLE, AT, AT, session_id="one", state=RunState.RUNNING))
        assert await uow.runs.count_before("r6") == 3


async def rows(database: Database) -> list[tuple[str, str]]:
    """Every row of every table, as text."""
    found: list[tuple[str, str]] = []
    async with database.reading() as uow:
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if column is not runs.c.sequence]
            read = await uow.sessions._connection.execute(select(*columns))
            found += [(table.name, repr(tuple(row))) for row in read]
    return sorted(found)
