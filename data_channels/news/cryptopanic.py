"""CryptoPanic: the newest headlines about an asset, as numbers.

`GET /posts/` of the developer API v2 (https://cryptopanic.com/developers/api/), one request for all symbols. The plan's name is
part of the address. The service wants its key in the query, where `JsonService` keeps it out of logs and errors.

Headlines are scored and damped like posts, with the publisher as the author: a publisher counts once for each asset in the
window, however many stories it runs, and a story that others copied counts once. What a headline is about the service says
itself: in `instruments` (v2) or `currencies` (v1); a headline with neither is searched for names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.sentiment.damping import NEWS, Rules
from data_channels.sentiment.fields import iso_instant
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import Scorer
from data_channels.symbols import base_of
from data_channels.untrusted import Quoted
from trading_core.domain.market import Reading

BASE_URL = "https://cryptopanic.com/api/developer/v2"
PATH = "/posts/"
WANTS = "cryptopanic-api-key"


class CryptoPanic:
    """The source of headlines.

    Args:
        key: the plan's `auth_token`; without one the source is off.
    """

    name = "cryptopanic"
    kind = Kind.NEWS
    pace = Pace(every=timedelta(minutes=15), stale_after=timedelta(hours=1), per_minute=10)

    def __init__(
        self,
        key: SecretStr | None,
        scorer: Scorer,
        *,
        rules: Rules = NEWS,
        base_url: str = BASE_URL,
        timeout: float = 15.0,
    ) -> None:
        self.wants = "" if key else WANTS
        self.opinions = Opinions(self.name, scorer, rules)
        self._service = JsonService(self.name, base_url, secret_params={"auth_token": key} if key else {}, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """One request for all symbols. An asset that no headline names has `mentions` 0."""
        asked = list(dict.fromkeys(symbols))
        if not asked:
            return ()
        currencies = ",".join(sorted({base_of(symbol) for symbol in asked}))
        answer = await self._service.get(PATH, {"currencies": currencies, "public": "true"}, now=now)
        posts = [_headline(item) for item in answer.field("results").items()]
        return await self.opinions.readings(posts, asked, now=now)

    def quotes(self, symbol: str) -> tuple[Quoted, ...]:
        """The newest headlines about a symbol, for people to look at; never for an agent."""
        return self.opinions.quotes(symbol)

    async def close(self) -> None:
        await self._service.close()


def _headline(item: Node) -> Post:
    return Post(
        id=str(item.field("id").integer()),
        author=_publisher(item),
        text=item.field("title").text(),
        at=iso_instant(item.field("published_at")),
        bases=_about(item),
    )


def _publisher(item: Node) -> str:
    """The domain that published it; empty, and then one voice with all others unnamed, where the plan does not tell."""
    domain = item.optional("domain")
    if domain is None and (source := item.optional("source")) is not None:
        domain = source.optional("domain")
    return domain.text() if domain is not None else ""


def _about(item: Node) -> frozenset[str] | None:
    named = item.optional("instruments") or item.optional("currencies")
    return frozenset(code.field("code").text().upper() for code in named.items()) if named is not None else None
