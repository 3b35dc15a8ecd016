"""What the risk engine remembers of an account between runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, select

from trading_core.persistence.records import RiskStateChange
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.tables import account_risk, risk_state_changes

_CONTENT = select(account_risk.c.content).where(account_risk.c.account_id == bindparam("account_id"))


class RiskRepository(Repository):
    async def load(self, account_id: str) -> dict[str, object] | None:
        """The content last saved; None for an account that has none yet."""
        row = await self._one(_CONTENT, account_id=account_id)
        return None if row is None else dict(row["content"])

    async def save(self, account_id: str, content: Mapping[str, object], at: datetime) -> None:
        await self._claims.take(account_id)
        await self._put(account_risk, [{"account_id": account_id, "content": content, "updated_at": at}])

    async def change(self, change: RiskStateChange) -> None:
        """Append a change of the account's risk state to its history."""
        await self._write(risk_state_changes.insert(), columns(change))

    async def changes(self, account_id: str) -> tuple[RiskStateChange, ...]:
        """The history of the account's risk state, oldest first."""
        query = select(risk_state_changes).where(risk_state_changes.c.account_id == account_id).order_by(risk_state_changes.c.id)
        return tuple(RiskStateChange(**without(row, "id")) for row in await self._all(query))
