"""What people have set for agents, at the moment one is asked: paused, by which model, within which budget."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from graph.control.budgets import largest_by_agent, spent_by_agent
from graph.control.pauses import Paused
from trading_core.domain.clock import Clock
from trading_core.persistence.desk_records import AgentSettings
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_FRESH = timedelta(seconds=1)


@dataclass(slots=True)
class _Asked:
    """How often an agent is being asked just now."""

    count: int = 0
    one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds for an agent.

    Attributes:
        silenced: why it is not asked at all; empty when it is.
        by_rules: whether the rules model answers for it, whatever the session's own model is.
    """

    silenced: str = ""
    by_rules: bool = False


class AgentControl:
    """Reads what is set for the agents of one account. Pauses and models are read anew for each run, and each second in it."""

    def __init__(self, account_id: str, database: Database, clock: Clock) -> None:
        self._account_id, self._database, self._clock = account_id, database, clock
        self._known: tuple[str, datetime, Paused, dict[str, AgentSettings]] | None = None
        self._asked = defaultdict[str, _Asked](_Asked)

    @asynccontextmanager
    async def asking(self, agent: str, run_id: str) -> AsyncIterator[Ruling]:
        """What holds for an agent that is asked in the block, which ends when its answer is on record.

        What those that are asked already may use is held back of its budget. So many that are asked at one moment pass it by one
        answer at most, or by what an answer has more than the largest of the day before it.
        """
        asked = self._asked[agent]
        async with asked.one_by_one:
            while True:
                asked.has_ended.clear()
                if not asked.count or await self._has_room(agent, run_id, asked.count):
                    break
                await asked.has_ended.wait()
            ruling = await self.of(agent, run_id)
            asked.count += 1
        try:
            yield ruling
        finally:
            asked.count -= 1
            asked.has_ended.set()

    async def _has_room(self, agent: str, run_id: str, asked: int) -> bool:
        """Whether one more may be asked beside others, or is silenced whatever those use."""
        now = self._clock.now()
        _, settings = await self._read(run_id, now)
        own = settings.get(agent)
        if own is None or not _is_bound(own):
            return True
        async with self._database.reading() as uow:
            largest = await largest_by_agent(uow, self._account_id, agent, now)
            spent = await spent_by_agent(uow, self._account_id, agent, now)
        if spent.beyond(own.budget):
            return True
        return largest.tokens > 0 and not spent.with_more(largest, asked).beyond(own.budget)

    async def of(self, agent: str, run_id: str) -> Ruling:
        """What holds for an agent now, by what is on record."""
        now = self._clock.now()
        paused, settings = await self._read(run_id, now)
        if (pause := paused.agent(agent)) is not None:
            return Ruling(silenced=f"paused by {pause.by}: {pause.reason}")
        own = settings.get(agent)
        if own is None:
            return Ruling()
        async with self._database.reading() as uow:
            return await ruling_on(uow, own, now)

    async def _read(self, run_id: str, now: datetime) -> tuple[Paused, dict[str, AgentSettings]]:
        if self._known is None or self._known[0] != run_id or not timedelta(0) <= now - self._known[1] < _FRESH:
            async with self._database.reading() as uow:
                settings = {one.agent: one for one in await uow.agent_settings.of_account(self._account_id)}
                self._known = run_id, now, await Paused.of(uow, self._account_id), settings
        return self._known[2], self._known[3]


async def ruling_on(uow: UnitOfWork, settings: AgentSettings, now: datetime) -> Ruling:
    """What an agent's settings come to now, pauses apart."""
    if _is_bound(settings):
        beyond = (await spent_by_agent(uow, settings.account_id, settings.agent, now)).beyond(settings.budget)
        if beyond:
            return Ruling(silenced=f"its budget is used up: {beyond}")
    return Ruling(by_rules=settings.model == "rules")


def _is_bound(settings: AgentSettings) -> bool:
    """Whether a budget is to be kept: rules cost nothing."""
    return settings.model != "rules" and (settings.budget.tokens is not None or settings.budget.cost is not None)
