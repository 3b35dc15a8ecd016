"""What each strategy is, and what it was before. A version is never changed: another content is the next version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select

from trading_core.domain.intents import digest
from trading_core.persistence.records import StrategyVersion
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import strategies


class StrategiesRepository(Repository):
    async def keep(self, name: str, config: Mapping[str, object], *, by: str, at: datetime) -> StrategyVersion:
        """The version that has this content: the newest, if it has, and a new one otherwise."""
        content_hash = digest(config)
        while True:
            newest = await self.get(name)
            if newest is not None and newest.content_hash == content_hash:
                return newest
            made = StrategyVersion(name, newest.version + 1 if newest else 1, config, content_hash, by, at)
            # Where writers are concurrent (PostgreSQL), somebody else may have taken the number: then his is looked at.
            if await self._add(strategies, columns(made), strategies.c.name, strategies.c.version):
                return made

    async def get(self, name: str, version: int | None = None) -> StrategyVersion | None:
        """One version of a strategy; the newest when none is named."""
        query = select(strategies).where(strategies.c.name == name).order_by(strategies.c.version.desc()).limit(1)
        row = await self._one(query if version is None else query.where(strategies.c.version == version))
        return None if row is None else StrategyVersion(**row)

    async def versions(self, name: str) -> tuple[StrategyVersion, ...]:
        """Every version of a strategy, oldest first."""
        query = select(strategies).where(strategies.c.name == name).order_by(strategies.c.version)
        return tuple(StrategyVersion(**row) for row in await self._all(query))

    async def newest(self) -> tuple[StrategyVersion, ...]:
        """The newest version of each strategy, by name."""
        last = select(strategies.c.name, func.max(strategies.c.version).label("version")).group_by(strategies.c.name).subquery()
        query = select(strategies).join(last, (strategies.c.name == last.c.name) & (strategies.c.version == last.c.version))
        return tuple(StrategyVersion(**row) for row in await self._all(query.order_by(strategies.c.name)))
