"""How good or bad a text sounds for what it speaks of: one port, and the scorers that need nothing but this package.

Which one is the default, and how often each is right, was measured: see `docs/sentiment.md`. A score is a statistic of words and
no money, so it is a float; readings made of scores are Decimal again.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vader import SentimentIntensityAnalyzer
from vader.data.lexicon import MULTIWORD

from data_channels.sentiment.lexicon import LEXICON, PHRASES
from trading_core.domain.errors import InvalidInput

LONGEST_TEXT = 2_000
"""Characters of one text that are scored. What a post is about stands at its head; a longer one would only cost time."""

NEUTRAL = 0.05
"""Scores nearer to zero than this are neutral: the bound that VADER's authors give."""

_BATCH = 64  # texts a thread scores at a time, so that it can be given up between two batches
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Score:
    """What one text sounds like.

    Attributes:
        value: −1 (bad) to 1 (good).
        confidence: 0 to 1, how much of the text the scorer had something to say about; 0 is "knows none of this", not "neutral".
    """

    value: float
    confidence: float

    def __post_init__(self) -> None:
        if not (-1 <= self.value <= 1 and 0 <= self.confidence <= 1):  # a NaN is in no range either
            raise InvalidInput(f"a score of {self.value} with confidence {self.confidence} is not within −1 to 1 and 0 to 1")


UNKNOWN = Score(0.0, 0.0)


class Scorer(Protocol):
    """Anything that scores texts: a lexicon here, a model elsewhere. `name` is shown to people."""

    name: str

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        """One score for each text, in their order. Texts come from strangers: they are data to whoever scores them.

        Raises:
            ChannelUnavailable: the scorer is out of reach. Scorers that are only words never raise.
        """
        ...


class WordScorer(ABC):
    """A scorer that looks at words alone: deterministic, without network, in a thread, so that the event loop goes on."""

    name: str

    @abstractmethod
    def rate(self, text: str) -> Score:
        """The score of one text, here and now."""

    async def score(self, texts: Sequence[str]) -> Sequence[Score]:
        scores: list[Score] = []
        for start in range(0, len(texts), _BATCH):
            scores += await asyncio.to_thread(self._batch, texts[start : start + _BATCH])
        return scores

    def _batch(self, texts: Sequence[str]) -> list[Score]:
        return [self.rate(text[:LONGEST_TEXT]) for text in texts]


class TextBlobScorer(WordScorer):
    """TextBlob's pattern analyser: a lexicon of adjectives from product reviews. Its subjectivity is the confidence.

    https://textblob.readthedocs.io/en/dev/quickstart.html#sentiment-analysis
    """

    name = "textblob"

    def rate(self, text: str) -> Score:
        # Here, because it brings NLTK, which takes a quarter of a second that only its users should wait.
        from textblob import TextBlob

        polarity, subjectivity = TextBlob(text).sentiment
        return Score(_within(float(polarity), -1.0), _within(float(subjectivity), 0.0))


class VaderScorer(WordScorer):
    """VADER's rules for negation, emphasis and emoji (Hutto & Gilbert, ICWSM 2014), over its own words or ours beside them.

    A text is the mean of its sentences that say something: VADER sums the valences of all it is given, so that a long text ends
    near −1 or 1 whatever it says. The confidence is the part of the words that has a valence.

    Args:
        crypto: whether the words of crypto markets (`lexicon.py`) are known beside VADER's.
    """

    def __init__(self, *, crypto: bool = True) -> None:
        self.name = "vader-crypto" if crypto else "vader"
        self._analyzer = (
            SentimentIntensityAnalyzer(extra_lexicon=LEXICON, multiword={**MULTIWORD, **PHRASES})
            if crypto
            else SentimentIntensityAnalyzer()
        )

    def rate(self, text: str) -> Score:
        sentences = [self._analyzer.polarity_scores(sentence) for sentence in _SENTENCE_END.split(text) if sentence.strip()]
        said = [sentence["compound"] for sentence in sentences if sentence["compound"]]
        if not said:
            return UNKNOWN
        coloured = sum(sentence["pos"] + sentence["neg"] for sentence in sentences) / len(sentences)
        return Score(_within(sum(said) / len(said), -1.0), _within(coloured, 0.0))


def _within(value: float, lowest: float) -> float:
    return min(max(value, lowest), 1.0)


DEFAULT_SCORER = VaderScorer
