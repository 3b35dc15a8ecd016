"""The four sources of text over the local server: how each is built, and how its service lists what people said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

from data_channels.base import Source
from data_channels.news.cryptopanic import CryptoPanic
from data_channels.sentiment.lunarcrush import LunarCrush
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.reddit import Reddit
from data_channels.sentiment.scoring import Scorer
from data_channels.sentiment.x_api import XApi
from data_channels.untrusted import Quoted

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BTC = "BTC/USDT"
KEY = SecretStr("k3y-never-to-be-seen")
OLD_ACCOUNT = datetime(2015, 1, 1, tzinfo=UTC)


class TextSource(Source, Protocol):
    opinions: Opinions
    requests: int

    def quotes(self, symbol: str) -> tuple[Quoted, ...]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What one author wrote; `age` is of the post."""

    text: str
    author: str = "somebody"
    age: timedelta = timedelta(minutes=30)

    @property
    def at(self) -> datetime:
        return NOW - self.age


@dataclass(frozen=True, slots=True)
class TextCase:
    """`answers` are the bodies by path; `path` is the one that has the texts."""

    name: str
    path: str
    answers: Callable[[Sequence[Said]], Mapping[str, object]]
    build: Callable[[str, Scorer], TextSource]


REDDIT_NEW = "/r/Bitcoin+ethereum/new"
REDDIT_COMMENTS = "/r/Bitcoin+ethereum/comments"
REDDIT_LOGIN = "/api/v1/access_token"
TOKEN = {"access_token": "t0ken-never-to-be-seen", "token_type": "bearer", "expires_in": 86_400, "scope": "*"}


def listing(children: Sequence[object]) -> dict[str, object]:
    return {"kind": "Listing", "data": {"after": None, "before": None, "dist": len(children), "children": list(children)}}


def reddit_answers(said: Sequence[Said]) -> dict[str, object]:
    """Every second text as a post (its last half as the body), the others as comments."""
    posts = [
        {
            "kind": "t3",
            "data": {
                "id": f"p{number}",
                "name": f"t3_p{number}",
                "title": one.text[: len(one.text) // 2 + 1],
                "selftext": one.text,
                "author": one.author,
                "created_utc": one.at.timestamp(),
                "subreddit": "Bitcoin",
                "permalink": f"/r/Bitcoin/comments/p{number}/",
                "url": "https://example.org/",
            },
        }
        for number, one in list(enumerate(said))[::2]
    ]
    comments = [
        {
            "kind": "t1",
            "data": {
                "id": f"c{number}",
                "name": f"t1_c{number}",
                "body": one.text,
                "author": one.author,
                "created_utc": one.at.timestamp(),
                "subreddit": "Bitcoin",
                "link_id": "t3_p0",
                "parent_id": "t3_p0",
                "replies": "",
            },
        }
        for number, one in list(enumerate(said))[1::2]
    ]
    return {REDDIT_LOGIN: TOKEN, REDDIT_NEW: listing(posts), REDDIT_COMMENTS: listing(comments)}


def reddit(url: str, scorer: Scorer, *, timeout: float = 15.0) -> Reddit:
    return Reddit(KEY, KEY, scorer, communities=("Bitcoin", "ethereum"), api_url=url, login_url=url, timeout=timeout)


X_PATH = "/2/tweets/search/recent"


def x_answers(said: Sequence[Said]) -> dict[str, object]:
    posts = [
        {"id": f"9{n}", "text": one.text, "author_id": one.author, "created_at": one.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        for n, one in enumerate(said)
    ]
    users = [{"id": name, "username": name, "created_at": OLD_ACCOUNT.isoformat()} for name in {one.author for one in said}]
    return {X_PATH: {"data": posts, "includes": {"users": users}, "meta": {"result_count": len(posts)}}}


def x_api(url: str, scorer: Scorer, *, timeout: float = 15.0) -> XApi:
    return XApi(KEY, scorer, base_url=url, timeout=timeout)


LUNAR_COIN = "/public/coins/btc/v1"
LUNAR_POSTS = "/public/topic/bitcoin/posts/v1"


def lunarcrush_answers(said: Sequence[Said], stars: float | None = None) -> dict[str, object]:
    coin = {
        "config": {"id": "$btc", "name": "Bitcoin", "symbol": "BTC", "topic": "bitcoin", "generated": int(NOW.timestamp()) - 60},
        "data": {"id": 1, "name": "Bitcoin", "symbol": "BTC", "price": 90753.83, "galaxy_score": 48.5, "alt_rank": 104},
    }
    posts = [
        {
            "id": f"l{n}",
            "post_type": "tweet",
            "post_title": one.text,
            "post_created": int(one.at.timestamp()),
            "post_sentiment": stars,
            "interactions_total": 12,
            "creator_id": f"twitter::{one.author}",
            "creator_name": one.author,
        }
        for n, one in enumerate(said)
    ]
    return {LUNAR_COIN: coin, LUNAR_POSTS: {"data": posts}}


def lunarcrush(url: str, scorer: Scorer, *, timeout: float = 15.0) -> LunarCrush:
    return LunarCrush(KEY, scorer, base_url=url, timeout=timeout)


PANIC_PATH = "/posts/"


def cryptopanic_answers(said: Sequence[Said]) -> dict[str, object]:
    headlines = [
        {
            "id": n,
            "title": one.text,
            "published_at": one.at.isoformat().replace("+00:00", "Z"),
            "domain": one.author,
            "source": {"domain": one.author, "title": one.author, "path": None},
            "votes": {"negative": 0, "positive": 11, "important": 6},
            "instruments": [{"code": "BTC", "title": "Bitcoin", "slug": "bitcoin"}],
        }
        for n, one in enumerate(said)
    ]
    return {PANIC_PATH: {"count": len(headlines), "next": None, "previous": None, "results": headlines}}


def cryptopanic(url: str, scorer: Scorer, *, timeout: float = 15.0) -> CryptoPanic:
    return CryptoPanic(KEY, scorer, base_url=url, timeout=timeout)


CASES = (
    TextCase("reddit", REDDIT_NEW, reddit_answers, reddit),
    TextCase("x", X_PATH, x_answers, x_api),
    TextCase("lunarcrush", LUNAR_POSTS, lunarcrush_answers, lunarcrush),
    TextCase("cryptopanic", PANIC_PATH, cryptopanic_answers, cryptopanic),
)
