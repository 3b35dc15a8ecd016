"""All that a run may know, fixed at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading_core.domain.errors import UnknownSymbol
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, ChannelReport, Ticker, Timeframe
from trading_core.domain.orders import Order
from trading_core.domain.portfolio import Portfolio


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Account, markets and readings as of one instant.

    Attributes:
        symbols: what the run is about, in the operator's order.
        tickers: last known prices; a symbol without one has none yet.
        bars: closed bars, oldest first.
        channels: what sentiment and on-chain channels say, by `kind:symbol`.
        state: the account's trading state.
        drawdown: fraction below the account's peak equity.
        limits: the effective limits the agents must know, as text.
        content_hash: over everything here but `as_of`; equal hashes mean that a run knows the same.
        doubts: symbols whose price other sources or the bars before it contradict, with who says what.
    """

    as_of: datetime
    timeframe: Timeframe
    symbols: tuple[str, ...]
    instruments: Mapping[str, Instrument]
    tickers: Mapping[str, Ticker]
    bars: Mapping[str, tuple[Bar, ...]]
    channels: Mapping[str, ChannelReport]
    portfolio: Portfolio
    open_orders: tuple[Order, ...]
    state: str
    drawdown: Decimal
    limits: Mapping[str, str]
    content_hash: str
    doubts: Mapping[str, str] = field(default_factory=dict)

    def known(self, symbol: str) -> str:
        """The symbol itself.

        Raises:
            UnknownSymbol: when the run is not about it.
        """
        if symbol not in self.symbols:
            raise UnknownSymbol(f"{symbol!r} is not part of this run", next_step=f"Known: {', '.join(self.symbols)}")
        return symbol

    @property
    def prices(self) -> dict[str, Decimal]:
        """Last price by symbol, for those that have one."""
        return {symbol: ticker.last for symbol, ticker in self.tickers.items()}

    def weight(self, symbol: str) -> Decimal:
        """Share of equity in this symbol.

        Raises:
            MarketDataUnavailable: when a holding has no price.
        """
        equity = self.portfolio.equity(self.prices)
        price = self.prices.get(symbol)
        if price is None or equity <= 0:
            return Decimal(0)
        return self.portfolio.position(symbol).value(price) / equity
