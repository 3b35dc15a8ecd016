"""Readings and bars for the tests of the time series store, and what a store must tell of them, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from data_channels.store.base import BarKey, ReadingKey
from trading_core.domain.market import Bar, Reading, Timeframe

D = Decimal
BTC = "BTC/USDT"
HOUR = Timeframe("1h")
KEY = BarKey("binance", BTC, HOUR)
GREED = ReadingKey("fng", BTC, "greed")
T0 = datetime(2024, 1, 31, 20, 0, tzinfo=UTC)  # near the end of a month: partitions change soon after


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def reading(
    published: float, value: str | Decimal = "1", *, observed: float | None = None, key: ReadingKey = GREED, **more: object
) -> Reading:
    """A reading published so many minutes after `T0`, and observed then unless it says otherwise."""
    when = at(published if observed is None else observed)
    given: dict[str, object] = {"unit": "points", "observed_at": when, "published_at": at(published), **more}
    return Reading(source=key.source, symbol=key.symbol, name=key.name, value=D(value), **given)


def bar(hour: int, close: str | Decimal = "100.5", *, volume: str = "3.25") -> Bar:
    """The bar that opens so many hours after `T0`."""
    price = D(close)
    return Bar(at(60 * hour), price, price + 1, price - 1, price, D(volume))


def newest(readings: Iterable[Reading], as_of: datetime) -> dict[ReadingKey, Reading]:
    """Of each series the newest observation that was public, as published last."""
    found: dict[ReadingKey, Reading] = {}
    for each in sorted(readings, key=lambda each: (each.observed_at, each.published_at)):
        if each.published_at <= as_of:
            found[ReadingKey(each.source, each.symbol, each.name)] = each
    return found


def distinct(readings: Iterable[Reading]) -> list[Reading]:
    """What is left when the last of several under one key counts."""
    kept = {(each.source, each.symbol, each.name, each.published_at, each.observed_at): each for each in readings}
    return list(kept.values())


VALUES = st.decimals(min_value=-1000, max_value=1000, places=6)


@st.composite
def some_readings(draw: st.DrawFn, *, symbol: str = BTC, most: int = 25) -> list[Reading]:
    """Readings of a few series over three days and three more a week later, late and revised ones among them."""
    made = []
    for _ in range(draw(st.integers(1, most))):
        published = draw(st.integers(0, 3 * 24 * 60)) + draw(st.sampled_from([0, 0, 9])) * 24 * 60
        delay = draw(st.sampled_from([0, 1, 45, 60, 24 * 60]))
        key = ReadingKey(draw(st.sampled_from(["a", "b"])), symbol, draw(st.sampled_from(["x", "y"])))
        made.append(reading(published, draw(VALUES), observed=published - delay, key=key))
    return made
