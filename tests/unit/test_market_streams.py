"""Streamed market data through real ccxt.pro, against local servers that speak the six venues' protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from data_channels.market.streaming.feed import StreamFeed
from data_channels.market.streaming.link import Patience
from tests.unit.stream_cases import MINUTE, PRICE, QUICK, streamed
from tests.venues.local import LocalVenue, serving
from tests.venues.server import VenueServer
from tests.venues.six import SIX
from tests.waiting import until
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError, InvalidInput, MarketDataUnavailable, UnknownSymbol
from trading_core.domain.market import MarketFeed, ReadingState


@pytest.fixture(scope="module", params=sorted(SIX))
def kind(request: pytest.FixtureRequest) -> LocalVenue:
    return SIX[request.param]


@pytest.fixture(scope="module")
def server(kind: LocalVenue) -> Iterator[VenueServer]:
    with serving(kind) as running:
        yield running


@pytest.fixture(scope="module")
def binance() -> Iterator[VenueServer]:
    with serving(SIX["binance"]) as running:
        yield running


async def test_bars_of_trades_are_the_venues_own_to_the_digit(kind: LocalVenue, server: VenueServer) -> None:
    async with streamed(kind, server) as market:
        await market.begin()
        for step in range(14):  # four trades a minute, from the next minute's start on
            market.clock.move(15 if step else 20)
            market.trade(PRICE + (step * 37) % 50, Decimal("0.01") * (step + 1))
        await market.heard_all()
        assert await market.minutes(3) == await market.own_minutes(3)
        assert market.feed.metrics.by_rest == 0
        assert (market.feed.metrics.lost, market.feed.metrics.late, market.feed.metrics.unread) == (0, 0, 0)


async def test_the_ticker_is_the_best_prices_and_the_last_trade(kind: LocalVenue, server: VenueServer) -> None:
    async with streamed(kind, server) as market:
        feed: MarketFeed = market.feed
        await market.begin()
        market.trade(PRICE + 7)
        await market.heard_all()
        await market.live()
        for _ in range(100):  # the best prices may be heard after their trade
            ticker = await feed.ticker(market.symbol, as_of=market.clock.now())
            assert ticker is not None
            if ticker.ask == PRICE + 12:
                break
            await asyncio.sleep(0.02)
        assert (ticker.bid, ticker.ask, ticker.last) == (PRICE + 2, PRICE + 12, PRICE + 7)
        assert market.feed.metrics.by_rest == 0


async def test_markets_that_trade_at_once_are_all_heard(kind: LocalVenue, server: VenueServer) -> None:
    """ccxt hands on one market when several have news; the others would wait for their next."""
    second = replace(kind.markets[0], base="ETH")
    both = replace(kind, markets=(kind.markets[0], second))
    with serving(both) as running:
        async with streamed(both, running) as market:
            await market.begin()
            market.trade(PRICE / 20, symbol=second.symbol)
            await market.heard_all()
            with market.exchange.lock:
                for step in range(20):
                    market.trade(PRICE + step)
                    market.trade(PRICE / 20 + step, symbol=second.symbol)
            await market.heard_all()
            await until(lambda: all(one.state is ReadingState.LIVE for one in market.feed.report()), market.describe)
            tickers = [await market.feed.ticker(symbol, as_of=market.clock.now()) for symbol in market.exchange.markets]
            assert [(one.bid, one.last) for one in tickers] == [(PRICE + 14, PRICE + 19), (PRICE / 20 + 14, PRICE / 20 + 19)]
            assert market.feed.metrics.lost == 0


async def test_a_gap_between_two_sockets_is_filled_and_bars_stay_the_venues_own(kind: LocalVenue, server: VenueServer) -> None:
    async with streamed(kind, server) as market:
        await market.begin()
        for round_ in range(2):
            market.clock.move(21)
            market.trade(PRICE + 2 + round_)
            await market.heard_all()
            server.faults.streams.refuse()
            server.faults.streams.drop()
            await until(lambda: market.report().state is ReadingState.DEGRADED, market.describe)
            market.clock.move(20)
            market.trade(PRICE + 40)  # nobody hears of these
            market.trade(PRICE - 40)
            server.faults.streams.clear()
            await until(lambda wanted=round_ + 1: market.feed.metrics.reconnects == wanted, market.describe)
            market.clock.move(20)
            market.trade(PRICE + 5)
            await market.heard_all()
        market.clock.move(60)
        market.trade(PRICE)
        await market.heard_all()
        assert (market.feed.metrics.lost, market.feed.metrics.reconnects) == (0, 2)
        assert await market.minutes(2) == await market.own_minutes(2)
        assert market.feed.metrics.by_rest == 0


async def test_trades_told_twice_count_once(kind: LocalVenue, server: VenueServer) -> None:
    async with streamed(kind, server) as market:
        await market.begin()
        server.faults.streams.double(1_000)
        market.clock.move(21)
        for step in range(5):
            market.trade(PRICE + step)
        market.clock.move(60)
        market.trade(PRICE + 9)
        await market.heard_all()
        assert await market.minutes(1) == await market.own_minutes(1)
        assert market.feed.metrics.by_rest == 0


async def test_a_trade_that_another_overtook_is_no_gap(binance: VenueServer) -> None:
    async with streamed(SIX["binance"], binance) as market:
        await market.begin()
        market.clock.move(21)
        asked = binance.count("tape")
        for behind in (2, 3, 5, 8):
            binance.faults.streams.swap(behind)
            for step in range(6):
                market.trade(PRICE + step * behind)
        market.clock.move(60)
        market.trade(PRICE)
        await market.heard_all()
        assert await market.minutes(1) == await market.own_minutes(1)
        assert market.feed.metrics.by_rest == 0
        assert binance.count("tape") - asked == market.feed.metrics.gaps, "REST was asked only for what did not come by itself"


async def test_rest_answers_while_the_streams_are_down_and_it_says_so(binance: VenueServer) -> None:
    async with streamed(SIX["binance"], binance) as market:
        binance.faults.streams.refuse()
        market.feed.start()
        await until(lambda: market.feed.metrics.failures > 2, market.describe)
        ticker = await market.feed.ticker(market.symbol, as_of=market.clock.now())
        assert ticker.last == PRICE
        report = market.report()
        assert report.state is ReadingState.DEGRADED
        assert "503" in report.reason
        assert market.feed.name == "binance (live, streamed), read over REST while its streams are down"
        binance.faults.streams.clear()
        await market.begin()
        await market.feed.ticker(market.symbol, as_of=market.clock.now())
        assert (market.feed.name, market.feed.metrics.by_rest) == ("binance (live, streamed)", 1)


@pytest.mark.parametrize("answers_pings", [True, False])
async def test_silence_counts_as_death(binance: VenueServer, answers_pings: bool) -> None:
    patience = Patience(silent=0.6, first_wait=0.01, longest_wait=0.02)
    async with streamed(SIX["binance"], binance, patience) as market:
        await market.begin()
        binance.faults.streams.silence(answers_pings=answers_pings)
        await until(lambda: market.report().state is ReadingState.DEGRADED, market.describe)
        assert "nothing was heard" in market.report().reason
        binance.faults.streams.clear()
        await until(lambda: market.feed.metrics.reconnects == 1, market.describe)


async def test_prices_that_nobody_spoke_of_lately_are_asked_for(binance: VenueServer) -> None:
    async with streamed(SIX["binance"], binance) as market:
        await market.begin()
        market.clock.move(6)
        assert market.report().state is ReadingState.STALE
        await market.feed.ticker(market.symbol, as_of=market.clock.now())
        assert market.feed.metrics.by_rest == 1


@pytest.mark.parametrize("frame", ["<html>gone</html>", '{"e":"trade","s":"BTCUSDT"}', '{"e":', "[1, 2"])
async def test_a_frame_that_cannot_be_read_is_counted_and_what_it_told_is_asked_for(binance: VenueServer, frame: str) -> None:
    async with streamed(SIX["binance"], binance) as market:
        await market.begin()
        for stream in binance.streams:
            stream.send(frame)
        market.trade(PRICE + 2)
        await market.heard_all()
        assert (await market.feed.ticker(market.symbol, as_of=market.clock.now())).last == PRICE + 2
        assert market.report().state is ReadingState.LIVE
        assert (market.feed.metrics.unread > 0) == frame.startswith(("{", "[")), "text that is no JSON may be a venue's ping"


async def test_a_bar_without_a_trade_or_from_before_is_the_venues_own(binance: VenueServer) -> None:
    async with streamed(SIX["binance"], binance) as market:
        await market.begin()
        market.clock.move(205)
        market.trade(PRICE + 2)
        await market.heard_all()
        assert await market.minutes(3) == await market.own_minutes(3)
        assert market.feed.metrics.by_rest == 1
        assert await market.minutes(3) == await market.own_minutes(3)
        assert market.feed.metrics.by_rest == 1, "what the venue said is kept"


async def test_what_is_not_listed_or_lies_in_the_past_is_refused_as_by_the_live_feed(binance: VenueServer) -> None:
    async with streamed(SIX["binance"], binance) as market:
        now = market.clock.now()
        with pytest.raises(UnknownSymbol):
            await market.feed.ticker("NO/SUCH", as_of=now)
        with pytest.raises(UnknownSymbol):
            await market.feed.bars("NO/SUCH", MINUTE, as_of=now, limit=1)
        with pytest.raises(InvalidInput):
            await market.feed.bars(market.symbol, MINUTE, as_of=now, limit=0)
        market.clock.move(3600)
        with pytest.raises(MarketDataUnavailable, match="knows the price"):
            await market.feed.ticker(market.symbol, as_of=now)


async def test_closing_leaves_no_task_and_no_socket(binance: VenueServer) -> None:
    before = asyncio.all_tasks()
    async with streamed(SIX["binance"], binance, QUICK) as market:
        await market.begin()
        await market.feed.close()
        assert market.report().state is ReadingState.OFF
        await until(lambda: not binance.streams, market.describe)
    await until(lambda: asyncio.all_tasks() <= before, lambda: f"the end of {asyncio.all_tasks() - before}")


def test_a_venue_whose_streams_are_not_known_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="public streams of 'gemini'"):
        StreamFeed("gemini", ["BTC/USD"], clock=SystemClock(), jitter=Random(1))
