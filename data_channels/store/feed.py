"""Past bars from the store: what backtests and replays read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from data_channels.market.filters import inferred_instrument, price_decimals
from data_channels.market.series import BarSeries, SeriesFeed
from data_channels.store.base import BarKey, TimeSeriesStore
from trading_core.domain.errors import UnknownSymbol
from trading_core.domain.market import Timeframe


class StoredFeed(SeriesFeed):
    """A `MarketFeed` over the bars of one venue and length in the store, all in memory.

    The store does not know tick size, lot size or fees: these are assumed from each first bar (see `market/filters.py`).
    """

    @classmethod
    async def load(
        cls,
        store: TimeSeriesStore,
        venue: str,
        timeframe: Timeframe,
        *,
        symbols: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> StoredFeed:
        """Read the bars that closed in `(start, end]`, of `symbols` or of all there are.

        Raises:
            UnknownSymbol: a symbol without a bar there; says which ones have some.
            StoreUnavailable: the database failed.
        """
        keys = [span.key for span in await store.bar_spans()]
        held = [key.symbol for key in keys if key.venue == venue and key.timeframe == timeframe]
        since, until = start or datetime.min.replace(year=1970, tzinfo=UTC), end or datetime.max.replace(tzinfo=UTC)
        series: dict[str, BarSeries] = {}
        for symbol in held if symbols is None else dict.fromkeys(symbols):
            bars = await store.bars_between(BarKey(venue, symbol, timeframe), start=since, end=until)
            if bars:
                instrument = inferred_instrument(symbol, price=bars[0].open, decimals=price_decimals(bars[0]))
                series[symbol] = BarSeries(instrument, timeframe, bars)
        missing = [symbol for symbol in symbols or () if symbol not in series]
        if missing or not series:
            raise UnknownSymbol(
                f"{store.name} has no {timeframe} bars of {', '.join(map(repr, missing)) or 'any market'} from {venue} then",
                not_done="Nothing was loaded",
                next_step=f"There are {', '.join(map(str, keys))}" if keys else "`algotrendy data import` or `fetch` brings some",
            )
        return cls(f"store ({venue}, {timeframe})", timeframe, series, generated=False)
