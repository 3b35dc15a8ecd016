"""X: what people posted about an asset in the last hours, as numbers.

`GET /2/tweets/search/recent` (https://docs.x.com/x-api/posts/search/introduction) with a bearer token. One request a round, for
all symbols. The author's account age comes with it, so that new accounts can be left out.

**Every post that is read is paid for**: 0.005 dollars a post, and the authors that come with them 0.010 dollars each
(https://docs.x.com/x-api/getting-started/pricing), but the same post or author only once in a UTC day. With the defaults (50
posts every two hours) a day costs at most 600 × 0.015 = 9 dollars. The budget, not the rate limit, sets the pace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from data_channels.answer import Node
from data_channels.base import Kind, Pace
from data_channels.http import JsonService
from data_channels.sentiment.damping import PEOPLE, Rules
from data_channels.sentiment.fields import iso_instant
from data_channels.sentiment.mentions import NAMES
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import Scorer
from data_channels.symbols import base_of
from data_channels.untrusted import Quoted
from trading_core.domain.market import Reading

BASE_URL = "https://api.x.com"
PATH = "/2/tweets/search/recent"
WANTS = "x-bearer-token"

_LONGEST_QUERY = 512  # characters
_FEWEST, _MOST = 10, 100  # posts a request may ask for


class XApi:
    """The source of posts on X.

    Args:
        token: the app's bearer token; without one the source is off.
        posts: read, and paid for, a round: 10 to 100.
        every: how often; with `posts` it is what a day may cost.
    """

    name = "x"
    kind = Kind.SENTIMENT

    def __init__(
        self,
        token: SecretStr | None,
        scorer: Scorer,
        *,
        posts: int = 50,
        every: timedelta = timedelta(hours=2),
        rules: Rules = PEOPLE,
        base_url: str = BASE_URL,
        timeout: float = 15.0,
    ) -> None:
        self.wants = "" if token else WANTS
        self.pace = Pace(every=every, stale_after=2 * every + timedelta(minutes=30), per_minute=20)
        self.opinions = Opinions(self.name, scorer, rules)
        self._posts = min(max(posts, _FEWEST), _MOST)
        headers = {"Authorization": SecretStr(f"Bearer {token.get_secret_value()}")} if token else {}
        self._service = JsonService(self.name, base_url, secret_headers=headers, timeout=timeout)

    @property
    def requests(self) -> int:
        return self._service.requests

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """One search for all symbols that have a name to search for and fit in a query."""
        query, asked = query_for(symbols)
        if not asked:
            return ()
        answer = await self._service.get(
            PATH,
            {
                "query": query,
                "max_results": str(self._posts),
                "tweet.fields": "author_id,created_at",
                "expansions": "author_id",
                "user.fields": "created_at",
            },
            now=now,
        )
        return await self.opinions.readings(_posts(answer), asked, now=now)

    def quotes(self, symbol: str) -> tuple[Quoted, ...]:
        """The newest posts about a symbol, for people to look at; never for an agent."""
        return self.opinions.quotes(symbol)

    async def close(self) -> None:
        await self._service.close()


def query_for(symbols: Sequence[str]) -> tuple[str, list[str]]:
    """The search that finds these symbols, and those of them it covers: a query is at most 512 characters.

    Assets are searched by name. A bare ticker finds other things, and the `$` operator is not in every plan.
    """
    ending = ") lang:en -is:retweet"
    terms: list[str] = []
    asked: list[str] = []
    for symbol in dict.fromkeys(symbols):
        own = [f'"{name}"' if " " in name else name for name in NAMES.get(base_of(symbol), ())]
        longer = terms + [term for term in own if term not in terms]
        if own and len("(" + " OR ".join(longer) + ending) <= _LONGEST_QUERY:
            terms = longer
            asked.append(symbol)
    return "(" + " OR ".join(terms) + ending, asked


def _posts(answer: Node) -> list[Post]:
    since = _accounts(answer)
    found = answer.optional("data")
    if found is None:
        answer.field("meta").field("result_count").count()  # an answer without posts says so; another one has changed
        return []
    return [
        Post(
            id=post.field("id").text(),
            author=post.field("author_id").text(),
            text=post.field("text").text(),
            at=iso_instant(post.field("created_at")),
            account_since=since.get(post.field("author_id").text()),
        )
        for post in found.items()
    ]


def _accounts(answer: Node) -> Mapping[str, datetime]:
    """When each author's account was opened; accounts that are gone are not told."""
    included = answer.optional("includes")
    users = included.optional("users") if included is not None else None
    return {
        user.field("id").text(): iso_instant(created)
        for user in (users.items() if users is not None else ())
        if (created := user.optional("created_at")) is not None
    }
