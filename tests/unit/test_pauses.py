"""Pausing and lifting: who may, what is on record of it, and what models cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from graph.control.budgets import Spent, check_budget
from graph.control.costs import cost, price_as_recorded
from graph.control.pauses import Paused, Pauses
from tests.unit.schedule_cases import ACCOUNT, BOSS, NOON, Timetable, open_timetable
from trading_core.auth.agents import agent
from trading_core.domain.errors import InvalidInput, NotPermitted, RunError
from trading_core.domain.orders import Side
from trading_core.persistence.desk_records import Budget, Pause, PauseKind
from trading_core.persistence.records import RunKind, RunRecord, SessionRecord
from trading_core.persistence.session import Database


@pytest.fixture
async def desk(sqlite_copy: object) -> AsyncIterator[Timetable]:
    async with await Database.open(str(sqlite_copy)) as database:
        yield await open_timetable(database)


async def test_a_pause_is_audited_and_told_and_so_is_its_end(desk: Timetable) -> None:
    pauses = Pauses(desk.database, desk.clock)
    put = await pauses.put(BOSS, ACCOUNT, PauseKind.AGENT, "signal", " odd ")
    assert put == Pause(ACCOUNT, PauseKind.AGENT, "signal", "boss", "odd", NOON)
    assert await pauses.put(BOSS, ACCOUNT, PauseKind.AGENT, "signal", "again") == put
    assert await pauses.all(BOSS, ACCOUNT) == (put,)
    assert await pauses.lift(BOSS, ACCOUNT, PauseKind.AGENT, "signal", "fine now") == put
    async with desk.database.reading() as uow:
        rows = [row async for row in uow.audit.walk()]
    assert [(row.action, row.subject_id) for row in rows] == [
        ("pause.put", f"{ACCOUNT}:signal"),
        ("pause.lifted", f"{ACCOUNT}:signal"),
    ]
    assert [event.data["by"] for event in (*await desk.told("paused"), *await desk.told("unpaused"))] == ["boss", "boss"]
    with pytest.raises(RunError, match="agent signal is not paused"):
        await pauses.lift(BOSS, ACCOUNT, PauseKind.AGENT, "signal")


async def test_agents_pause_nothing(desk: Timetable) -> None:
    for name in ("execution", "risk"):
        with pytest.raises(NotPermitted):
            await Pauses(desk.database, desk.clock).put(agent(name, ACCOUNT), ACCOUNT, PauseKind.EVERYTHING, "", "x")


@pytest.mark.parametrize(
    ("kind", "subject", "reason"),
    [
        (PauseKind.EVERYTHING, "BTC/USDT", "x"),
        (PauseKind.AGENT, "nobody", "x"),
        (PauseKind.SYMBOL, "btc", "x"),
        (PauseKind.SCHEDULE, "none", "x"),
        (PauseKind.EVERYTHING, "", "  "),
        (PauseKind.EVERYTHING, "", "x" * 501),
    ],
)
async def test_what_cannot_be_paused(desk: Timetable, kind: PauseKind, subject: str, reason: str) -> None:
    with pytest.raises(InvalidInput):
        await Pauses(desk.database, desk.clock).put(BOSS, ACCOUNT, kind, subject, reason)
    assert await Pauses(desk.database, desk.clock).all(BOSS, ACCOUNT) == ()


def test_in_a_paused_symbol_only_sells_pass() -> None:
    paused = Paused.among([Pause(ACCOUNT, PauseKind.SYMBOL, "BTC/USDT", "boss", "thin", NOON)])
    assert paused.bars("BTC/USDT", Side.BUY) is not None
    assert paused.bars("BTC/USDT", Side.SELL) is None
    assert paused.bars("ETH/USDT", Side.BUY) is None


def test_costs_of_models_as_the_record_names_them() -> None:
    hosted, own = "openai:gpt-4.1-mini at https://api.openai.com/v1", "openai:gpt-4.1-mini at http://127.0.0.1:9/v1"
    assert cost({"rules": (10**6, 10**6), "": (5, 5)}) == (Decimal(0), ())
    assert cost({hosted: (1_000_000, 500_000)}) == (Decimal("1.20"), ())
    assert cost({own: (1, 0), hosted: (0, 0)}) == (Decimal(0), (own,))
    assert price_as_recorded("something else") is None
    assert price_as_recorded("openai:x at not a url") is None


def test_a_budget_is_used_up_at_its_bound() -> None:
    spent = Spent(100, Decimal("1.5"), (), 3)
    assert spent.beyond(Budget()) == ""
    assert spent.beyond(Budget(101, Decimal("1.51"), 4)) == ""
    assert "100 of 100 tokens" in spent.beyond(Budget(tokens=100))
    assert "US dollars" in spent.beyond(Budget(cost=Decimal("1.5")))
    assert "orders" in spent.beyond(Budget(orders=3))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (None, "no session has run"),
        ({"model": "rules"}, ""),
        ({"model": "openai:gpt-5"}, ""),
        ({"model": "openai:own", "base_url": "http://127.0.0.1:1/v1"}, "not listed"),
    ],
)
async def test_dollars_need_a_model_whose_price_is_known(desk: Timetable, model: object, says: str) -> None:
    async with desk.database.transaction() as uow:
        if model is not None:
            await uow.sessions.add(SessionRecord("s", {"model": model}, NOON))
            await uow.runs.start(RunRecord("r", ACCOUNT, RunKind.CYCLE, NOON, NOON, session_id="s"))
    async with desk.database.reading() as uow:
        if says:
            with pytest.raises(InvalidInput, match=says):
                await check_budget(uow, ACCOUNT, Budget(cost=Decimal(5)))
        else:
            await check_budget(uow, ACCOUNT, Budget(cost=Decimal(5)))
