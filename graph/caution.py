"""Being more careful when less is known. Rules, not opinions: no model can talk the desk out of them.

Sources that are not configured are not missed. Those that are, and are all silent, old or in doubt, halve what a fresh entry may
lose. A price that other sources contradict is not entered on at all; leaving is always possible.
"""

from __future__ import annotations

from decimal import Decimal

from trading_core.domain.market import ReadingState
from trading_core.domain.money import ONE
from trading_core.domain.snapshot import Snapshot

BLIND = Decimal("0.5")
"""Share of the ordinary risk of an entry while every channel that is on says nothing that can be relied on."""


def share_of_risk(snapshot: Snapshot, symbol: str) -> Decimal:
    """What share of the ordinary risk an entry may take, by what is known besides the market."""
    reports = [report for key, report in snapshot.channels.items() if key.endswith(f":{symbol}")]
    on = [report for report in reports if report.state is not ReadingState.OFF]
    relied_on = [report for report in on if report.state is not ReadingState.STALE and report.readings]
    return BLIND if on and not relied_on else ONE


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
