"""The facts agents read, and correlations between symbols."""

from __future__ import annotations

import dataclasses
import gzip
import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain.clock import from_ms
from trading_core.domain.errors import InvalidInput
from trading_core.domain.market import Bar
from trading_core.indicators import IndicatorSummary, correlation_matrix, correlations, summarise

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PER_YEAR = 8760.0


def bar(index: int, close: Decimal, volume: Decimal = Decimal(1), wick: Decimal = Decimal(0)) -> Bar:
    return Bar(START + index * HOUR, close, close + wick, close - wick, close, volume)


def walk(length: int, seed: int = 3) -> list[Bar]:
    source = random.Random(seed)
    price, bars = 60000.0, []
    for index in range(length):
        price *= math.exp(source.gauss(0, 0.01))
        cents = Decimal(round(price * 100)) / 100
        bars.append(bar(index, cents, Decimal(round(source.random() * 1000)) / 10, Decimal(25)))
    return bars


def summary_of(bars: list[Bar]) -> IndicatorSummary:
    summary = summarise(bars, PER_YEAR)
    assert summary is not None
    return summary


# Bars each fact needs before it is there.
NEEDS = {
    "bars": 2, "last_close": 2, "ema_20": 20, "ema_50": 50, "ema_200": 200, "rsi_14": 15, "atr_14": 15, "atr_percent": 15,
    "adx_14": 28, "plus_di_14": 15, "minus_di_14": 15, "macd_line": 26, "macd_signal": 34, "macd_histogram": 34,
    "bollinger_upper": 20, "bollinger_middle": 20, "bollinger_lower": 20, "bollinger_percent_b": 20,
    "bollinger_bandwidth": 20, "donchian_20_high": 21, "donchian_20_low": 21, "donchian_10_low": 11,
    "realised_volatility_20": 21, "volatility_percentile": 41, "volume_z_20": 20, "change_1_percent": 2,
    "change_5_percent": 6, "change_20_percent": 21, "drawdown_percent": 2,
}  # fmt: skip


def test_fewer_than_two_bars_have_no_summary() -> None:
    assert summarise([], PER_YEAR) is None
    assert summarise(walk(1), PER_YEAR) is None


def test_each_fact_appears_with_its_bar_and_not_before() -> None:
    bars = walk(201)
    assert set(NEEDS) == {field.name for field in dataclasses.fields(IndicatorSummary)}
    for length in range(2, 202):
        facts = dataclasses.asdict(summary_of(bars[:length]))
        present = {name for name, value in facts.items() if value is not None}
        assert present == {name for name, least in NEEDS.items() if length >= least}
        assert all(math.isfinite(facts[name]) for name in present)


def test_facts_by_hand() -> None:
    closes = [Decimal(100 + index) for index in range(30)]
    summary = summary_of([bar(index, close, wick=Decimal(1)) for index, close in enumerate(closes)])
    assert summary.bars == 30
    assert summary.last_close == 129
    assert summary.rsi_14 == 100
    assert summary.atr_14 == 2  # high 1 above the close, previous close 1 below it
    assert summary.atr_percent == pytest.approx(200 / 129, rel=1e-5)
    assert summary.donchian_20_high == 129  # high of the bar before: 128 + 1
    assert summary.donchian_20_low == 108  # low of the bar 20 before: 109 - 1
    assert summary.donchian_10_low == 118
    assert summary.change_1_percent == pytest.approx(100 / 128, rel=1e-5)
    assert summary.change_5_percent == pytest.approx(500 / 124, rel=1e-5)
    assert summary.change_20_percent == pytest.approx(2000 / 109, rel=1e-5)
    assert summary.drawdown_percent == pytest.approx(100 / 130, rel=1e-5)
    assert summary.bollinger_middle == 119.5
    assert summary.volume_z_20 == 0


def test_prices_keep_their_tick_and_the_rest_is_short() -> None:
    bars = [*walk(60), bar(60, Decimal("118234.57"))]
    summary = summary_of(bars)
    assert summary.last_close == 118234.57
    for name, value in dataclasses.asdict(summary).items():
        if value is not None:
            assert len(repr(value).partition("e")[0].replace(".", "").strip("-0")) <= 8, name


def test_volatility_percentile_ranks_the_present_among_earlier_values() -> None:
    calm = [bar(index, Decimal(1000 + index % 2)) for index in range(60)]
    wild = [bar(60 + index, Decimal(1000 + 200 * (index % 2))) for index in range(3)]
    assert summary_of(calm + wild).volatility_percentile == 100
    assert summary_of([bar(index, Decimal(1000)) for index in range(60)]).volatility_percentile == 50


def test_bars_out_of_order_are_refused() -> None:
    bars = walk(5)
    with pytest.raises(InvalidInput, match="oldest first"):
        summarise([*bars, bars[2]], PER_YEAR)
    with pytest.raises(InvalidInput):
        summarise([*bars, bars[-1]], PER_YEAR)


def test_a_price_of_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="above zero"):
        summarise([bar(0, Decimal(1)), bar(1, Decimal(0))], PER_YEAR)


@given(seed=st.integers(0, 10_000), length=st.integers(2, 120), later=st.integers(0, 10_000))
def test_the_summary_is_a_function_of_the_bars_given(seed: int, length: int, later: int) -> None:
    past = walk(length, seed)
    future = [dataclasses.replace(one, opened_at=past[-1].opened_at + (i + 1) * HOUR) for i, one in enumerate(walk(5, later))]
    assert summarise((past + future)[:length], PER_YEAR) == summarise(past, PER_YEAR)


def test_real_bars(shared_data: Path) -> None:
    rows = gzip.decompress((shared_data / "ohlcv" / "binance_BTCUSDT_1d.csv.gz").read_bytes()).decode().splitlines()[1:301]
    bars = [Bar(from_ms(int(stamp)), *map(Decimal, prices)) for stamp, *prices in (line.split(",") for line in rows)]
    summary = summary_of(bars)
    assert all(value is not None for value in dataclasses.asdict(summary).values())
    assert summary.last_close == float(bars[-1].close)
    assert summary.donchian_20_high == float(max(one.high for one in bars[-21:-1]))


def test_correlation_agrees_with_the_standard_library() -> None:
    bars = {"A/USDT": walk(80, 1), "B/USDT": walk(80, 2), "C/USDT": walk(80, 3)}
    found = correlations(bars)
    assert len(found) == 3
    for pair, value in found.items():
        first, second = (
            [math.log(float(b.close) / float(a.close)) for a, b in zip(bars[name], bars[name][1:], strict=False)] for name in pair
        )
        assert value == pytest.approx(statistics.correlation(first, second), rel=1e-9)


def test_moving_together_and_apart() -> None:
    one = walk(60)
    double = [dataclasses.replace(b, close=b.close * 2) for b in one]
    inverse = [dataclasses.replace(b, close=1 / b.close) for b in one]
    found = correlations({"A/USDT": one, "B/USDT": double, "C/USDT": inverse})
    assert found[frozenset({"A/USDT", "B/USDT"})] == pytest.approx(1)
    assert found[frozenset({"A/USDT", "C/USDT"})] == pytest.approx(-1)


def test_bars_are_matched_by_time_not_by_place() -> None:
    whole = walk(80)
    gapped = [b for index, b in enumerate(whole) if index % 7 and index > 10]
    assert correlations({"A/USDT": whole, "B/USDT": gapped}) == {frozenset({"A/USDT", "B/USDT"}): pytest.approx(1)}


def test_unknown_correlations_are_absent() -> None:
    flat = [bar(index, Decimal("0.1")) for index in range(80)]
    growing = [bar(index, Decimal("1.01") ** index) for index in range(80)]
    elsewhere = [dataclasses.replace(b, opened_at=b.opened_at + 1000 * HOUR) for b in walk(80)]
    bars = {"A/USDT": walk(80), "FLAT/USDT": flat, "EVEN/USDT": growing, "LATER/USDT": elsewhere, "NEW/USDT": []}
    assert correlations(bars) == {}
    assert correlations({}) == {}


def test_a_pair_needs_enough_common_returns() -> None:
    bars = {"A/USDT": walk(31, 1), "B/USDT": walk(31, 2)}
    assert len(correlations(bars, minimum=30)) == 1
    assert correlations(bars, minimum=31) == {}


def test_bad_correlation_input_is_refused() -> None:
    with pytest.raises(InvalidInput):
        correlations({"A/USDT": [bar(0, Decimal(0))]})
    with pytest.raises(InvalidInput):
        correlations({}, minimum=1)
    with pytest.raises(InvalidInput):
        correlation_matrix(np.zeros(3))
    with pytest.raises(InvalidInput):
        correlation_matrix(np.array([[0.1, np.nan]]))


@given(st.lists(st.tuples(*[st.floats(-0.5, 0.5)] * 3), max_size=30))
def test_correlation_matrix_is_symmetric_and_bounded(rows: list[tuple[float, float, float]]) -> None:
    matrix = correlation_matrix(np.array(rows, dtype=np.float64).reshape(-1, 3).T)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    defined = matrix[~np.isnan(matrix)]
    assert (np.abs(defined) <= 1).all()
    diagonal = np.diag(matrix)
    assert np.allclose(diagonal[~np.isnan(diagonal)], 1)
