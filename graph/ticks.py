"""When the cycles of a session run: at each close of a bar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from data_channels.market.grid import ceil_to_grid
from data_channels.market.series import SeriesFeed
from graph.config import SessionConfig
from trading_core.domain.clock import iso
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import MarketFeed

DEFAULT_START = datetime(2025, 3, 3, tzinfo=UTC)  # of synthetic markets; any instant would do
DEFAULT_CYCLES = 24


def ticks(config: SessionConfig, feed: MarketFeed) -> Iterator[datetime]:
    """Every instant of a simulated session, in order.

    Raises:
        ConfigurationError: the data does not reach into the asked time.
    """
    length = config.bars.length
    start, end = config.start or DEFAULT_START, config.end
    if config.market == "history" and isinstance(feed, SeriesFeed):
        spans = [feed.span(symbol) for symbol in config.symbols]
        first, last = min(span[0] for span in spans) + length, max(span[1] for span in spans)
        end = min(end, last) if end else last
        cycles = config.cycles or (DEFAULT_CYCLES if config.start is None else None)
        start = config.start or (max(first, end - (cycles - 1) * length) if cycles else first)
        start = max(start, first)
        if start > end:
            raise ConfigurationError(
                f"the data reaches from {iso(first)} to {iso(last)}",
                not_done="Nothing was run",
                next_step="Choose a time within it",
            )
    else:
        cycles = config.cycles or (None if end else DEFAULT_CYCLES)
    tick, made = ceil_to_grid(start, config.bars), 0
    while (end is None or tick <= end) and (cycles is None or made < cycles):
        yield tick
        tick, made = tick + length, made + 1
