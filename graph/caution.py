"""Being more careful when less is known. Rules, not opinions: no model can talk the desk out of them.

Sources that are not configured are not missed. Those that are, and are all silent, old or in doubt, halve what a fresh entry may
lose. A price that other sources contradict, or that the bars before it do not lead up to, is not entered on at all; leaving is
always possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from data_channels.crosscheck import LIMIT
from trading_core.domain.market import Bar, ReadingState, Ticker
from trading_core.domain.money import ONE, ZERO, plain
from trading_core.domain.snapshot import Snapshot

BLIND = Decimal("0.5")
"""Share of the ordinary risk of an entry while every channel that is on says nothing that can be relied on."""


def share_of_risk(snapshot: Snapshot, symbol: str) -> Decimal:
    """What share of the ordinary risk an entry may take, by what is known besides the market."""
    reports = [report for key, report in snapshot.channels.items() if key.endswith(f":{symbol}")]
    on = [report for report in reports if report.state is not ReadingState.OFF]
    relied_on = [report for report in on if report.state is not ReadingState.STALE and report.readings]
    return BLIND if on and not relied_on else ONE


def unlike_bars(ticker: Ticker, bars: Sequence[Bar]) -> str:
    """What is odd about a price, such as the first that a feed gives; empty when it may be so.

    It is in doubt when it lies further from the last close than two honest prices may differ, and than any of the bars moved: a
    market that is wild, or has bars of a day, may move on as it did.

    Args:
        bars: closed ones of the symbol, oldest first.
    """
    if not bars:
        return ""
    close = bars[-1].close
    off = abs(ticker.last - close) / close
    if off <= LIMIT or off <= max((_moved(before, bar) for before, bar in pairwise(bars)), default=ZERO):
        return ""
    return f"{plain(ticker.last)} is {off:.1%} off the last close, {plain(close)}, and none of {len(bars)} bars moved as far"


def _moved(before: Bar, bar: Bar) -> Decimal:
    """The true range of a bar, as a fraction of the close before it (Wilder, 1978)."""
    return (max(bar.high, before.close) - min(bar.low, before.close)) / before.close


def silent(snapshot: Snapshot) -> dict[str, str]:
    """Symbols for which every channel that is on is silent, with why."""
    found = {}
    for symbol in snapshot.symbols:
        if share_of_risk(snapshot, symbol) < ONE:
            reasons = [
                report.reason
                for key, report in snapshot.channels.items()
                if key.endswith(f":{symbol}") and report.state is not ReadingState.OFF and report.reason
            ]
            found[symbol] = " ".join(dict.fromkeys(reasons))
    return found
