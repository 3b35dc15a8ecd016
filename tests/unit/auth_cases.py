"""A database with users in it, a clock that is set by hand, and hashes that cost next to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from pydantic import SecretStr
from sqlalchemy import FromClause, func, select

from trading_core.auth.identity import Identity
from trading_core.auth.passwords import HashCost
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import Role
from trading_core.auth.service import Auth, AuthSettings
from trading_core.auth.tokens import KeyRing, SigningKey
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.identity_records import User
from trading_core.persistence.session import Database

START = datetime(2025, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
CHEAP = HashCost(memory_kib=8, passes=1)
PASSWORD = SecretStr("tulip ferry onyx lantern")
OTHER = SecretStr("granite willow comet 71")
ROOT = Principal("root", frozenset(Action), frozenset({"paper", "live"}))


def random_bytes(seed: int = 7) -> Random:
    return Random(seed)


@dataclass(slots=True)
class World:
    auth: Auth
    database: Database
    clock: SimulatedClock

    def later(self, **parts: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(**parts))

    async def user(self, name: str = "alice", role: Role = Role.TRADER, accounts: tuple[str, ...] = ("paper",)) -> User:
        return await self.auth.users.create(ROOT, name, f"{name}@example.org", PASSWORD, role, accounts)

    async def identity(self, name: str = "alice", password: SecretStr = PASSWORD) -> Identity:
        return await self.auth.logins.authenticate((await self.auth.logins.login(name, password)).access)


@asynccontextmanager
async def opened(location: str, settings: AuthSettings | None = None) -> AsyncIterator[World]:
    clock = SimulatedClock(START)
    source = random_bytes()
    keys = KeyRing(SigningKey.generate(source.randbytes))
    async with await Database.open(location) as database:
        yield World(
            Auth.over(database, clock, keys, settings or AuthSettings(hash_cost=CHEAP), source.randbytes), database, clock
        )


async def outcome(attempt: Awaitable[object]) -> str:
    """What an attempt came to, as somebody outside sees it."""
    try:
        await attempt
    except AlgoTrendyError as error:
        return f"{type(error).__name__}: {error}"
    return "in"


async def count(world: World, table: FromClause) -> int:
    async with world.database.reading() as uow:
        query = select(func.count()).select_from(table)
        return int((await uow.users._connection.execute(query)).scalar_one())
