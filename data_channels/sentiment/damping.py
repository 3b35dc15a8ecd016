"""Who is heard, and how loudly: copies, bots and new accounts are not, pump talk a little.

A crowd can be faked, so nothing here makes a voice louder than 1. What is dropped is counted with its reason. Copies that differ
in a few words are found with word shingles and the Jaccard index (Broder, "On the resemblance and containment of documents",
1997, https://doi.org/10.1109/SEQUEN.1997.666900).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from data_channels.sentiment.mentions import URL, cashtags
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import LONGEST_TEXT


class Reason(StrEnum):
    """Why a post is not heard, or not fully."""

    OLD = "outside the window"
    FUTURE = "dated in the future"
    EMPTY = "no words"
    BOT = "a bot by its own word"
    RATE = "posts faster than people do"
    YOUNG = "account too young"
    COPY = "copy of an earlier post"
    NEAR_COPY = "nearly a copy of an earlier post"
    PUMP = "pump talk: weighs less"
    TICKERS = "names many tickers: weighs less"
    SAME_AUTHOR = "author heard already: averaged"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a source's posts have to keep to.

    Attributes:
        window: how far back posts count.
        youngest: accounts must be this old, where the source tells their age.
        per_hour: posts in any hour from which on an author is a machine; None where authors are news desks.
        resemblance: Jaccard index of shingles from which on a text is a copy.
        most_tickers: cashtags in one text from which on it is an advertisement.
    """

    window: timedelta = timedelta(hours=24)
    youngest: timedelta = timedelta(days=30)
    per_hour: int | None = 12
    resemblance: float = 0.6
    most_tickers: int = 4


PEOPLE = Rules()
"""Authors are persons."""

NEWS = Rules(per_hour=None)
"""Authors are news desks, which publish all day."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A post that counts, and how much: 0 to 1."""

    post: Post
    weight: float


@dataclass(frozen=True, slots=True)
class Damped:
    """What is left, oldest first, and how many posts met which reason."""

    heard: Sequence[Heard]
    reasons: Mapping[Reason, int] = field(default_factory=dict)


CLOCK_ALLOWANCE = timedelta(minutes=2)
"""How far a source's clock may be ahead of ours."""

SUSPECT = 0.25
"""The weight of a post with pump talk or a list of tickers."""

_SHINGLE = 3  # words
_COMPARED = 150  # words: a copy shows at its head, and more would let long posts take long
_WORDS = re.compile(r"\w+")
_HANDLE = re.compile(r"(?<!\w)(?:/?u/|@)\w+")
_BOT_NAME = re.compile(r"(?i:^automoderator$|[-_.]bot$)|[a-z0-9]Bot$")  # Talbot is a person
_BOT_TEXT = re.compile(r"\b(?:i am|i'm|this is) a bot\b|\baction was performed automatically\b", re.IGNORECASE)
_PUMP = re.compile(
    r"\b(?:\d{2,}\s?x\b(?!\s+lever)|to the moon|moon ?shot|guaranteed|risk[- ]free|can'?t lose|don'?t miss|last chance|act now|"
    r"hurry|buy now|next (?:\d+x|gem|bitcoin|shib|doge)|hidden gem|pre-?sale|airdrop|giveaway|free (?:btc|eth|crypto|tokens?)|"
    r"double your|dm me|(?:join|our) (?:the )?(?:telegram|discord|whatsapp)|t\.me/|signals? group|pump (?:group|starts?|tonight)|"
    r"whale alert|ref(?:erral)? (?:link|code)|promo code|use my (?:link|code)|will explode|easy money|get rich)",
    re.IGNORECASE,
)


def damp(posts: Sequence[Post], *, now: datetime, rules: Rules) -> Damped:
    """Sort out who is heard. The order in which posts were given makes no difference.

    Of copies the oldest is heard, so that nobody can silence another by repeating what that one said.
    """
    reasons: Counter[Reason] = Counter()
    too_fast = _too_fast(posts, rules)
    heard: list[Heard] = []
    copies = _Copies(rules.resemblance)
    for post in sorted(posts, key=lambda post: (post.at, post.id)):
        text = post.text[:LONGEST_TEXT]
        words = normalised(text)[:_COMPARED]
        reason = _unheard(post, words, now, rules, too_fast) or copies.reason(words)
        if reason:
            reasons[reason] += 1
            continue
        doubts = [Reason.PUMP] * bool(_PUMP.search(text))
        doubts += [Reason.TICKERS] * (len(cashtags(text)) > rules.most_tickers)
        reasons.update(doubts)
        heard.append(Heard(post, SUSPECT if doubts else 1.0))
    return Damped(heard, dict(reasons))


def normalised(text: str) -> tuple[str, ...]:
    """The words by which copies are known: no links, names of users, case, punctuation, forms of letters or hidden characters."""
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    plain = unicodedata.normalize("NFKC", seen).casefold()
    return tuple(_WORDS.findall(_HANDLE.sub(" ", URL.sub(" ", plain)).replace("_", " ")))


def _unheard(post: Post, words: tuple[str, ...], now: datetime, rules: Rules, too_fast: set[str]) -> Reason | None:
    if post.at > now + CLOCK_ALLOWANCE:
        return Reason.FUTURE
    if post.at <= now - rules.window:
        return Reason.OLD
    if not words:
        return Reason.EMPTY
    if _BOT_NAME.search(post.author) or _BOT_TEXT.search(post.text):
        return Reason.BOT
    if post.author in too_fast:
        return Reason.RATE
    if post.account_since is not None and now - post.account_since < rules.youngest:
        return Reason.YOUNG
    return None


def _too_fast(posts: Sequence[Post], rules: Rules) -> set[str]:
    """Authors with more posts than allowed within some hour."""
    if rules.per_hour is None:
        return set()
    times: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
    for post in posts:
        if post.author:
            times[post.author][post.id] = post.at
    fast = set()
    for author, own in times.items():
        at = sorted(own.values())
        if any(last - first < timedelta(hours=1) for first, last in zip(at, at[rules.per_hour :], strict=False)):
            fast.add(author)
    return fast


class _Copies:
    """Texts heard so far, found again by their shingles."""

    def __init__(self, resemblance: float) -> None:
        self._resemblance = resemblance
        self._exact: set[tuple[str, ...]] = set()
        self._sizes: list[int] = []
        self._with: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)

    def reason(self, words: tuple[str, ...]) -> Reason | None:
        """Why this text is a copy. One that is none is remembered."""
        if words in self._exact:
            return Reason.COPY
        shingles = {words[start : start + _SHINGLE] for start in range(max(len(words) - _SHINGLE + 1, 1))}
        common = Counter(number for shingle in shingles for number in self._with[shingle])
        if any(shared >= self._resemblance * (len(shingles) + self._sizes[n] - shared) for n, shared in common.items()):
            return Reason.NEAR_COPY
        self._exact.add(words)
        for shingle in shingles:
            self._with[shingle].append(len(self._sizes))
        self._sizes.append(len(shingles))
        return None
