"""Holes in a market's tape, closed with the newest trades that REST tells."""

from __future__ import annotations

import asyncio

from data_channels.market.streaming.health import StreamMetrics
from data_channels.market.streaming.market import StreamedMarket
from data_channels.market.streaming.venues import StreamProfile
from data_channels.market.venue_client import Exchange, brief
from trading_core.domain.clock import Clock

_REORDER_SECONDS = 0.2  # for a trade that another has overtaken
_PAGES = 4  # asked for until a hole is given up
_PAGE_SECONDS = 1.0  # between them: a venue's REST may be behind its streams


class Filler:
    """Asks for what is missing, in the background, once for each market at a time.

    Args:
        exchange: asked.
        profile: how many trades the venue gives at once.
        clock: waits are on it.
        metrics: counted in.

    Attributes:
        why: what the venue said when it last gave no page.
    """

    def __init__(self, exchange: Exchange, profile: StreamProfile, clock: Clock, metrics: StreamMetrics) -> None:
        self.why = ""
        self._exchange = exchange
        self._profile = profile
        self._clock = clock
        self._metrics = metrics
        self._asking: dict[str, asyncio.Task[None]] = {}

    def look(self, market: StreamedMarket) -> None:
        """Begin to ask, if something is missing."""
        if market.tape.hole is not None and market.symbol not in self._asking:
            self._asking[market.symbol] = asyncio.create_task(self._close_holes(market))

    async def stop(self) -> None:
        """Ask no more; what is missing stays so."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        self._asking.clear()

    async def _close_holes(self, market: StreamedMarket) -> None:
        try:
            while (hole := market.tape.hole) is not None:
                if hole.after is not None:
                    await self._clock.sleep(_REORDER_SECONDS)
                    if market.tape.hole is None:
                        return
                    self._metrics.gaps += 1
                await self._ask_for(market)
        finally:
            self._asking.pop(market.symbol, None)

    async def _ask_for(self, market: StreamedMarket) -> None:
        """Ask for pages until one reaches up to the stream; without one the hole is given up."""
        for page in range(_PAGES):
            if page:
                await self._clock.sleep(_PAGE_SECONDS)
            try:
                params = dict(self._profile.page_params)
                rows = await self._exchange.fetch_trades(market.symbol, None, self._profile.page, params)
                if market.filled(rows):
                    return
            except Exception as error:  # bars over the hole are then the venue's own
                self.why = brief(error)
        market.give_up()
