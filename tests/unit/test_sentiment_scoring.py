"""Scorers: what they say of plain sentences, their range on any text, and that the event loop is left alone."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.sentiment.lexicon import LEXICON, PHRASES
from data_channels.sentiment.scoring import (
    DEFAULT_SCORER,
    LONGEST_TEXT,
    NEUTRAL,
    UNKNOWN,
    Score,
    Scorer,
    TextBlobScorer,
    VaderScorer,
    WordScorer,
)
from trading_core.domain.errors import InvalidInput

SCORERS: tuple[WordScorer, ...] = (TextBlobScorer(), VaderScorer(crypto=False), VaderScorer())
CRYPTO = SCORERS[2]


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
async def test_plain_praise_and_plain_blame(scorer: Scorer) -> None:
    good, bad, nothing = await scorer.score(
        ["This is excellent and wonderful.", "This is terrible and awful.", "The table is made of wood."]
    )
    assert good.value > NEUTRAL > -NEUTRAL > bad.value
    assert nothing == UNKNOWN
    assert min(good.confidence, bad.confidence) > 0


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Just HODL and buy the dip", 1),
        ("ETH rallies, new all-time high", 1),
        ("They rugged us, I am rekt", -1),
        ("Another ponzi waiting to collapse", -1),
        ("It is going to zero", -1),
        ("It is a store of value", 1),
        ("Interest on shares of the trust", 0),
        ("143 coins", 0),
    ],
)
def test_words_of_the_market_are_known(text: str, sign: int) -> None:
    value = CRYPTO.rate(text).value
    assert (value > NEUTRAL) - (value < -NEUTRAL) == sign


def test_the_default_is_the_one_that_measured_best() -> None:
    assert DEFAULT_SCORER().name == "vader-crypto"


def test_a_long_text_is_the_mean_of_its_sentences_and_does_not_run_into_the_end_of_the_scale() -> None:
    once = CRYPTO.rate("Fees are good.").value
    assert CRYPTO.rate("Fees are good. " * 50).value == pytest.approx(once)
    assert -NEUTRAL < CRYPTO.rate("I love it. I hate it.").value < 0.1


def test_only_the_head_of_a_text_is_read() -> None:
    head = "Nothing to see here. " * 200
    assert len(head) > LONGEST_TEXT
    assert asyncio.run(CRYPTO.score([head + "Scam! Scam! Scam!"])) == asyncio.run(CRYPTO.score([head]))


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
def test_any_text_has_a_score_within_range_and_always_the_same(scorer: WordScorer) -> None:
    @given(st.text(max_size=300))
    def check(text: str) -> None:
        score = scorer.rate(text)
        assert -1 <= score.value <= 1
        assert 0 <= score.confidence <= 1
        assert scorer.rate(text) == score

    check()


@pytest.mark.parametrize(
    ("value", "confidence"), [(1.01, 0.5), (-1.01, 0.5), (float("nan"), 0.5), (0.0, -0.1), (0.0, float("nan"))]
)
def test_a_score_out_of_range_is_none(value: float, confidence: float) -> None:
    with pytest.raises(InvalidInput):
        Score(value, confidence)


async def test_scoring_runs_beside_the_event_loop_and_in_order() -> None:
    seen: set[int] = set()

    class Watched(VaderScorer):
        def rate(self, text: str) -> Score:
            seen.add(threading.get_ident())
            return super().rate(text)

    texts = [f"bitcoin is {word} number {number}" for number in range(150) for word in ("great", "awful")]
    scores = await Watched().score(texts)
    assert threading.get_ident() not in seen
    assert [score.value > 0 for score in scores] == [True, False] * 150


def test_the_lexicon_is_within_vaders_scale_and_in_lower_case() -> None:
    for word, valence in {**LEXICON, **PHRASES}.items():
        assert word == word.lower()
        assert -4 <= valence <= 4
    assert not [word for word in LEXICON if " " in word]
    assert all(" " in phrase for phrase in PHRASES)
