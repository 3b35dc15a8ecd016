"""Small worlds in which a cycle has something to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_channels.market.synthetic import SyntheticFeed
from graph.config import SessionConfig
from graph.control.pauses import Pauses
from graph.events import RunEvent
from graph.system import TradingSystem
from trading_core.auth.permissions import operator
from trading_core.domain.market import MarketFeed, Timeframe
from trading_core.persistence.desk_records import Pause, PauseKind
from trading_core.persistence.records import RunTrail

HOUR = timedelta(hours=1)
ENTRY = datetime(2025, 3, 3, 9, tzinfo=UTC)
"""In `entry_feed`, the close of the bar on which SOL/USDT breaks out while the other two do nothing."""

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def entry_feed() -> SyntheticFeed:
    """A generated market in which the rules buy SOL/USDT at `ENTRY` and are stopped out two hours later."""
    start = datetime(2025, 3, 3, tzinfo=UTC)
    return SyntheticFeed(2, SYMBOLS, Timeframe("1h"), start - 301 * HOUR, start + 62 * HOUR)


def config(**changes: Any) -> SessionConfig:
    """Three symbols from one hour before `ENTRY`, approvals off."""
    settings: dict[str, Any] = {
        "symbols": SYMBOLS,
        "start": ENTRY - HOUR,
        "cycles": 4,
        "seed": 2,
        "limits": {"approval_above_notional": None},
    }
    return SessionConfig.parse({**settings, **changes})


def against(url: str, **model: Any) -> dict[str, Any]:
    """Model settings for a local server."""
    return {"model": "openai:local", "base_url": url, "timeout": 5, "max_retries": 1, **model}


@asynccontextmanager
async def opened(
    home: Path,
    settings: SessionConfig | None = None,
    *,
    feed: MarketFeed | None = None,
    events: list[RunEvent] | None = None,
    **how: Any,
) -> AsyncIterator[TradingSystem]:
    """A system over `entry_feed`, or another."""
    listener = (lambda _: None) if events is None else events.append
    async with TradingSystem.open(settings or config(), home, feed=feed or entry_feed(), listener=listener, **how) as system:
        yield system


async def trail(system: TradingSystem, run_id: str) -> RunTrail:
    """A run read back whole."""
    async with system.database.reading() as uow:
        return await uow.runs.whole(run_id)


async def trails(system: TradingSystem) -> Sequence[RunTrail]:
    """Every run of the session, in order."""
    async with system.database.reading() as uow:
        runs = await uow.runs.of_session(system.config.session_id)
        return [await uow.runs.whole(run.id) for run in runs]


async def pause(system: TradingSystem, kind: PauseKind, subject: str = "") -> Pause:
    """Have `boss` pause something."""
    account = system.desk.account_id
    return await Pauses(system.database, system.clock).put(operator("boss", account), account, kind, subject, "for a test")


def pause_late(system: TradingSystem, symbol: str) -> None:
    """Have a symbol paused after the gate has spoken: just before the execution agent is asked."""
    asked = system.asker.ask

    async def pausing(name: str, *rest: object, **named: object) -> object:
        if name == "execution":
            await pause(system, PauseKind.SYMBOL, symbol)
        return await asked(name, *rest, **named)

    system.asker.ask = pausing
