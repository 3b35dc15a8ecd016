"""Indicators against published examples, against slow references written another way, and against their invariants."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_core.domain.errors import InvalidInput
from trading_core.indicators import (
    FloatArray,
    adx,
    atr,
    bollinger,
    donchian,
    drawdown,
    ema,
    macd,
    obv,
    rate_of_change,
    realised_volatility,
    rsi,
    sma,
    true_range,
    zscore,
)

# The worked examples of StockCharts' ChartSchool (QQQQ closes and their 14-day RSI; INTC closes and their 10-day EMA).
RSI_CLOSES = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328, 45.6140,
    46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548,
    44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
]  # fmt: skip
RSI_14 = [
    70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87, 45.46, 37.30,
    33.08, 37.77,
]  # fmt: skip
EMA_CLOSES = [
    22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38, 22.61, 23.36, 24.05, 23.75,
    23.83, 23.95, 23.63,
]  # fmt: skip
EMA_10 = [22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34]

Candles = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
Indicator = Callable[[Candles], FloatArray]

# Short periods, so that small examples get past the warm-up: name, first index with a value, function of the candles.
INDICATORS: dict[str, tuple[int, Indicator]] = {
    "sma": (4, lambda c: sma(c[2], 5)),
    "ema": (4, lambda c: ema(c[2], 5)),
    "rsi": (4, lambda c: rsi(c[2], 4)),
    "rate_of_change": (3, lambda c: rate_of_change(c[2], 3)),
    "drawdown": (0, lambda c: drawdown(c[2])),
    "drawdown from highs": (0, lambda c: drawdown(c[2], c[0])),
    "true_range": (1, lambda c: true_range(c[0], c[1], c[2])),
    "atr": (4, lambda c: atr(c[0], c[1], c[2], 4)),
    "+di": (4, lambda c: adx(c[0], c[1], c[2], 4).plus_di),
    "-di": (4, lambda c: adx(c[0], c[1], c[2], 4).minus_di),
    "adx": (7, lambda c: adx(c[0], c[1], c[2], 4).adx),
    "macd": (5, lambda c: macd(c[2], 3, 6, 4).line),
    "macd signal": (8, lambda c: macd(c[2], 3, 6, 4).signal),
    "macd histogram": (8, lambda c: macd(c[2], 3, 6, 4).histogram),
    "bollinger upper": (8, lambda c: bollinger(c[2], 9).upper),
    "bollinger lower": (8, lambda c: bollinger(c[2], 9).lower),
    "percent b": (8, lambda c: bollinger(c[2], 9).percent_b),
    "bandwidth": (8, lambda c: bollinger(c[2], 9).bandwidth),
    "donchian upper": (5, lambda c: donchian(c[0], c[1], 5).upper),
    "donchian lower": (5, lambda c: donchian(c[0], c[1], 5).lower),
    "realised_volatility": (9, lambda c: realised_volatility(c[2], 9, 365)),
    "obv": (0, lambda c: obv(c[2], c[3])),
    "zscore": (8, lambda c: zscore(c[3], 9)),
}
UNITLESS = ["rsi", "rate_of_change", "drawdown", "+di", "-di", "adx", "bandwidth", "realised_volatility"]
IN_PRICE = ["sma", "ema", "true_range", "atr", "macd", "macd signal", "bollinger upper", "donchian upper", "donchian lower"]


def candles_of(rows: list[tuple[float, float, float, float]]) -> Candles:
    """Highs, lows, closes and volumes from (close, upper wick, lower wick, volume) rows."""
    close = np.array([row[0] for row in rows])
    high = np.array([max(row[0], row[0] * (1 + row[1])) for row in rows])
    low = np.array([min(row[0], row[0] * (1 - row[2])) for row in rows])
    return high, low, close, np.array([row[3] for row in rows])


def walk(length: int, seed: int = 7) -> Candles:
    """A seeded random walk with wicks."""
    source = random.Random(seed)
    price, rows = 100.0, []
    for _ in range(length):
        price *= math.exp(source.gauss(0, 0.02))
        rows.append((price, source.random() * 0.02, source.random() * 0.02, source.random() * 50))
    return candles_of(rows)


wick = st.floats(0, 0.5)
row = st.tuples(st.floats(0.01, 1e6), wick, wick, st.floats(0, 1e6))
# Each of these properties looks at every indicator, and candles cost more to find than all of them to work out.
few = settings(max_examples=35)
candles = st.lists(row, min_size=1, max_size=40).map(candles_of)


def wilder(values: list[float], period: int) -> list[float]:
    """Wilder's smoothing as he did it by hand: a running sum that loses one period-th and gains the new value."""
    total = math.fsum(values[:period])
    averages = [total / period]
    for value in values[period:]:
        total = total - total / period + value
        averages.append(total / period)
    return averages


def after_warm_up(series: FloatArray, first: int) -> list[float]:
    assert np.isnan(series[:first]).all()
    assert np.isfinite(series[first:]).all()
    return [float(value) for value in series[first:]]


def test_rsi_gives_the_published_example() -> None:
    assert after_warm_up(rsi(RSI_CLOSES, 14), 14) == pytest.approx(RSI_14, abs=0.0051)


def test_ema_gives_the_published_example() -> None:
    assert after_warm_up(ema(EMA_CLOSES, 10), 9) == pytest.approx(EMA_10, abs=0.0051)


def test_rsi_agrees_with_the_ratio_form() -> None:
    _, _, close, _ = walk(120)
    changes = [b - a for a, b in zip(close[:-1].tolist(), close[1:].tolist(), strict=True)]
    gains = wilder([max(change, 0.0) for change in changes], 14)
    losses = wilder([max(-change, 0.0) for change in changes], 14)
    expected = [100 - 100 / (1 + gain / loss) for gain, loss in zip(gains, losses, strict=True)]
    assert after_warm_up(rsi(close, 14), 14) == pytest.approx(expected, rel=1e-9)


def reference_ranges(high: FloatArray, low: FloatArray, close: FloatArray) -> list[float]:
    return [max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1])).item() for i in range(1, len(close))]


def test_atr_agrees_with_running_sums() -> None:
    high, low, close, _ = walk(120)
    expected = wilder(reference_ranges(high, low, close), 14)
    assert after_warm_up(atr(high, low, close, 14), 14) == pytest.approx(expected, rel=1e-9)


def test_adx_agrees_with_running_sums() -> None:
    high, low, close, _ = walk(150)
    plus, minus = [], []
    for i in range(1, len(close)):
        up, down = float(high[i] - high[i - 1]), float(low[i - 1] - low[i])
        plus.append(up if up > down and up > 0 else 0.0)
        minus.append(down if down > up and down > 0 else 0.0)
    ranges = wilder(reference_ranges(high, low, close), 14)
    plus_di = [100 * dm / tr for dm, tr in zip(wilder(plus, 14), ranges, strict=True)]
    minus_di = [100 * dm / tr for dm, tr in zip(wilder(minus, 14), ranges, strict=True)]
    dx = [100 * abs(p - m) / (p + m) for p, m in zip(plus_di, minus_di, strict=True)]

    found = adx(high, low, close, 14)
    assert after_warm_up(found.plus_di, 14) == pytest.approx(plus_di, rel=1e-9)
    assert after_warm_up(found.minus_di, 14) == pytest.approx(minus_di, rel=1e-9)
    assert after_warm_up(found.adx, 27) == pytest.approx(wilder(dx, 14), rel=1e-9)


def test_macd_agrees_with_weights_written_out() -> None:
    _, _, close, _ = walk(90)

    def average(values: list[float], period: int) -> float:
        keep = 1 - 2 / (period + 1)
        tail = values[period:]
        seed = statistics.fmean(values[:period]) * keep ** len(tail)
        return seed + math.fsum((1 - keep) * keep ** (len(tail) - 1 - i) * value for i, value in enumerate(tail))

    closes = close.tolist()
    line = [average(closes[: i + 1], 12) - average(closes[: i + 1], 26) for i in range(25, 90)]
    signal = average(line, 9)
    found = macd(close)
    assert after_warm_up(found.line, 25) == pytest.approx(line, rel=1e-9)
    assert found.signal[-1] == pytest.approx(signal, rel=1e-9)
    assert found.histogram[-1] == pytest.approx(line[-1] - signal, rel=1e-9)
    after_warm_up(found.signal, 33)


def test_windowed_statistics_agree_with_the_standard_library() -> None:
    high, low, close, volume = walk(60)
    bands, channel = bollinger(close, 20, 2.5), donchian(high, low, 20)
    volatility, score = realised_volatility(close, 20, 8760), zscore(volume, 20)
    for i in range(20, 60):
        window = close[i - 19 : i + 1].tolist()
        mean, deviation = statistics.fmean(window), statistics.pstdev(window)
        assert sma(close, 20)[i] == pytest.approx(mean, rel=1e-12)
        assert bands.upper[i] == pytest.approx(mean + 2.5 * deviation, rel=1e-12)
        assert bands.lower[i] == pytest.approx(mean - 2.5 * deviation, rel=1e-12)
        assert bands.percent_b[i] == pytest.approx((close[i] - mean) / (5 * deviation) + 0.5, rel=1e-9)
        assert bands.bandwidth[i] == pytest.approx(5 * deviation / mean, rel=1e-9)
        assert channel.upper[i] == max(high[i - 20 : i])
        assert channel.lower[i] == min(low[i - 20 : i])
        returns = [math.log(close[j] / close[j - 1]) for j in range(i - 19, i + 1)]
        assert volatility[i] == pytest.approx(100 * statistics.stdev(returns) * math.sqrt(8760), rel=1e-9)
        traded = volume[i - 19 : i + 1].tolist()
        assert score[i] == pytest.approx((traded[-1] - statistics.fmean(traded)) / statistics.pstdev(traded), rel=1e-9)


def test_donchian_leaves_the_present_bar_out() -> None:
    channel = donchian([1.0, 2.0, 3.0, 9.0], [1.0, 2.0, 3.0, 0.5], 3)
    assert channel.upper[3] == 3.0
    assert channel.lower[3] == 1.0


def test_small_examples_by_hand() -> None:
    assert obv([10, 11, 11, 9, 10], [5, 7, 100, 3, 2]).tolist() == [0, 7, 7, 4, 6]
    assert drawdown([100, 80, 120, 90]).tolist() == pytest.approx([0, 20, 0, 25])
    assert drawdown([100, 80], [125, 90]).tolist() == pytest.approx([20, 36])
    assert rate_of_change([100, 110, 99], 1)[1:].tolist() == pytest.approx([10, -10])
    # A gap counts from the previous close, on both sides.
    assert true_range([10, 15, 8], [9, 14, 7], [10, 14, 7])[1:].tolist() == [5, 7]


@few
@given(data=candles)
def test_values_do_not_depend_on_later_bars(data: Candles) -> None:
    for name, (_, indicator) in INDICATORS.items():
        whole = indicator(data)
        for length in range(1, len(whole) + 1):
            high, low, close, volume = (column[:length] for column in data)
            # To the last bit: a decision on the edge must not turn on how much history follows.
            np.testing.assert_array_equal(indicator((high, low, close, volume)), whole[:length], err_msg=name)


@few
@given(data=candles)
def test_nan_exactly_while_warming_up(data: Candles) -> None:
    for name, (first, indicator) in INDICATORS.items():
        result = indicator(data)
        assert len(result) == len(data[0]), name
        after_warm_up(result, first)


@pytest.mark.parametrize("name", INDICATORS)
@few
@given(price=st.floats(0.01, 1e6), volume=st.floats(0, 1e6))
def test_constant_series(name: str, price: float, volume: float) -> None:
    first, indicator = INDICATORS[name]
    expected = {"rsi": 50.0, "percent b": 0.5}.get(name, 0.0)
    if name in {"sma", "ema", "bollinger upper", "bollinger lower", "donchian upper", "donchian lower"}:
        expected = price
    data = candles_of([(price, 0.0, 0.0, volume)] * 30)
    assert set(after_warm_up(indicator(data), first)) == {expected}


@pytest.mark.parametrize("name", UNITLESS + IN_PRICE)
@few
@given(data=candles, factor=st.sampled_from([2.0**-20, 0.5, 8.0, 2.0**20]))
def test_scale_of_prices(name: str, data: Candles, factor: float) -> None:
    _, indicator = INDICATORS[name]
    high, low, close, volume = data
    scaled = indicator((high * factor, low * factor, close * factor, volume))
    expected = indicator(data) * (factor if name in IN_PRICE else 1.0)
    np.testing.assert_allclose(scaled, expected, rtol=1e-9, atol=1e-9 * (factor if name in IN_PRICE else 1.0))


@given(data=candles)
def test_bounds(data: Candles) -> None:
    high, low, close, volume = data
    movement = adx(high, low, close, 4)
    for name, series, top in (
        ("rsi", rsi(close, 4), 100.0),
        ("adx", movement.adx, 100.0),
        ("+di", movement.plus_di, 100.0 + 1e-9),
        ("-di", movement.minus_di, 100.0 + 1e-9),
        ("drawdown", drawdown(close, high), 100.0),
        ("atr", atr(high, low, close, 4), math.inf),
        ("realised_volatility", realised_volatility(close, 9, 365), math.inf),
    ):
        seen = series[~np.isnan(series)]
        assert ((seen >= 0) & (seen <= top)).all(), name
    bands, channel = bollinger(close, 9), donchian(high, low, 5)
    warm = ~np.isnan(bands.middle)
    assert (bands.lower[warm] <= bands.middle[warm]).all()
    assert (bands.middle[warm] <= bands.upper[warm]).all()
    assert (channel.lower[5:] <= channel.upper[5:]).all()
    score = zscore(volume, 9)[8:]
    assert (np.abs(score) <= math.sqrt(8) + 1e-9).all()


def test_extremes_of_rsi_and_direction() -> None:
    rising = np.arange(1.0, 41.0)
    assert rsi(rising, 14)[-1] == 100
    assert rsi(rising[::-1], 14)[-1] == 0
    up = adx(rising + 0.5, rising - 0.5, rising, 14)
    assert up.adx[-1] == pytest.approx(100)
    assert up.plus_di[-1] > up.minus_di[-1] == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: sma([1, 2], 0),
        lambda: ema([1, float("nan")], 1),
        lambda: ema(np.ones((2, 2)), 1),
        lambda: rsi([1, 2], -1),
        lambda: macd([1, 2], 26, 12),
        lambda: atr([1, 2], [1], [1, 2]),
        lambda: adx([1, 2], [1], [1, 2]),
        lambda: donchian([1, 2], [1], 1),
        lambda: drawdown([1, 2], [1]),
        lambda: obv([1, 2], [1]),
        lambda: bollinger([1, 2], 2, 0),
        lambda: rate_of_change([1, 0], 1),
        lambda: realised_volatility([1, 2], 1, 365),
        lambda: realised_volatility([1, 2], 2, 0),
        lambda: realised_volatility([1, -2], 2, 365),
    ],
)
def test_meaningless_input_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        call()


@pytest.mark.parametrize("name", INDICATORS)
def test_an_empty_series_gives_an_empty_one(name: str) -> None:
    empty = np.array([])
    assert INDICATORS[name][1]((empty, empty, empty, empty)).size == 0
