"""The two sides of a scenario's market: what trades at the exchange, and what the desk is told of it.

Before the decision lies the founding (`evals.founding`): a time long ago in which the account comes by what it holds. Between
that and the decision nothing trades, so that nothing which leads up to the decision can fill a stop of the account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from data_channels.market.grid import floor_to_grid
from data_channels.market.series import BarSeries, SeriesFeed
from evals.bars import Prices
from evals.fault_counter import FaultCounter
from trading_core.domain.errors import MarketDataUnavailable, UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, Ticker, Timeframe
from trading_core.domain.money import ZERO

_DEEP = Decimal("1e12")  # base volume of a bar of the founding: nothing that is bought there moves the price


@dataclass(slots=True)
class FoundingQuotes:
    """What everything costs before the decision. The founding says so as it goes; what held at an instant goes on holding for it.

    Attributes:
        today: what everything costs as long as nothing else is said.
    """

    today: Mapping[str, Decimal]
    _said: list[tuple[datetime, Mapping[str, Decimal]]] = field(default_factory=list)

    def say(self, since: datetime, prices: Mapping[str, Decimal]) -> None:
        """From `since` on these symbols cost this, and all others what they do today."""
        self._said.append((since, dict(prices)))

    def ask(self, symbol: str, at: datetime) -> Decimal:
        """What a symbol costs at an instant."""
        said = next((prices for since, prices in reversed(self._said) if since <= at), {})
        return said.get(symbol, self.today[symbol])

    def ticker(self, symbol: str, instrument: Instrument, at: datetime) -> Ticker:
        ask = self.ask(symbol, at)
        return Ticker(symbol, bid_below(ask, instrument), ask, ask, at)


def bid_below(ask: Decimal, instrument: Instrument) -> Decimal:
    """The bid of the founding: a tick below the ask."""
    return max(instrument.tick_size, ask - instrument.tick_size)


class StagedFeed:
    """A `MarketFeed` that is the founding before `begins`, and a series of bars from then on."""

    generated = True

    def __init__(
        self, name: str, timeframe: Timeframe, series: Mapping[str, BarSeries], founding: FoundingQuotes, begins: datetime
    ):
        self.name, self.timeframe, self.begins = name, timeframe, begins
        self._founding, self._series = founding, series
        self._feed = SeriesFeed(name, timeframe, series, generated=True)

    async def instruments(self) -> Mapping[str, Instrument]:
        return await self._feed.instruments()

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        if as_of >= self.begins:
            return await self._feed.ticker(symbol, as_of=as_of)
        return self._founding.ticker(symbol, self._instrument(symbol), as_of)

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        if as_of >= self.begins:
            return await self._feed.bars(symbol, timeframe, as_of=as_of, limit=limit)
        price = self._founding.ask(symbol, as_of)
        opened_at = floor_to_grid(as_of, timeframe) - timeframe.length
        return [Bar(opened_at, price, price, price, price, _DEEP)]

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """What trades: the bars of the founding are only ever looked at."""
        if end <= self.begins:
            return []
        return await self._feed.bars_between(symbol, timeframe, start=max(start, self.begins), end=end)

    async def close(self) -> None:
        """Nothing is held open."""

    def price(self, symbol: str, as_of: datetime) -> Decimal | None:
        """The last price at an instant; None before there was any."""
        ticker = self._series[symbol].ticker(as_of)
        return None if ticker is None else ticker.last

    def _instrument(self, symbol: str) -> Instrument:
        if symbol not in self._series:
            raise UnknownSymbol(f"{self.name} does not list {symbol!r}", next_step=f"It lists {', '.join(sorted(self._series))}")
        return self._series[symbol].instrument


class SeenFeed(StagedFeed):
    """What the desk is told: a feed that may have ended, that may lie about the ticker, and that may not answer."""

    def __init__(
        self, timeframe: Timeframe, prices: Mapping[str, Prices], founding: FoundingQuotes, begins: datetime, faults: FaultCounter
    ) -> None:
        series = {symbol: one.seen for symbol, one in prices.items()}
        super().__init__("scenario (generated)", timeframe, series, founding, begins)
        self._lies, self._faults = {symbol: one.lies for symbol, one in prices.items()}, faults

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        self._answer("ticker")
        found = await super().ticker(symbol, as_of=as_of)
        if found is None or as_of < self.begins:
            return found
        for after, until, factor in self._lies[symbol]:
            if after < as_of <= until:
                found = _scaled(found, factor, self._instrument(symbol))
        return found

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        self._answer("bars")
        return await super().bars(symbol, timeframe, as_of=as_of, limit=limit)

    def _answer(self, call: str) -> None:
        if self._faults.strikes("feed", call):
            raise MarketDataUnavailable(f"the feed does not answer ({call})", not_done="No price was read")


def exchange_feed(timeframe: Timeframe, prices: Mapping[str, Prices], founding: FoundingQuotes, begins: datetime) -> StagedFeed:
    """What trades at the exchange."""
    return StagedFeed("exchange (generated)", timeframe, {name: one.real for name, one in prices.items()}, founding, begins)


def _scaled(ticker: Ticker, factor: Decimal, instrument: Instrument) -> Ticker:
    bid, last = (max(ZERO, instrument.floor_price(price * factor)) for price in (ticker.bid, ticker.last))
    return Ticker(ticker.symbol, bid, max(instrument.tick_size, instrument.ceil_price(ticker.ask * factor)), last, ticker.at)
