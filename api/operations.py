"""What an operator's commands do to a session that another process may be at work on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from agents.models.spec import NO_KEY
from api.commands.settings import stored_config
from api.ledgers import FoundSession, find_session
from api.venue_access import venue_access
from graph.config import SessionConfig
from graph.markets import make_feed
from graph.system import TradingSystem
from trading_core.domain.clock import Clock, SimulatedClock, SystemClock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.orders import Order, Purpose
from trading_core.execution.control import Control
from trading_core.execution.risk_record import load_risk
from trading_core.persistence.records import PortfolioSnapshotRecord, RiskStateChange
from trading_core.persistence.session import Database
from trading_core.risk.state import AccountRisk, Withdrawal

# How long the process that has the venue is given to take orders back: it looks every second, and waits 2 s for each cancel.
OBEYED_WITHIN, LOOK_EVERY = 10.0, 0.25


@dataclass(frozen=True, slots=True)
class StateView:
    """Where an account stands, and where it is; `worth` is as of its last run, None before the first."""

    session_id: str
    place: str
    risk: AccountRisk
    live: tuple[Order, ...]
    worth: PortfolioSnapshotRecord | None
    changes: tuple[RiskStateChange, ...]


@asynccontextmanager
async def controlling(found: FoundSession) -> AsyncIterator[tuple[Control, Database]]:
    """The control of a session's account, over its ledger and nothing else."""
    async with await Database.open(found.folders.ledger) as database:
        yield Control(found.folders.account, database, _clock(found)), database


@asynccontextmanager
async def opened(found: FoundSession, home: Path) -> AsyncIterator[TradingSystem]:
    """The whole session. No model is asked, so any key will do."""
    config = _config(found)
    access = await venue_access(config)
    async with TradingSystem.open(config, home, at=found.at, database=found.folders.database, access=access) as system:
        yield system


async def read_state(home: Path, prefix: str | None, location: str | None = None) -> StateView:
    """What the ledger says of the account of a session.

    Raises:
        RunError: there is no such session.
    """
    found = await find_session(home, prefix, location)
    account = found.folders.account
    async with await Database.open(found.folders.ledger) as database, database.reading() as uow:
        return StateView(
            session_id=found.session.id,
            place=place_of(_config(found)),
            risk=await load_risk(uow, account, found.at),
            live=await uow.orders.live(account),
            worth=await uow.portfolios.last_worth(account),
            changes=await uow.risk.changes(account),
        )


async def prices_of_holdings(found: FoundSession, database: Database) -> dict[str, Decimal]:
    """Last prices of all that is held; what cannot be read is left out. Without holdings the market is not asked."""
    async with database.reading() as uow:
        held = list((await uow.portfolios.load(found.folders.account)).held())
    if not held:
        return {}
    feed, now = make_feed(_config(found)), _clock(found).now()
    try:
        tickers = {symbol: await feed.ticker(symbol, as_of=now) for symbol in held}
    finally:
        await feed.close()
    return {symbol: ticker.last for symbol, ticker in tickers.items() if ticker is not None}


async def withdraw(
    found: FoundSession, home: Path, database: Database, withdrawal: Withdrawal
) -> tuple[list[Order], AlgoTrendyError | None]:
    """See the kill switch's cancels through, here or by the process that has the venue.

    Returns:
        The orders concerned as they now stand, and why this process could not cancel them itself, if it could not.
    """
    async with database.reading() as uow:
        live = await uow.orders.live(found.folders.account)
    wanted = [order for order in live if withdrawal is Withdrawal.ALL or order.purpose is not Purpose.STOP]
    if not wanted:
        return [], None
    trouble: AlgoTrendyError | None = None
    try:
        async with opened(found, home):
            pass  # opening reads the venue, and whoever reads it obeys
    except AlgoTrendyError as error:
        trouble = error
    waited, orders = 0.0, await _as_they_stand(database, wanted)
    while trouble and waited < OBEYED_WITHIN and any(order.is_live for order in orders):
        await asyncio.sleep(LOOK_EVERY)
        waited, orders = waited + LOOK_EVERY, await _as_they_stand(database, wanted)
    return orders, trouble


async def _as_they_stand(database: Database, orders: list[Order]) -> list[Order]:
    async with database.reading() as uow:
        found = [await uow.orders.get(order.client_order_id) for order in orders]
    return [order for order in found if order is not None]


def place_of(config: SessionConfig) -> str:
    """Where the session's account is, in a few words; real money is named."""
    if config.account is None:
        return "paper exchange"
    where = f"account {config.account.id} at {config.venue}"
    if config.account.production:
        return f"REAL MONEY, {where}"
    return f"{where}, {'sandbox' if config.account.sandbox else f'test venue {config.account.url}'}"


def _config(found: FoundSession) -> SessionConfig:
    return stored_config(found.session.config, NO_KEY)


def _clock(found: FoundSession) -> Clock:
    """A simulated session is told in its own time."""
    return SimulatedClock(found.at) if _config(found).simulated else SystemClock()
