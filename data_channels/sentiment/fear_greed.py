"""The Fear & Greed index of alternative.me: one number a day for the mood of the whole market.

`GET /fng/` (https://alternative.me/crypto/fear-and-greed-index/#api), no key. The reading is `market_fear_greed` in `points`, 0
(extreme fear) to 100 (extreme greed). Values and times come as texts.

The index says nothing of a single asset: it is made from Bitcoin's volatility, volume, dominance and talk. Whoever decides on a
symbol asks for that symbol's readings, so each symbol gets the same reading, and its name says that it is the market's.

A day's value is set at 00:00 UTC from what came before, and its timestamp is that midnight: observed and published then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.sentiment.fields import unix_instant
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

BASE_URL = "https://api.alternative.me"
PATH = "/fng/"


class FearGreed:
    """The source of the market's mood."""

    name = "fear-greed"
    kind = Kind.SENTIMENT
    pace = Pace(every=timedelta(hours=1), stale_after=timedelta(hours=26), per_minute=30)
    wants = ""

    def __init__(self, *, base_url: str = BASE_URL, timeout: float = 15.0) -> None:
        self._service = JsonService(self.name, base_url, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """The newest value, for each symbol."""
        if not symbols:
            return ()
        answer = await self._service.get(PATH, {"limit": "1", "format": "json"}, now=now)
        metadata = answer.optional("metadata")
        if metadata is not None and metadata.optional("error") is not None:
            self._fail("it reports an error of its own")
        days = answer.field("data").items()
        if not days:
            self._fail("it has no value")
        value = days[0].field("value").number()
        if not 0 <= value <= 100:
            self._fail("data[0].value is not within 0 and 100")
        at = unix_instant(days[0].field("timestamp"))
        return [Reading(self.name, symbol, "market_fear_greed", value, "points", at, at) for symbol in dict.fromkeys(symbols)]

    async def close(self) -> None:
        await self._service.close()

    def _fail(self, why: str) -> NoReturn:
        raise ChannelUnavailable(f"{self.name} {PATH}: {why}", not_done="Nothing of this answer was used")
