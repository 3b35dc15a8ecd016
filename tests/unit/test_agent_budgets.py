"""An agent's budget, when many are asked at one moment: it is passed by one answer at most. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from graph.control.agent_control import AgentControl
from tests.unit.schedule_cases import ACCOUNT, NOON, ToldClock
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.desk_records import AgentSettings, Budget
from trading_core.persistence.records import DecisionRecord, Outcome, RunKind, RunRecord
from trading_core.persistence.session import Database

AGENT, RUN, USES = "signal", "r", 300  # tokens of one answer


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", Decimal(1_000)), "paper", NOON)
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, NOON, NOON))
        yield database


async def _limit(database: Database, budget: Budget, model: str | None = None) -> None:
    async with database.transaction() as uow:
        await uow.agent_settings.put(AgentSettings(ACCOUNT, AGENT, "boss", NOON, model=model, budget=budget))


async def _ask(database: Database, times: int, together: int = 1) -> tuple[int, int]:
    """Ask so often at one moment; how many were answered, and how many at once at most.

    Args:
        together: none answers before so many are asked at once.
    """
    are_together = asyncio.Event()
    control = AgentControl(ACCOUNT, database, ToldClock(NOON + timedelta(seconds=1)))
    at_once = answered = most = 0

    async def ask(number: int) -> None:
        nonlocal at_once, answered, most
        async with control.asking(AGENT, RUN) as ruling:
            if ruling.silenced:
                return
            at_once += 1
            most = max(most, at_once)
            if at_once == together:
                are_together.set()
            await are_together.wait()
            await asyncio.sleep(0.05)
            used = DecisionRecord(
                RUN, AGENT, f"S{number}", Outcome.ANSWERED, NOON, model="rules", input_tokens=200, output_tokens=100
            )
            async with database.transaction() as uow:
                await uow.decisions.put(used)
            at_once -= 1
            answered += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(ask(number) for number in range(times)))
    return answered, most


@pytest.mark.parametrize(("tokens", "answered", "most"), [(1, 1, 1), (USES, 1, 1), (1_000, 4, 3), (3_600, 10, 9)])
async def test_many_at_one_moment_pass_a_budget_by_one_answer_at_most(
    database: Database, tokens: int, answered: int, most: int
) -> None:
    await _limit(database, Budget(tokens=tokens))
    came, at_once = await _ask(database, 10)
    assert came == answered
    assert at_once <= most, "one first, to know what an answer takes; then no more than there is room for"
    assert answered * USES < tokens + USES


@pytest.mark.parametrize(("budget", "model"), [(Budget(), None), (Budget(tokens=1), "rules")])
async def test_an_agent_without_a_bound_is_asked_as_often_at_once_as_it_is_wanted(
    database: Database, budget: Budget, model: str | None
) -> None:
    await _limit(database, budget, model)
    assert await _ask(database, 8, together=8) == (8, 8)


async def test_who_breaks_off_gives_back_what_was_held_for_it(database: Database) -> None:
    await _limit(database, Budget(tokens=10_000))
    control = AgentControl(ACCOUNT, database, ToldClock())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no answer"):
            async with control.asking(AGENT, RUN):
                raise RuntimeError("no answer")
    async with asyncio.timeout(30), control.asking(AGENT, RUN) as ruling:
        assert not ruling.silenced
