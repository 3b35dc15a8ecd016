"""A market feed over prices that are looked up where the market itself is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trading_core.domain.errors import UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe


class QuotedFeed:
    """`MarketFeed` that knows the present only: the last price of each instrument, one tick around it, and no bars.

    Args:
        last: the last price of a symbol; None when it has none.
    """

    name = "prices of the test"
    generated = True

    def __init__(self, instruments: Mapping[str, Instrument], last: Callable[[str], Decimal | None]) -> None:
        self._instruments = instruments
        self._last = last

    async def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        if symbol not in self._instruments:
            raise UnknownSymbol(f"{symbol!r} is not listed")
        last, tick = self._last(symbol), self._instruments[symbol].tick_size
        return None if last is None else Ticker(symbol, last - tick, last + tick, last, as_of)

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        return ()

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        return ()

    async def close(self) -> None: ...
