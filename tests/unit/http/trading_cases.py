"""The API before a ledger that a short session has written, with the session's desk in the same process and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from graph.config import SessionConfig
from graph.session import trade
from graph.system import TradingSystem
from tests.unit.http.doors import Doors, doors
from trading_core.domain.orders import Order

ACCOUNT = "paper"
HERE = f"/api/v1/accounts/{ACCOUNT}"
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
CYCLES = 12


@dataclass(slots=True)
class Trading:
    """An API, and the desk of account `paper` after its session."""

    doors: Doors
    system: TradingSystem

    async def get(self, path: str, user: str = "trader", **query: Any) -> Any:
        """The answer's content, which must be well."""
        answer = await self.doors.ask("GET", HERE + path, user, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_of(self, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, limit=limit, **query, **({"cursor": cursor} if cursor else {}))
            assert len(page["items"]) <= limit
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def orders(self) -> tuple[Order, ...]:
        async with self.system.database.reading() as uow:
            return await uow.orders.all(ACCOUNT)

    @asynccontextmanager
    async def elsewhere(self) -> AsyncIterator[None]:
        """As it is in a process that does not run the account."""
        self.doors.state.desks.remove(ACCOUNT)
        try:
            yield
        finally:
            self.doors.state.desks.add(self.system)


@asynccontextmanager
async def trading(home: Path, **changes: Any) -> AsyncIterator[Trading]:
    """Twelve cycles of a generated market, then the API over what they wrote."""
    settings: dict[str, Any] = {"symbols": SYMBOLS, "cycles": CYCLES, "seed": SEED, "limits": LIMITS}
    config = SessionConfig.parse({**settings, **changes})
    async with (
        doors(home / "ledger.db") as opened,
        TradingSystem.open(config, home, opened=opened.world.database) as system,
        opened.state.log.open(),
    ):
        async for _ in trade(system):
            pass
        opened.state.desks.add(system)
        yield Trading(opened, system)


def number(text: str) -> Decimal:
    """An amount as it is answered: text without an exponent."""
    assert isinstance(text, str)
    assert "E" not in text.upper()
    return Decimal(text)


SEED = 11
LIMITS = {"approval_above_notional": None}
