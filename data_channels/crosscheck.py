"""Catches a source or a venue that lies: readings that cannot be, and prices that contradict the others.

Pure functions. The hub keeps what cannot be out of its memory, and prices in doubt out of its reports; both are named.

With three prices or more the odd ones out are those further than the limit from the median, as long as most are near it: a median
stays among the honest as long as they are most. Where no majority agrees, and between two that differ, nobody can tell who lies,
and all of them are in doubt.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from data_channels.symbols import DOLLARS, quote_of
from trading_core.domain.market import Reading, Ticker

PRICE = "price"
"""The name of readings that can be compared with each other and with a venue's last price."""

LIMIT = Decimal("0.05")
CLOCK_ALLOWANCE = timedelta(seconds=30)
"""How far another clock may run ahead of the desk's."""

_BOUNDS: dict[str, tuple[Decimal | None, Decimal | None]] = {
    "score": (Decimal(-1), Decimal(1)),
    "points": (Decimal(0), Decimal(100)),
    "share": (Decimal(0), Decimal(1)),
    "count": (Decimal(0), None),
    "ratio": (None, None),
    "percent": (Decimal(-100), None),
}
_AMOUNT = (Decimal(0), None)


class Doubt(StrEnum):
    """What is wrong; in brackets what `Finding.by` counts."""

    FUTURE = "future"  # dated later than it is (seconds)
    BACKDATED = "backdated"  # published before it was so (seconds)
    OLD = "old"  # told as new, but it was so longer ago than the source's readings are good for (seconds)
    IMPOSSIBLE = "impossible"  # outside what its unit allows (the value)
    CONTRADICTED = "contradicted"  # a price off the others (a fraction of theirs)


@dataclass(frozen=True, slots=True)
class Finding:
    """A value in doubt: whose, of what, what is wrong with it, and by how much."""

    source: str
    symbol: str
    name: str
    doubt: Doubt
    by: Decimal

    def __str__(self) -> str:
        match self.doubt:
            case Doubt.FUTURE:
                what = f"is dated {self.by:.0f} s in the future"
            case Doubt.BACKDATED:
                what = f"was published {self.by:.0f} s before it was so"
            case Doubt.OLD:
                what = f"is {self.by:.0f} s old, though told as new"
            case Doubt.IMPOSSIBLE:
                what = f"cannot be: {self.by:.6g}"
            case Doubt.CONTRADICTED:
                what = f"is {self.by:.1%} off the others"
        return f"{self.source}: {self.name} of {self.symbol} {what}"


def examined(
    reading: Reading, *, now: datetime, stale_after: timedelta, allowance: timedelta = CLOCK_ALLOWANCE
) -> Finding | None:
    """What is wrong with a reading by itself; None when nothing is.

    Args:
        now: when it came.
        stale_after: how long readings of its source are good for.
        allowance: how far its times may lie ahead.
    """
    ahead = max(reading.observed_at, reading.published_at) - now
    if ahead > allowance:
        return _finding(reading, Doubt.FUTURE, _seconds(ahead))
    if reading.observed_at - reading.published_at > allowance:
        return _finding(reading, Doubt.BACKDATED, _seconds(reading.observed_at - reading.published_at))
    if not _possible(reading):
        return _finding(reading, Doubt.IMPOSSIBLE, reading.value)
    if now - reading.published_at <= stale_after < reading.published_at - reading.observed_at:
        return _finding(reading, Doubt.OLD, _seconds(now - reading.observed_at))
    return None


def contradictions(prices: Iterable[Reading], *, limit: Decimal = LIMIT) -> tuple[Finding, ...]:
    """Prices of one symbol that the others contradict. Only prices in the same currency are compared.

    Args:
        prices: at most one of each source in each currency, above zero, of about the same time.
        limit: the fraction by which honest prices may differ.
    """
    currencies: dict[str, list[Reading]] = {}
    for price in prices:
        currencies.setdefault(_currency(price.unit), []).append(price)
    return tuple(finding for same in currencies.values() for finding in _contradicted(same, limit))


def last_price(source: str, ticker: Ticker) -> Reading:
    """A venue's last price as a reading, to be compared with others."""
    return Reading(source, ticker.symbol, PRICE, ticker.last, quote_of(ticker.symbol), ticker.at, ticker.at)


def _contradicted(prices: Sequence[Reading], limit: Decimal) -> list[Finding]:
    if len(prices) < 2:
        return []
    # Between two the middle is nobody's price: each is measured by the other, the lower one, which is the stricter.
    middle = min(price.value for price in prices) if len(prices) == 2 else statistics.median(price.value for price in prices)
    off = [abs(price.value - middle) / middle for price in prices]
    far = [share > limit for share in off]
    if not any(far):
        return []
    if len(prices) == 2:
        off, far = [max(off)] * 2, [True] * 2
    elif 2 * sum(far) >= len(prices):
        far = [True] * len(prices)
    return [_finding(price, Doubt.CONTRADICTED, share) for price, share, is_far in zip(prices, off, far, strict=True) if is_far]


def _possible(reading: Reading) -> bool:
    value = reading.value
    if not value.is_finite() or not 0 <= reading.quality <= 1 or reading.count < 0:
        return False
    if reading.spread is not None and not (reading.spread.is_finite() and reading.spread >= 0):
        return False
    if reading.name == PRICE and value <= 0:
        return False
    # A unit in capitals is a currency or a coin, and the value an amount of it.
    least, most = _BOUNDS.get(reading.unit, _AMOUNT if reading.unit.isupper() else (None, None))
    return (least is None or value >= least) and (most is None or value <= most)


def _currency(unit: str) -> str:
    return "USD" if unit in DOLLARS else unit


def _finding(reading: Reading, doubt: Doubt, by: Decimal) -> Finding:
    return Finding(reading.source, reading.symbol, reading.name, doubt, by)


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(milliseconds=1)) / 1000
