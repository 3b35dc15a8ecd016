"""The accuracy that `docs/sentiment.md` reports: its arithmetic, its examples, and that it still holds."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.sentiment import LABELS, SENTENCES, Example, Result, better_by, f1, halves, read, run, wilson
from data_channels.sentiment.scoring import DEFAULT_SCORER, TextBlobScorer, VaderScorer


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_the_interval_is_wilsons(right: int, of: int, low: float, high: float) -> None:
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-4)


def test_a_difference_that_is_always_there_has_no_width() -> None:
    assert better_by([True] * 9, [False] * 9) == (1.0, 1.0, 1.0)
    gain, low, high = better_by([True, False] * 50, [False, True] * 50)
    assert gain == 0
    assert low < 0 < high


def test_precision_and_recall() -> None:
    examples = [Example("", label) for label in ("Positive", "Positive", "Positive", "Negative")]
    result = Result(["Positive", "Neutral", "Positive", "Positive"], 1.0)
    assert f1("Positive", result, examples) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert f1("Negative", result, examples) == (0, 0, 0)


def test_the_halves_share_nothing_and_the_labels_evenly() -> None:
    examples = [Example(str(number), "Positive" if number % 3 else "Negative") for number in range(90)]
    seen, reported = halves(examples)
    assert sorted([*seen, *reported], key=lambda e: int(e.text)) == examples
    assert Counter(e.label for e in seen) == Counter(e.label for e in reported)
    assert halves(examples) == (seen, reported)


def test_our_own_sentences() -> None:
    own = read(SENTENCES)
    assert Counter(example.label for example in own) == {"Neutral": 40, "Positive": 11, "Negative": 11}
    assert len({example.text for example in own}) == len(own)
    assert {example.label for example in own} == set(LABELS)


def test_the_default_is_better_on_comments_it_was_not_made_for_as_the_page_says(shared_data: Path) -> None:
    _, reported = halves(read(shared_data / "sentiment" / "crypto_reddit.csv"))
    page = (Path(__file__).parents[2] / "docs" / "sentiment.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("| comments not looked at")]
    told = [float(number) for number in re.findall(r"([\d.]+) %", line)]
    right = [run(scorer, reported).right(reported) for scorer in (TextBlobScorer(), VaderScorer(crypto=False), DEFAULT_SCORER())]
    assert told == [round(100 * sum(each) / len(reported), 1) for each in right]
    for other in right[:2]:
        _, low, _ = better_by(right[2], other)
        assert low > 0
