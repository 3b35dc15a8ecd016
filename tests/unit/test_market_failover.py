"""Market data from the first feed that answers: one venue in each answer, and back to the first after a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.market.failover import FailoverFeed
from tests.unit.feeds import BarFeed, flat
from tests.unit.paper_exchange import BTC, ETH, at, instrument
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import ConfigurationError, MarketDataUnavailable, UnknownSymbol, UnknownTimeframe
from trading_core.domain.market import Bar, Timeframe

HOURLY = Timeframe("1h")
PRICES = ("100", "200", "300")


class NamedFeed(BarFeed):
    """Bars at one price, which tells the feeds apart."""

    def __init__(self, number: int, symbols: Sequence[str] = (BTC, ETH)) -> None:
        lots = Decimal(number + 1)
        markets = [replace(instrument(symbol), lot_size=lots) for symbol in symbols]
        super().__init__(markets, {symbol: [flat(hour, PRICES[number]) for hour in range(50)] for symbol in symbols})
        self.name = f"venue {number}"
        self.generated = False
        self.asked = 0
        self.closed = False

    def _of(self, symbol: str) -> list[object]:
        self.asked += 1
        return super()._of(symbol)

    async def close(self) -> None:
        self.closed = True
        if self.broken:
            raise OSError(f"{self.name} is stuck")


class Hourly(NamedFeed):
    """Bars of one hour, and of no other length."""

    async def bars(self, symbol: str, timeframe: Timeframe, *, as_of: datetime, limit: int) -> Sequence[Bar]:
        if timeframe != HOURLY:
            raise UnknownTimeframe(f"{self.name} has no {timeframe} bars")
        return await super().bars(symbol, timeframe, as_of=as_of, limit=limit)


class Feeds:
    def __init__(self, *feeds: NamedFeed) -> None:
        self.each = feeds or (NamedFeed(0), NamedFeed(1), NamedFeed(2))
        self.clock = SimulatedClock(at(20))
        self.feed = FailoverFeed(self.each, clock=self.clock, back_after=timedelta(seconds=60))

    async def bars(self, symbol: str = BTC) -> set[Decimal]:
        """The prices in an answer."""
        return {bar.close for bar in await self.feed.bars(symbol, HOURLY, as_of=self.clock.now(), limit=10)}

    async def price(self, symbol: str = BTC) -> Decimal:
        ticker = await self.feed.ticker(symbol, as_of=self.clock.now())
        assert ticker is not None
        return ticker.last


async def test_while_the_first_answers_nobody_else_is_asked() -> None:
    x = Feeds()
    assert await x.bars() == {100}
    assert await x.price() == 100
    assert x.feed.name == "venue 0"
    assert (x.each[1].asked, x.each[2].asked) == (0, 0)


async def test_a_standby_answers_for_a_first_that_is_out_of_reach_and_the_name_says_so() -> None:
    x = Feeds()
    x.each[0].broken = True
    assert await x.bars() == {200}
    assert x.feed.name == "venue 1, standing in for venue 0"
    x.each[1].broken = True
    assert await x.price() == 300
    assert x.feed.name == "venue 2, standing in for venue 0"


async def test_it_goes_back_to_the_first_after_a_while_and_not_before() -> None:
    x = Feeds()
    x.each[0].broken = True
    assert await x.price() == 200
    asked = x.each[0].asked
    x.each[0].broken = False
    await x.clock.sleep(59)
    assert await x.price() == 200
    assert x.each[0].asked == asked
    await x.clock.sleep(1)
    assert await x.price() == 100
    assert x.feed.name == "venue 0"


async def test_a_first_that_is_still_gone_is_left_alone_for_as_long_again() -> None:
    x = Feeds()
    x.each[0].broken = True
    await x.price()
    await x.clock.sleep(60)
    assert await x.price() == 200
    asked = x.each[0].asked
    await x.clock.sleep(59)
    await x.price()
    assert x.each[0].asked == asked


async def test_a_standby_that_fails_gives_way_to_the_first_before_its_time() -> None:
    x = Feeds()
    x.each[0].broken = True
    await x.price()
    x.each[0].broken, x.each[1].broken = False, True
    assert await x.price() == 100
    assert x.feed.name == "venue 0"


async def test_a_symbol_that_the_first_does_not_list_is_an_answer() -> None:
    x = Feeds(NamedFeed(0, [BTC]), NamedFeed(1))
    with pytest.raises(UnknownSymbol):
        await x.price(ETH)
    assert x.each[1].asked == 0


async def test_a_length_that_the_first_does_not_have_is_an_answer() -> None:
    x = Feeds(Hourly(0), Hourly(1))
    with pytest.raises(UnknownTimeframe, match="7m"):
        await x.feed.bars(BTC, Timeframe("7m"), as_of=x.clock.now(), limit=1)
    assert x.each[1].asked == 0


async def test_a_standby_that_does_not_list_it_is_passed_over() -> None:
    x = Feeds(NamedFeed(0), NamedFeed(1, [BTC]), NamedFeed(2))
    x.each[0].broken = True
    assert await x.price(ETH) == 300
    x.each[2].broken = True
    with pytest.raises(MarketDataUnavailable, match=r"venue 2: .*venue 0: .*venue 1: .*not listed.*Nothing was assumed"):
        await x.price(ETH)


async def test_the_filters_are_the_firsts_whoever_gives_the_prices() -> None:
    x = Feeds()
    x.each[0].broken = True
    await x.price()
    assert (await x.feed.instruments())[BTC].lot_size == 1


async def test_no_prices_yet_is_an_answer_too() -> None:
    x = Feeds()
    assert await x.feed.ticker(BTC, as_of=at(0)) is None
    assert x.each[1].asked == 0


async def test_all_are_closed_also_when_one_fails_to() -> None:
    x = Feeds()
    x.each[0].broken = True
    with pytest.raises(OSError, match="venue 0 is stuck"):
        await x.feed.close()
    assert all(feed.closed for feed in x.each)


def test_generated_prices_are_never_hidden_and_no_feed_is_an_error() -> None:
    x = Feeds()
    assert not x.feed.generated
    x.each[2].generated = True
    assert FailoverFeed(x.each, clock=x.clock).generated
    with pytest.raises(ConfigurationError, match="needs a feed"):
        FailoverFeed([], clock=x.clock)


@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.integers(0, 90)), min_size=1, max_size=25))
async def test_each_answer_is_of_one_venue_that_could_answer_and_the_name_says_which(steps: list[tuple[set[int], int]]) -> None:
    x = Feeds()
    for down, seconds in steps:
        await x.clock.sleep(seconds)
        for number, feed in enumerate(x.each):
            feed.broken = number in down
        if len(down) == 3:
            with pytest.raises(MarketDataUnavailable):
                await x.bars()
            continue
        (price,) = await x.bars()
        number = PRICES.index(str(price))
        assert number not in down
        assert x.feed.name.startswith(f"venue {number}")
        between: Sequence[Bar] = await x.feed.bars_between(BTC, HOURLY, start=at(5), end=at(9))
        assert {bar.close for bar in between} == {price}
    await x.clock.sleep(60)
    for feed in x.each:
        feed.broken = False
    assert await x.price() == 100
