"""The API over a database with users in it: the real application, asked without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import create_app
from api.http.rate_limits import RateLimits
from api.http.settings import ApiSettings
from api.state import ApiState
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from tests.unit.auth_cases import PASSWORD, START, World, opened
from trading_core.auth.roles import Role
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.unit_of_work import UnitOfWork

ROLES = {"admin": Role.ADMIN, "trader": Role.TRADER, "viewer": Role.VIEWER, "auditor": Role.AUDITOR}


@dataclass(slots=True)
class Doors:
    """An application and a client of it. `as_user` gives the headers of somebody who logged in."""

    app: FastAPI
    state: ApiState
    world: World
    client: httpx.AsyncClient
    known: dict[str, Mapping[str, str]] = field(default_factory=dict)

    async def as_user(self, name: str) -> Mapping[str, str]:
        if name not in self.known:
            tokens = await self.world.auth.logins.login(name, PASSWORD)
            self.known[name] = {"Authorization": f"Bearer {tokens.access.get_secret_value()}"}
        return self.known[name]

    async def ask(self, method: str, path: str, user: str | None = None, **parts: Any) -> httpx.Response:
        headers = {**(await self.as_user(user) if user else {}), **parts.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **parts)


@asynccontextmanager
async def doors(
    location: str | Path, settings: ApiSettings | None = None, roles: Mapping[str, Role] = ROLES, **parts: Any
) -> AsyncIterator[Doors]:
    """One user of each role, named after it, on account `paper`.

    Args:
        roles: names of the users to make.
        parts: fields of the state to replace.
    """
    settings = settings or ApiSettings()
    async with opened(str(location)) as world:
        for name, role in roles.items():
            await world.user(name, role)
        log, desks = EventLog(world.database, world.clock), Desks()
        runs = RunManager(world.database, world.clock, log, desks, "test")
        state = ApiState(settings, world.database, world.clock, world.auth, runs, log, desks, RateLimits(settings))
        app = create_app(replace(state, **parts))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
                yield Doors(app, state, world, client)


async def paper_account(uow: UnitOfWork, account_id: str = "paper") -> None:
    """Put an account on record, with money in it."""
    portfolio = Portfolio(account_id, "USDT", Decimal(10_000), balances={"USDT": Decimal(10_000)}, positions={}, fees={})
    await uow.portfolios.open_account(portfolio, "paper", START)
