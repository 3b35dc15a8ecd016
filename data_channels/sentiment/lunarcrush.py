"""LunarCrush: posts about an asset from many networks, scored by the service, and its own two indices.

API v4 (https://lunarcrush.com/developers/api/endpoints), bearer key, two requests for each symbol. Readings beside `sentiment`
and `mentions` (see `opinions.py`):

| name | unit | what |
| --- | --- | --- |
| `galaxy_score` | `points` | 0 to 100: price and social activity against the asset's own past, higher is better |
| `alt_rank` | `rank` | 1 is best: the asset among all others by price and social activity |

`GET /public/coins/:coin/v1` has the indices, `GET /public/topic/:topic/posts/v1` the posts with a `post_sentiment`, whose 1 to 5
become −1 to 1. The posts' own scores are kept, but copies, bots and pump talk are damped as everywhere.

The smallest plan has 10 requests a minute and 2 000 a day. A round every 15 minutes leaves room for ten symbols a day, and
the minute for five a round: symbols beyond that have no readings here, unless the plan allows more (`per_minute`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.sentiment.damping import PEOPLE, Rules
from data_channels.sentiment.fields import unix_instant
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import Score, Scorer
from data_channels.symbols import base_of, known_by
from data_channels.untrusted import Quoted
from trading_core.domain.errors import ChannelUnavailable
from trading_core.domain.market import Reading

BASE_URL = "https://lunarcrush.com/api4"
WANTS = "lunarcrush-api-key"

TOPICS = {
    "AAVE": "aave",
    "ADA": "cardano",
    "ALGO": "algorand",
    "AVAX": "avalanche",
    "BCH": "bitcoin cash",
    "BTC": "bitcoin",
    "DOGE": "dogecoin",
    "DOT": "polkadot",
    "ETH": "ethereum",
    "HBAR": "hedera",
    "LINK": "chainlink",
    "LTC": "litecoin",
    "SHIB": "shiba inu",
    "SOL": "solana",
    "SUI": "sui",
    "TRX": "tron",
    "UNI": "uniswap",
    "XLM": "stellar",
    "XMR": "monero",
    "XRP": "xrp",
}
"""Assets by the topic that their posts are under."""

_REQUESTS_A_SYMBOL = 2
_FULL_CONFIDENCE = 1.0  # the service has read the whole post


class LunarCrush:
    """The source of LunarCrush's posts and indices.

    Args:
        key: an API key; without one the source is off.
        per_minute: requests the plan allows a minute; half as many symbols are asked about in a round.
    """

    name = "lunarcrush"
    kind = Kind.SENTIMENT

    def __init__(
        self,
        key: SecretStr | None,
        scorer: Scorer,
        *,
        per_minute: int = 10,
        rules: Rules = PEOPLE,
        base_url: str = BASE_URL,
        timeout: float = 15.0,
    ) -> None:
        self.wants = "" if key else WANTS
        self.pace = Pace(timedelta(minutes=15), stale_after=timedelta(hours=1), per_minute=per_minute, timeout=60.0)
        self.opinions = Opinions(self.name, scorer, rules)
        self._most_symbols = max(per_minute // _REQUESTS_A_SYMBOL, 1)
        headers = {"Authorization": SecretStr(f"Bearer {key.get_secret_value()}")} if key else {}
        self._service = JsonService(self.name, base_url, secret_headers=headers, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """Indices and opinions of the first symbols it knows, as many as the plan allows a minute."""
        asked = dict(list(known_by(symbols, TOPICS).items())[: self._most_symbols])
        readings: list[Reading] = []
        posts: dict[str, Post] = {}
        for symbol, topic in asked.items():
            base = base_of(symbol)
            readings += self._indices(symbol, await self._service.get(f"/public/coins/{base.lower()}/v1", now=now), now)
            answer = await self._service.get(f"/public/topic/{topic}/posts/v1", now=now)
            for item in answer.field("data").items():
                post = _post(item)
                # A post about two assets stands under both topics: it is one post, and no copy of itself.
                before = posts.get(post.id, post).bases or frozenset()
                posts[post.id] = replace(post, bases=before | {base})
        return [*readings, *await self.opinions.readings(list(posts.values()), list(asked), now=now)]

    def quotes(self, symbol: str) -> tuple[Quoted, ...]:
        """The newest posts about a symbol, for people to look at; never for an agent."""
        return self.opinions.quotes(symbol)

    async def close(self) -> None:
        await self._service.close()

    def _indices(self, symbol: str, answer: Node, now: datetime) -> list[Reading]:
        at = min(answer.field("config").field("generated").instant(), now)
        found: list[Reading] = []
        for name, unit, lowest, highest in (("galaxy_score", "points", 0, 100), ("alt_rank", "rank", 1, 1_000_000)):
            told = answer.field("data").optional(name)
            if told is None:
                continue  # an asset that is new there has none yet
            value = told.number()
            if not lowest <= value <= highest:
                raise _outside(told)
            found.append(Reading(self.name, symbol, name, value, unit, at, now))
        return found


def _post(item: Node) -> Post:
    return Post(
        id=item.field("id").text(),
        author=item.field("creator_id").text(),
        text=item.field("post_title").text(),
        at=unix_instant(item.field("post_created")),
        score=_rated(item.optional("post_sentiment")),
    )


def _rated(stars: Node | None) -> Score | None:
    """The service's own score; a post that it did not rate is left to the scorer."""
    if stars is None:
        return None
    value = float(stars.number())
    if not 1 <= value <= 5:
        raise _outside(stars)
    return Score((value - 3) / 2, _FULL_CONFIDENCE)


def _outside(node: Node) -> ChannelUnavailable:
    return ChannelUnavailable(
        f"{node.service} {node.path}: {node.place} is outside its range", not_done="Nothing of this answer was used"
    )
