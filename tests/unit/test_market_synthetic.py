"""Generated prices: reproducible, prefix-stable, and shaped like a market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_channels.market.factor import REGIMES, clusters, make_factor, stream
from data_channels.market.synthetic import SyntheticFeed
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar, MarketFeed, Timeframe

HOUR = Timeframe("1h")
START = datetime(2024, 1, 1, tzinfo=UTC)
YEAR_LATER = START + timedelta(days=365)


async def bars(feed: SyntheticFeed, symbol: str = "BTC/USDT") -> list[Bar]:
    _, end = feed.span(symbol)
    return list(await feed.bars(symbol, feed.timeframe, as_of=end, limit=10**6))


def make(seed: int = 7, symbols: tuple[str, ...] = ("BTC/USDT",), timeframe: Timeframe = HOUR, days: float = 30) -> SyntheticFeed:
    return SyntheticFeed(seed, symbols, timeframe, START, START + timedelta(days=days))


def log_returns(series: list[Bar]) -> np.ndarray:
    return np.diff(np.log([float(bar.close) for bar in series]))


def test_it_says_that_its_prices_are_generated() -> None:
    feed: MarketFeed = make()
    assert feed.generated
    assert feed.name == "synthetic (generated, seed 7)"


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**64),
    st.sampled_from(["BTC/USDT", "ETH/BTC", "DOGE/USDT", "NEWCOIN/USD", "USDC/USDT"]),
    st.sampled_from(["1m", "1h", "4h", "1d", "1w"]),
    st.integers(1, 120),
    st.integers(1, 120),
)
async def test_a_later_end_and_other_symbols_change_no_bar(seed: int, symbol: str, code: str, count: int, more: int) -> None:
    timeframe = Timeframe(code)
    short = SyntheticFeed(seed, [symbol], timeframe, START, START + timeframe.length * count)
    long = SyntheticFeed(seed, ["SOL/USDT", symbol], timeframe, START, START + timeframe.length * (count + more))
    first = await bars(short, symbol)
    assert len(first) == count
    assert (await bars(long, symbol))[:count] == first
    assert (await long.instruments())[symbol] == (await short.instruments())[symbol]


async def test_seed_and_start_and_symbol_each_make_another_market() -> None:
    base = log_returns(await bars(make()))[:500]
    later = SyntheticFeed(7, ["BTC/USDT"], HOUR, START + timedelta(days=1), YEAR_LATER)
    for other in (make(seed=8), later):
        assert not np.allclose(base, log_returns(await bars(other))[:500])


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(["BTC/USDT", "SHIB/USDT", "ETH/BTC", "ODD1/EUR"]), st.sampled_from(["5m", "1h", "1d"])
)
async def test_every_bar_is_consistent_on_tick_and_on_lot(seed: int, symbol: str, code: str) -> None:
    timeframe = Timeframe(code)
    feed = SyntheticFeed(seed, [symbol], timeframe, START, START + timeframe.length * 300)
    instrument = (await feed.instruments())[symbol]
    series = await bars(feed, symbol)
    for index, bar in enumerate(series):
        assert bar.inconsistency() is None
        assert bar.opened_at == START + timeframe.length * index
        assert all(price % instrument.tick_size == 0 for price in (bar.open, bar.high, bar.low, bar.close))
        assert bar.volume % instrument.lot_size == 0
    assert all(bar.open == before.close for before, bar in pairwise(series))
    assert feed.gaps(symbol) == []


async def test_known_coins_start_near_a_plausible_price() -> None:
    feed = make(symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT", "ETH/BTC"))
    assert {symbol: (await bars(feed, symbol))[0].open for symbol in await feed.instruments()} == {
        "BTC/USDT": Decimal(60_000),
        "ETH/USDT": Decimal(3_000),
        "SOL/USDT": Decimal(150),
        "ETH/BTC": Decimal("0.05"),
    }


async def test_it_behaves_like_a_crypto_market() -> None:
    feed = SyntheticFeed(11, ["BTC/USDT", "ETH/USDT"], HOUR, START, START + timedelta(days=3 * 365))
    series = await bars(feed)
    btc, eth = log_returns(series), log_returns(await bars(feed, "ETH/USDT"))
    volume = np.array([float(bar.volume) * float(bar.close) for bar in series[1:]])
    assert 0.35 < btc.std() * np.sqrt(24 * 365) < 0.9, "yearly volatility"
    assert 0.7 < np.corrcoef(btc, eth)[0, 1] < 0.97, "coins move together, and not as one"
    assert np.corrcoef(abs(btc[1:]), abs(btc[:-1]))[0, 1] > 0.1, "volatility clusters"
    assert abs(np.corrcoef(btc[1:], btc[:-1])[0, 1]) < 0.1, "the next move does not follow from the last"
    assert ((btc / btc.std()) ** 4).mean() > 4, "tails fatter than normal (3)"
    assert np.corrcoef(abs(btc), volume)[0, 1] > 0.3, "volume grows with volatility"


def test_every_regime_occurs_and_moves_its_own_way() -> None:
    market = make_factor("regimes", 24 * 365 * 10, 1 / 24)
    moves = {regime.name: market.returns[np.array(market.regimes) == index] for index, regime in enumerate(REGIMES)}
    assert all(len(found) > 500 for found in moves.values())
    assert moves["crash"].mean() < moves["bear trend"].mean() < 0 < moves["bull trend"].mean() < moves["recovery"].mean()
    assert moves["crash"].std() > 2 * moves["chop"].std()
    assert all(sum(regime.leads_to) == pytest.approx(1) for regime in REGIMES)


def test_clusters_leave_the_size_of_moves_as_it_is() -> None:
    multipliers = clusters(stream("clusters"), 200_000, 1.0)
    assert (multipliers**2).mean() == pytest.approx(1, abs=0.05)


async def test_bars_start_on_the_grid_and_close_by_the_end() -> None:
    feed = SyntheticFeed(1, ["BTC/USDT"], HOUR, START + timedelta(minutes=1), START + timedelta(hours=3, minutes=59))
    assert feed.span("BTC/USDT") == (START + timedelta(hours=1), START + timedelta(hours=3))
    weekly = SyntheticFeed(1, ["BTC/USDT"], Timeframe("1w"), START + timedelta(days=1), YEAR_LATER)
    assert weekly.span("BTC/USDT")[0].strftime("%A") == "Monday"


@pytest.mark.parametrize(
    ("symbols", "end", "says"),
    [
        ([], YEAR_LATER, "at least one symbol"),
        (["BTC/USDT"], START + timedelta(minutes=59), "no 1h bar fits"),
        (["BTCUSDT"], YEAR_LATER, "not of the form BASE/QUOTE"),
        (["BTC/USDT"], START + timedelta(days=365 * 200), "more than 1,000,000 bars"),
        (["BTC/USDT"], YEAR_LATER.replace(tzinfo=None), "no time zone"),
    ],
)
def test_what_cannot_be_generated_is_refused(symbols: list[str], end: datetime, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        SyntheticFeed(1, symbols, HOUR, START, end)
