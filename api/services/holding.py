"""What buying and holding would have come to, the yardstick of `graph.report`, without asking anybody for past prices."""

from __future__ import annotations

from decimal import Decimal

from api.services.marks import recorded_tickers, tickers_of
from graph.system import TradingSystem
from trading_core.domain.money import ZERO
from trading_core.persistence.session import Database


async def held_instead(system: TradingSystem, database: Database, paid_in: Decimal) -> Decimal | None:
    """What `paid_in` would be worth, split evenly over the session's symbols at the asks that the account's first cycle saw, fees
    paid, at the prices of now; None before that cycle, or while a price is missing."""
    async with database.reading() as uow:
        first = await uow.pages.first_snapshot(system.desk.account_id)
        record = None if first is None else await uow.snapshots.get(first)
    if record is None:
        return None
    then = {symbol: ticker for symbol, ticker in recorded_tickers(record.content).items() if symbol in system.config.symbols}
    now = await tickers_of(system, then)
    if not then or now.keys() != then.keys():
        return None
    total = ZERO
    for symbol, ticker in then.items():
        instrument = system.desk.instruments.get(symbol)
        if instrument is None or ticker.ask <= 0:
            return None
        total += paid_in / len(then) / (ticker.ask * (1 + instrument.taker_fee)) * now[symbol].last
    return total
