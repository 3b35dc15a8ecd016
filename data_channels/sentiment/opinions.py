"""From posts to readings: damped, scored, and one voice for each author and asset.

The readings of an asset are

- `mentions`, in `authors`: how many people spoke of it in the window; 0 is a reading, too.
- `sentiment`, in `score` from −1 to 1: the weighted mean of the authors' opinions, with their number and standard deviation. An
  author's opinion is the mean of what they wrote, and their weight that of their most doubtful post. There is none when nobody
  spoke, or when the scorer knew not a word of what was said.

Both say how the window stands at the instant it was looked at, so that is when they were observed and published.

A weight is at most 1. So one more author moves a mean over voices with weights W by at most `2 / (W + 1)`, whatever they write.
The quality is `W / (W + 10)` (ten voices are half a crowd) times the mean confidence of the scorer.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from data_channels.sentiment.damping import Damped, Heard, Reason, Rules, damp
from data_channels.sentiment.mentions import mentioned
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import LONGEST_TEXT, Score, Scorer
from data_channels.symbols import base_of
from data_channels.untrusted import Quoted
from trading_core.domain.market import Reading

HALF_A_CROWD = 10
"""Voices at which the quality is half of what the scorer's confidence allows."""

_QUOTES = 3  # for people, per symbol

_log = logging.getLogger("algotrendy.channels")


@dataclass(frozen=True, slots=True)
class _Voice:
    """One author on one asset."""

    value: float
    confidence: float
    weight: float


class Opinions:
    """Makes readings of one source's posts.

    Args:
        source: the name of its readings.
        scorer: used for posts that have no score of their own.

    Attributes:
        reasons: how many posts were dropped or weighed down for which reason, since the start.
    """

    def __init__(self, source: str, scorer: Scorer, rules: Rules) -> None:
        self._source, self._scorer, self._rules = source, scorer, rules
        self.reasons: Counter[Reason] = Counter()
        self._quotes: Mapping[str, tuple[Quoted, ...]] = {}

    async def readings(self, posts: Sequence[Post], symbols: Sequence[str], *, now: datetime) -> list[Reading]:
        """The readings of each symbol, from posts that were fetched at `now`.

        Raises:
            ChannelUnavailable: the scorer is out of reach.
        """
        bases = frozenset(base_of(symbol) for symbol in symbols)
        damped, about = await asyncio.to_thread(_sort_out, posts, bases, now, self._rules)
        heard = [one for one, found in zip(damped.heard, about, strict=True) if found]
        unscored = [one.post for one in heard if one.post.score is None]
        given = await self._scorer.score([post.text for post in unscored])
        scores = {post.id: score for post, score in zip(unscored, given, strict=True)}
        scores |= {one.post.id: one.post.score for one in heard if one.post.score is not None}
        self.reasons.update(damped.reasons)
        self._quotes = self._quoted(damped.heard, about)
        _log.debug("%s: %d posts, %d heard", self._source, len(posts), len(heard))
        readings: list[Reading] = []
        for symbol in symbols:
            base = base_of(symbol)
            own = [one for one, found in zip(damped.heard, about, strict=True) if base in found]
            readings += self._of(symbol, own, scores, now)
        return readings

    def quotes(self, symbol: str) -> tuple[Quoted, ...]:
        """The newest posts about a symbol, for people to look at; never for an agent."""
        return self._quotes.get(base_of(symbol), ())

    def _quoted(self, heard: Sequence[Heard], about: Sequence[frozenset[str]]) -> Mapping[str, tuple[Quoted, ...]]:
        newest: defaultdict[str, list[Quoted]] = defaultdict(list)
        for one, bases in zip(reversed(heard), reversed(about), strict=True):
            for base in bases:
                if len(newest[base]) < _QUOTES:
                    newest[base].append(Quoted.of(self._source, one.post.text))
        return {base: tuple(quotes) for base, quotes in newest.items()}

    def _of(self, symbol: str, heard: Sequence[Heard], scores: Mapping[str, Score], now: datetime) -> list[Reading]:
        voices = _voices(heard, scores)
        self.reasons[Reason.SAME_AUTHOR] += len(heard) - len(voices)
        count = len(voices)
        mentions = Reading(self._source, symbol, "mentions", Decimal(count), "authors", now, now, count=count)
        if not any(voice.confidence for voice in voices):
            return [mentions]
        total = math.fsum(voice.weight for voice in voices)
        mean = math.fsum(voice.weight * voice.value for voice in voices) / total
        variance = math.fsum(voice.weight * (voice.value - mean) ** 2 for voice in voices) / total
        confidence = math.fsum(voice.weight * voice.confidence for voice in voices) / total
        sentiment = Reading(
            self._source,
            symbol,
            "sentiment",
            decimal(mean),
            "score",
            now,
            now,
            quality=decimal(confidence * total / (total + HALF_A_CROWD)),
            count=count,
            spread=decimal(math.sqrt(variance)) if count > 1 else None,
        )
        return [sentiment, mentions]


def decimal(value: float) -> Decimal:
    """Four digits after the point: more would pretend to a precision that opinions do not have."""
    return Decimal(f"{value:.4f}") + 0  # + 0 makes −0.0000 a plain zero


def _sort_out(posts: Sequence[Post], bases: frozenset[str], now: datetime, rules: Rules) -> tuple[Damped, list[frozenset[str]]]:
    """Who is heard, and of which of the assets each speaks. Takes a moment for hundreds of posts: runs in a thread."""
    damped = damp(posts, now=now, rules=rules)
    return damped, [
        mentioned(one.post.text[:LONGEST_TEXT], bases) if one.post.bases is None else one.post.bases & bases
        for one in damped.heard
    ]


def _voices(heard: Sequence[Heard], scores: Mapping[str, Score]) -> list[_Voice]:
    """One voice for each author. Where the source does not name the author, all such posts are one voice."""
    by_author: defaultdict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        by_author[one.post.author].append(one)
    return [
        _Voice(
            math.fsum(scores[one.post.id].value for one in own) / len(own),
            math.fsum(scores[one.post.id].confidence for one in own) / len(own),
            min(one.weight for one in own),
        )
        for own in by_author.values()
    ]
