"""Reddit: what people post and comment in crypto communities, as numbers.

PRAW (https://praw.readthedocs.io) reads the newest posts and comments of all communities in two requests a round, read only, with
an application's id and secret (https://github.com/reddit-archive/reddit/wiki/OAuth2). PRAW is not asynchronous: it runs in a
thread of its own, one call at a time. Listings do not tell how old an account is, and asking would cost a request for each
author, so the age of accounts is not looked at here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import praw
import praw.models
import prawcore
import requests
from pydantic import SecretStr

from data_channels.base import Kind, Pace
from data_channels.sentiment.damping import PEOPLE, Rules
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.reddit_line import OneShot, TokenRefused, unreadable
from data_channels.sentiment.scoring import Scorer
from data_channels.untrusted import Quoted
from trading_core.domain.errors import ChannelError, ChannelRefused, ChannelUnavailable
from trading_core.domain.market import Reading

API_URL = "https://oauth.reddit.com"
LOGIN_URL = "https://www.reddit.com"
WANTS_ID, WANTS_SECRET = "reddit-client-id", "reddit-client-secret"
USER_AGENT = "python:algotrendy:0.1 (market sentiment, read only)"

COMMUNITIES = ("CryptoCurrency", "CryptoMarkets", "Bitcoin", "ethereum", "ethtrader", "solana")

_LISTED = 100  # the most that one request gives
_REMOVED = frozenset({"[removed]", "[deleted]"})
_LAST_SECOND = 4_102_444_800  # 2100-01-01


class Reddit:
    """The source of posts and comments on Reddit.

    Args:
        client_id: of the application, as `client_secret`; the source is off without both.
        user_agent: Reddit wants one that names the application, and blocks those that do not.
        communities: subreddits to read, without `r/`.
    """

    name = "reddit"
    kind = Kind.SENTIMENT
    pace = Pace(every=timedelta(minutes=5), stale_after=timedelta(minutes=30), per_minute=60, timeout=60.0)

    def __init__(
        self,
        client_id: SecretStr | None,
        client_secret: SecretStr | None,
        scorer: Scorer,
        *,
        communities: Sequence[str] = COMMUNITIES,
        user_agent: str = USER_AGENT,
        rules: Rules = PEOPLE,
        api_url: str = API_URL,
        login_url: str = LOGIN_URL,
        timeout: float = 15.0,
    ) -> None:
        self.wants = "" if client_id and client_secret else WANTS_SECRET if client_id else WANTS_ID
        self.opinions = Opinions(self.name, scorer, rules)
        self._client_id, self._client_secret = client_id, client_secret
        self._communities, self._user_agent = "+".join(communities), user_agent
        self._api_url, self._login_url, self._timeout = api_url, login_url, timeout
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no netrc from the environment
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reddit")
        self._reddit: praw.Reddit | None = None
        self.requests = 0

    async def fetch(self, symbols: Sequence[str], *, now: datetime) -> Sequence[Reading]:
        """The newest posts and comments of all communities; a symbol nobody spoke of has `mentions` 0."""
        asked = list(dict.fromkeys(symbols))
        if not asked:
            return ()
        posts = await asyncio.get_running_loop().run_in_executor(self._thread, self._read)
        return await self.opinions.readings(posts, asked, now=now)

    def quotes(self, symbol: str) -> tuple[Quoted, ...]:
        """The newest posts about a symbol, for people to look at; never for an agent."""
        return self.opinions.quotes(symbol)

    async def close(self) -> None:
        """Close the connections. A request still under way ends by its own time limit."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def _read(self) -> list[Post]:
        """In the thread: two listings, after a login where there is none.

        Raises:
            ChannelUnavailable: a listing could not be had or read.
            ChannelRefused: the application is not accepted.
        """
        logged_in_before = self._reddit is not None
        reddit = self._reddit = self._reddit or self._open()
        try:
            return [_post(vars(item)) for listing in ("new", "comments") for item in self._listed(reddit, listing)]
        except (TokenRefused, prawcore.OAuthException):
            self._reddit = None
            if logged_in_before:  # a token that has been withdrawn: a new login may do
                raise ChannelUnavailable("reddit no longer accepts the session's token (HTTP 401)") from None
            raise ChannelRefused(
                "reddit does not accept the application's id and secret (HTTP 401)",
                not_done="It is not asked again",
                next_step=f"Check {WANTS_ID} and {WANTS_SECRET}, then restart",
            ) from None
        except ChannelError:
            raise
        except Exception as error:  # PRAW takes answers apart without checks: a changed one fails anywhere
            raise unreadable(type(error).__name__) from None  # its message may quote what was read

    def _listed(self, reddit: praw.Reddit, listing: str) -> Sequence[object]:
        """The first page of a listing. PRAW's own generators would ask for more where a page came short."""
        answer = reddit.get(f"r/{self._communities}/{listing}", params={"limit": _LISTED})
        if not isinstance(answer, praw.models.Listing):
            raise unreadable("a listing was expected")
        return list(answer.children)

    def _open(self) -> praw.Reddit:
        # Every setting is given, so that neither the environment nor a `praw.ini` has a say.
        return praw.Reddit(
            "DEFAULT",
            client_id=self._client_id.get_secret_value() if self._client_id else "",
            client_secret=self._client_secret.get_secret_value() if self._client_secret else "",
            user_agent=self._user_agent,
            oauth_url=self._api_url,
            reddit_url=self._login_url,
            short_url=self._login_url,
            username=None,
            password=None,
            refresh_token=None,
            redirect_uri=None,
            check_for_updates=False,
            check_for_async=False,  # it is called in a thread on purpose
            requestor_class=OneShot,
            requestor_kwargs={"session": self._session, "timeout": self._timeout, "count": self._count},
        )

    def _count(self) -> None:
        self.requests += 1


def _post(fields: Mapping[str, object]) -> Post:
    """A post or comment from what PRAW holds of it. An attribute that is missing PRAW would go and fetch."""
    texts = [_text(fields, "body")] if "body" in fields else [_text(fields, "title"), _text(fields, "selftext")]
    author = fields.get("author")
    return Post(
        id=_text(fields, "id"),
        author="" if author is None else str(getattr(author, "name", "")),
        text="\n".join(text for text in texts if text not in _REMOVED),
        at=_instant(fields.get("created_utc")),
    )


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise unreadable(f"{name} should be a text")
    return value


def _instant(value: object) -> datetime:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < _LAST_SECOND:
        raise unreadable("created_utc should be a time in seconds")
    return datetime.fromtimestamp(value, UTC)
