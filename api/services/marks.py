"""What holdings are valued at: the desk's own prices where this process has it, else those of the account's last run."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import TypeAdapter

from graph.runs.desks import Desks
from graph.system import TradingSystem
from trading_core.domain.errors import MarketDataError, UnknownSymbol
from trading_core.domain.market import Ticker
from trading_core.domain.money import ZERO, decimal
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import PortfolioSnapshotRecord
from trading_core.persistence.session import Database

WITHIN = 5.0
"""Seconds that a market is given to tell its prices, before those of the last run are taken."""

_TICKERS = TypeAdapter(dict[str, Ticker])


class PricedBy(StrEnum):
    """Where prices come from."""

    DESK = "desk"  # the market of the desk in this process, now
    LAST_RUN = "last run"  # what the account's last cycle knew, at its instant


@dataclass(frozen=True, slots=True)
class Marks:
    """Last prices by symbol, quote per base. A symbol without one has no price that is known.

    Attributes:
        at: of the oldest among them; None where there are none.
        by: where they come from; None where there are none.
    """

    prices: Mapping[str, Decimal]
    at: datetime | None = None
    by: PricedBy | None = None

    def price(self, symbol: str) -> Decimal | None:
        """The symbol's price, if it is known."""
        return self.prices.get(symbol)

    def equity(self, portfolio: Portfolio) -> Decimal | None:
        """What the account is worth; None while a holding has no price. An unknown price is not zero."""
        held = portfolio.held()
        if any(symbol not in self.prices for symbol in held):
            return None
        return sum((position.value(self.prices[symbol]) for symbol, position in held.items()), portfolio.cash)

    def invested(self, portfolio: Portfolio) -> Decimal | None:
        """What all holdings are worth; None while one has no price."""
        equity = self.equity(portfolio)
        return None if equity is None else equity - portfolio.cash


async def marks_of(desks: Desks, database: Database, account_id: str, symbols: Collection[str]) -> Marks:
    """Prices of `symbols`: from the desk, unless only the last run knows more of them."""
    system = desks.get(account_id)
    told = await desk_marks(system, symbols) if system is not None else Marks({})
    if told.prices.keys() >= set(symbols) and system is not None:
        return told
    kept = await recorded_marks(database, account_id, symbols)
    return kept if len(kept.prices) > len(told.prices) or system is None else told


async def desk_marks(system: TradingSystem, symbols: Collection[str]) -> Marks:
    """The desk's last prices. What its market cannot tell in time is left out."""
    tickers = await tickers_of(system, symbols)
    at = min((ticker.at for ticker in tickers.values()), default=system.clock.now())
    return Marks({symbol: ticker.last for symbol, ticker in tickers.items()}, at, PricedBy.DESK)


async def tickers_of(system: TradingSystem, symbols: Collection[str]) -> dict[str, Ticker]:
    """The desk's tickers of now. What its market cannot tell in time is left out."""
    now, names = system.clock.now(), sorted(symbols)

    async def ask(symbol: str) -> Ticker | None:
        try:
            async with asyncio.timeout(WITHIN):
                return await system.feed.ticker(symbol, as_of=now)
        except (MarketDataError, UnknownSymbol, TimeoutError):
            return None

    found = await asyncio.gather(*(ask(symbol) for symbol in names))
    return {symbol: ticker for symbol, ticker in zip(names, found, strict=True) if ticker is not None}


async def recorded_marks(database: Database, account_id: str, symbols: Collection[str]) -> Marks:
    """What the account's last run knew."""
    wanted = set(symbols)
    async with database.reading() as uow:
        worth = await uow.portfolios.last_worth(account_id)
        if worth is not None and wanted <= (valued := _valued(worth)).keys():
            return Marks({symbol: valued[symbol] for symbol in wanted}, worth.at, PricedBy.LAST_RUN)
        # What was bought since is not in the worth of that run; its snapshot has every symbol of the session.
        snapshot = await uow.pages.last_snapshot(account_id)
        record = None if snapshot is None else await uow.snapshots.get(snapshot)
    if record is None:
        return Marks({})
    known = recorded_tickers(record.content)
    prices = {symbol: known[symbol].last for symbol in wanted if symbol in known}
    return Marks(prices, record.as_of, PricedBy.LAST_RUN)


def recorded_tickers(content: Mapping[str, object]) -> dict[str, Ticker]:
    """The tickers of a kept snapshot, by symbol."""
    return _TICKERS.validate_python(content["tickers"])


def _valued(worth: PortfolioSnapshotRecord) -> dict[str, Decimal]:
    """Prices of what was held after a run."""
    positions = worth.content.get("positions")
    found: dict[str, Decimal] = {}
    for symbol, held in positions.items() if isinstance(positions, dict) else ():
        price = decimal(str(held["price"]), name="a recorded price")
        if price > ZERO:
            found[symbol] = price
    return found
