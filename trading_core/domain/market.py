"""Market data and readings, each with the time it became known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import Instrument

_TIMEFRAME = re.compile(r"[1-9][0-9]{0,3}[mhdw]")
_UNIT = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The length of a bar, written as venues write it: `1m`, `15m`, `1h`, `4h`, `1d`, `1w`."""

    code: str

    def __post_init__(self) -> None:
        if not _TIMEFRAME.fullmatch(self.code):
            raise InvalidInput(f"timeframe {self.code!r} is not of the form 1m, 15m, 1h, 1d or 1w")

    @property
    def length(self) -> timedelta:
        return int(self.code[:-1]) * _UNIT[self.code[-1]]

    @property
    def per_year(self) -> float:
        """Bars in a year of 365 days; crypto markets do not close."""
        return timedelta(days=365) / self.length

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low, close and base volume of one interval; `opened_at` is its start, UTC."""

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def inconsistency(self) -> str | None:
        """What contradicts itself in this bar, or None."""
        if not all(x.is_finite() for x in (self.open, self.high, self.low, self.close, self.volume)):
            return "a price or the volume is not finite"
        if self.low <= 0:
            return f"low {self.low} is not above zero"
        if self.high < max(self.open, self.close) or self.low > min(self.open, self.close):
            return f"open {self.open} and close {self.close} do not lie between low {self.low} and high {self.high}"
        if self.volume < 0:
            return f"volume {self.volume} is below zero"
        return None


@dataclass(frozen=True, slots=True)
class Ticker:
    """The best known prices of a market. `at` is when they were true, not when they were asked for."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    at: datetime

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


class ReadingState(StrEnum):
    LIVE = "live"
    STALE = "stale"  # the newest reading is older than it should be
    DEGRADED = "degraded"  # some of the sources are silent, or what they say is in doubt
    OFF = "off"  # not configured, or switched off


@dataclass(frozen=True, slots=True)
class Reading:
    """A channel's value. A reading counts from `published_at`, whatever it was observed at.

    Attributes:
        source: whose it is, such as `coingecko`.
        name: what is measured; `unit` says how to read the value (`score` is −1 to 1, `points` 0 to 100).
        observed_at: when it was so in the world.
        published_at: when it could first be known.
        quality: how far it can be trusted, 0 to 1, by rules the source's module states.
        count: how many observations it stands on.
        spread: their standard deviation, in the value's unit; None where there is only one or the source does not tell.
    """

    source: str
    symbol: str
    name: str
    value: Decimal
    unit: str
    observed_at: datetime
    published_at: datetime
    quality: Decimal = Decimal(1)
    count: int = 1
    spread: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """What one channel kind (sentiment, on-chain) can say about a symbol at an instant: readings, or why there are none."""

    kind: str
    symbol: str
    state: ReadingState
    reason: str
    readings: tuple[Reading, ...] = field(default=())


class MarketFeed(Protocol):
    """The one market data port. Every read takes `as_of` and returns nothing that was not known then.

    A bar is known once it has closed (`opened_at + length <= as_of`). The open of the bar in progress is known strictly
    after its start. `name` is shown to people; `generated` says that the prices are invented.
    """

    name: str
    generated: bool

    async def instruments(self) -> Mapping[str, Instrument]:
        """Every market this feed lists, by symbol."""
        ...

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """Up to `limit` newest closed bars, oldest first; gaps stay gaps.

        Raises:
            UnknownSymbol: the feed does not list it.
            UnknownTimeframe: it has no bars of that length.
            MarketDataUnavailable: the feed cannot answer.
        """
        ...

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        """The last prices known at `as_of`; None when there were none yet."""
        ...

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """Bars that closed in `(start, end]`, oldest first: what an exchange simulation has to walk through."""
        ...

    async def close(self) -> None: ...
