"""What a person has set for agents."""

from __future__ import annotations

from sqlalchemy import select

from trading_core.persistence.desk_records import AgentSettings
from trading_core.persistence.desk_tables import agent_settings
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.repositories.budgets import with_budget, with_budget_columns


class AgentSettingsRepository(Repository):
    async def put(self, settings: AgentSettings) -> None:
        """Write an agent's settings, in place of those it had."""
        await self._put(agent_settings, [with_budget_columns(columns(settings))])

    async def get(self, account_id: str, agent: str) -> AgentSettings | None:
        mine = (agent_settings.c.account_id == account_id, agent_settings.c.agent == agent)
        row = await self._one(select(agent_settings).where(*mine))
        return None if row is None else AgentSettings(**with_budget(row))

    async def of_account(self, account_id: str) -> tuple[AgentSettings, ...]:
        """By agent."""
        query = select(agent_settings).where(agent_settings.c.account_id == account_id).order_by(agent_settings.c.agent)
        return tuple(AgentSettings(**with_budget(row)) for row in await self._all(query))
