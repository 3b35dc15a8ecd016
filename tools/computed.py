"""Numbers over a snapshot's bars that several agents read: worked out when first asked for, once per snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from trading_core.domain.snapshot import Snapshot
from trading_core.indicators.correlation import correlations
from trading_core.indicators.summary import IndicatorSummary, summarise


class Computed:
    """Indicators and correlations of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._indicators: dict[str, IndicatorSummary | None] = {}

    def indicators(self, symbol: str) -> IndicatorSummary | None:
        """Indicators at the last closed bar; None without enough bars."""
        if symbol not in self._indicators:
            bars = self._snapshot.bars.get(symbol, ())
            self._indicators[symbol] = summarise(bars, self._snapshot.timeframe.per_year)
        return self._indicators[symbol]

    @cached_property
    def correlations(self) -> Mapping[frozenset[str], float]:
        """Of returns, by pair of symbols; a pair with too little in common is missing."""
        return correlations(self._snapshot.bars)
