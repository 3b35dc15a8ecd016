"""What people have set for agents, at the moment one is asked: paused, by which model, within which budget."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.control.budgets import spent_by_agent
from graph.control.pauses import Paused
from trading_core.domain.clock import Clock
from trading_core.persistence.desk_records import AgentSettings
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_FRESH = timedelta(seconds=1)


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

    async def of(self, agent: str, run_id: str) -> Ruling:
        """What holds for an agent now. A budget is compared with the record before each call; calls of one moment may pass it
        together.
        """
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
    by_rules, budget = settings.model == "rules", settings.budget
    if not by_rules and (budget.tokens is not None or budget.cost is not None):  # rules cost nothing
        beyond = (await spent_by_agent(uow, settings.account_id, settings.agent, now)).beyond(budget)
        if beyond:
            return Ruling(silenced=f"its budget is used up: {beyond}")
    return Ruling(by_rules=by_rules)
