"""Several market feeds behind one: when the first cannot answer, the next one does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError, MarketDataUnavailable, UnknownSymbol, UnknownTimeframe
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar, MarketFeed, Ticker, Timeframe

_T = TypeVar("_T")
BACK_AFTER = timedelta(seconds=60)


class FailoverFeed:
    """A `MarketFeed` of the first feed that can answer.

    A standby is asked only when the first is out of reach (`MarketDataUnavailable`); that it does not list a symbol, or has no
    bars of a length, is an answer. Each question is answered whole by one feed: bars and prices of two venues never come in one
    answer. Once a standby had to answer it goes on answering, so that a series of questions sees one venue, until the first is
    asked again.

    The instruments are always the first's: an order goes there, and must fit its filters.

    Args:
        feeds: the first, then its standbys in their order; they become this one's to close.
        clock: tells when the first is asked again.
        back_after: how long a standby answers before that.

    Attributes:
        name: of the feed that answers now, and for which one if it is a standby.
        generated: some of the prices are invented.

    Raises:
        ConfigurationError: there is no feed.
    """

    def __init__(self, feeds: Sequence[MarketFeed], *, clock: Clock, back_after: timedelta = BACK_AFTER) -> None:
        if not feeds:
            raise ConfigurationError(
                "a failover feed needs a feed", not_done="No market data was opened", next_step="Name a venue"
            )
        self._feeds, self._clock, self._back_after = tuple(feeds), clock, back_after
        self._current = 0
        self._back_at: datetime | None = None
        self.name = feeds[0].name
        self.generated = any(feed.generated for feed in feeds)

    async def instruments(self) -> Mapping[str, Instrument]:
        """The first feed's markets and filters.

        Raises:
            MarketDataUnavailable: it cannot give them. No standby is asked.
        """
        return await self._feeds[0].instruments()

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        """See `MarketFeed.bars`; all of one venue.

        Raises:
            UnknownSymbol: the first feed does not list it.
            MarketDataUnavailable: not one feed can answer.
        """
        return await self._ask(lambda feed: feed.bars(symbol, timeframe, as_of=as_of, limit=limit))

    async def bars_between(self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime) -> Sequence[Bar]:
        """See `MarketFeed.bars_between`; all of one venue.

        Raises:
            UnknownSymbol: the first feed does not list it.
            MarketDataUnavailable: not one feed can answer.
        """
        return await self._ask(lambda feed: feed.bars_between(symbol, timeframe, start=start, end=end))

    async def ticker(self, symbol: str, *, as_of: datetime) -> Ticker | None:
        """See `MarketFeed.ticker`; of one venue.

        Raises:
            UnknownSymbol: the first feed does not list it.
            MarketDataUnavailable: not one feed can answer.
        """
        return await self._ask(lambda feed: feed.ticker(symbol, as_of=as_of))

    async def close(self) -> None:
        """Close every feed, also when one of them fails to."""
        failed: list[Exception] = []
        for feed in self._feeds:
            try:
                await feed.close()
            except Exception as error:
                failed.append(error)
        if failed:
            raise failed[0]

    async def _ask(self, ask: Callable[[MarketFeed], Awaitable[_T]]) -> _T:
        silent: dict[int, str] = {}
        for index in self._order():
            feed = self._feeds[index]
            try:
                answer = await ask(feed)
            except (MarketDataUnavailable, UnknownSymbol) as error:
                if index == 0 and isinstance(error, (UnknownSymbol, UnknownTimeframe)):
                    raise
                silent[index] = f"{feed.name}: {error.what}"
            else:
                self._answered_by(index, first_failed=0 in silent)
                return answer
        raise MarketDataUnavailable(
            f"no feed could answer ({'; '.join(silent.values())})",
            not_done="Nothing was assumed in its place",
            next_step="Check the network and the venues' status pages, then try again",
        )

    def _order(self) -> Sequence[int]:
        """The feeds in the order in which they are asked now."""
        stands_in = self._back_at is not None and self._clock.now() < self._back_at
        ahead = self._current if stands_in else 0
        return (ahead, *(index for index in range(len(self._feeds)) if index != ahead))

    def _answered_by(self, index: int, *, first_failed: bool) -> None:
        self._current = index
        if index == 0:
            self._back_at = None
        elif first_failed:
            self._back_at = self._clock.now() + self._back_after
        first, feed = self._feeds[0], self._feeds[index]
        self.name = first.name if index == 0 else f"{feed.name}, standing in for {first.name}"
