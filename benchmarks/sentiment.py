"""How often each scorer is right: labelled comments and sentences of our own, with intervals, and the time a text takes.

    .venv/bin/python benchmarks/sentiment.py

The comments (recorded data, Positive or Negative) are split in two with a fixed seed. The lexicon was developed looking at the
first half only; the second half is what counts. Our own sentences (`sentiment_sentences.csv`) were written after the lexicon, and
it was not changed for them. A scorer answers Neutral within ±0.05 of zero, which is wrong for every comment.
"""

from __future__ import annotations

import csv
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from data_channels.sentiment.scoring import (
    DEFAULT_SCORER,
    LONGEST_TEXT,
    NEUTRAL,
    TextBlobScorer,
    VaderScorer,
    WordScorer,
)
from tests.adversarial.injections import data_folder

LABELS = ("Positive", "Neutral", "Negative")
SEED = 20241
RESAMPLES = 5_000
SENTENCES = Path(__file__).with_name("sentiment_sentences.csv")


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Result:
    """One scorer on one set: what it answered, example by example, and microseconds a text."""

    answers: Sequence[str]
    micros: float

    def right(self, examples: Sequence[Example]) -> list[bool]:
        return [answer == example.label for answer, example in zip(self.answers, examples, strict=True)]


def read(path: Path) -> list[Example]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Example(row["text"], row["label"]) for row in csv.DictReader(file)]


def halves(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """The half that was looked at and the half that is reported, with the same share of each label."""
    seen, reported = [], []
    for label in sorted({example.label for example in examples}):
        own = [example for example in examples if example.label == label]
        random.Random(SEED).shuffle(own)  # noqa: S311 — a split guards nothing
        seen += own[: len(own) // 2]
        reported += own[len(own) // 2 :]
    return seen, reported


def run(scorer: WordScorer, examples: Sequence[Example]) -> Result:
    scorer.rate("The first text loads what a scorer needs.")
    started = time.perf_counter()
    values = [scorer.rate(example.text[:LONGEST_TEXT]).value for example in examples]
    seconds = time.perf_counter() - started
    answers = ["Positive" if value > NEUTRAL else "Negative" if value < -NEUTRAL else "Neutral" for value in values]
    return Result(answers, 1e6 * seconds / len(examples))


def wilson(right: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    share, size = right / of, 1 + z * z / of
    centre = (share + z * z / (2 * of)) / size
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / size
    return centre - half, centre + half


def better_by(one: Sequence[bool], other: Sequence[bool]) -> tuple[float, float, float]:
    """By how much `one` is right more often, with the 95 % interval of a paired bootstrap over examples."""
    gains = [int(a) - int(b) for a, b in zip(one, other, strict=True)]
    chance = random.Random(SEED)  # noqa: S311 — nor does a resample
    means = sorted(math.fsum(chance.choices(gains, k=len(gains))) / len(gains) for _ in range(RESAMPLES))
    return math.fsum(gains) / len(gains), means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def f1(label: str, result: Result, examples: Sequence[Example]) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean for one label; 0 where there is nothing to divide by."""
    pairs = Counter(zip(result.answers, (example.label for example in examples), strict=True))
    hits = pairs[label, label]
    answered, there = sum(pairs[label, other] for other in LABELS), sum(pairs[other, label] for other in LABELS)
    precision, recall = hits / answered if answered else 0.0, hits / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0


def table(name: str, scorers: Sequence[WordScorer], examples: Sequence[Example]) -> dict[str, Result]:
    """Print the accuracy of each scorer on a set."""
    print(f"\n### {name} ({len(examples)} texts)\n")
    print("| scorer | right | 95 % interval | µs a text |\n| --- | --- | --- | --- |")
    results = {scorer.name: run(scorer, examples) for scorer in scorers}
    for scorer, result in results.items():
        right = sum(result.right(examples))
        low, high = wilson(right, len(examples))
        print(f"| {scorer} | {right / len(examples):.1%} | {low:.1%} – {high:.1%} | {result.micros:.0f} |")
    return results


def details(results: dict[str, Result], examples: Sequence[Example]) -> None:
    """Print precision and recall for each label, and what was taken for what."""
    print("\n| scorer | label | texts | precision | recall | F1 | answered Positive | Neutral | Negative |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for scorer, result in results.items():
        for label in LABELS:
            answers = Counter(a for a, example in zip(result.answers, examples, strict=True) if example.label == label)
            if not answers:
                continue
            precision, recall, both = f1(label, result, examples)
            counts = " | ".join(str(answers[answer]) for answer in LABELS)
            print(f"| {scorer} | {label} | {answers.total()} | {precision:.2f} | {recall:.2f} | {both:.2f} | {counts} |")


def main() -> None:
    scorers: list[WordScorer] = [TextBlobScorer(), VaderScorer(crypto=False), VaderScorer()]
    chosen = DEFAULT_SCORER().name
    own = read(SENTENCES)
    together = list(own)
    labelled = data_folder() / "sentiment" / "crypto_reddit.csv"
    if labelled.is_file():
        seen, reported = halves(read(labelled))
        together += reported
        table("Comments the lexicon was developed on: not a result", scorers, seen)
        details(table("Comments not looked at", scorers, reported), reported)
    else:
        print(f"The labelled comments are not here ({labelled}): only our own sentences are measured.")
    details(table("Our own neutral and hard sentences", scorers, own), own)
    results = table("Comments not looked at and our own sentences", scorers, together)
    details(results, together)
    print(f"\n### How much more often {chosen} is right (paired bootstrap, {RESAMPLES} resamples)\n")
    for name, result in results.items():
        if name != chosen:
            gain, low, high = better_by(results[chosen].right(together), result.right(together))
            print(f"- than {name}: {gain:+.1%} ({low:+.1%} to {high:+.1%})")


if __name__ == "__main__":
    main()
