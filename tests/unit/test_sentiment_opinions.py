"""From posts to readings: one voice for each author, and a bound on what one can do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.sentiment.damping import PEOPLE, Reason
from data_channels.sentiment.opinions import Opinions
from data_channels.sentiment.posts import Post
from data_channels.sentiment.scoring import Score, VaderScorer
from data_channels.untrusted import LONGEST_QUOTE
from trading_core.domain.market import Reading

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BTC, ETH = "BTC/USDT", "ETH/USDT"
D = Decimal
SCORER = VaderScorer()


def said(author: str, value: float | None, number: int = 0, *, pump: bool = False, text: str = "", minutes: float = 30) -> Post:
    """A post about bitcoin that resembles no other; with a value it needs no scorer."""
    own = " ".join(f"{author}x{number}x{letter}" for letter in "abcdef")
    words = text or f"bitcoin {own}{' guaranteed' * pump}"
    score = None if value is None else Score(value, 0.5)
    return Post(f"{author}:{number}", author, words, NOW - timedelta(minutes=minutes), score=score)


def readings(posts: Sequence[Post], symbols: Sequence[str] = (BTC,)) -> dict[tuple[str, str], Reading]:
    found = asyncio.run(Opinions("test", SCORER, PEOPLE).readings(posts, symbols, now=NOW))
    return {(reading.symbol, reading.name): reading for reading in found}


def test_mean_spread_count_and_quality() -> None:
    found = readings([said("ann", 1.0), said("bob", 0.5, minutes=3), said("cid", 0.0)])
    sentiment = found[BTC, "sentiment"]
    assert (sentiment.value, sentiment.count, sentiment.spread) == (D("0.5"), 3, D("0.4082"))
    assert sentiment.quality == D("0.1154"), "0.5 × 3 / 13"
    assert (sentiment.observed_at, sentiment.published_at) == (NOW, NOW), "how the window stands now"
    assert found[BTC, "mentions"].value == 3


def test_an_author_is_one_voice_however_much_they_write() -> None:
    quiet = readings([said("ann", 1.0), said("bob", -1.0)])
    loud = readings([said("ann", 1.0), *(said("bob", -1.0, number) for number in range(10))])
    assert quiet[BTC, "sentiment"].value == loud[BTC, "sentiment"].value == 0
    assert loud[BTC, "mentions"].value == 2


def test_authors_that_a_source_does_not_name_are_one_voice() -> None:
    found = readings([said("ann", 1.0), *(said("", -1.0, number) for number in range(10))])
    assert (found[BTC, "sentiment"].value, found[BTC, "sentiment"].count) == (0, 2)


def test_one_doubtful_post_makes_the_author_doubtful() -> None:
    found = readings([said("ann", 1.0), said("bob", -1.0), said("bob", -1.0, 1, pump=True)])
    assert found[BTC, "sentiment"].value == D("0.6"), "(1 − 0.25) / 1.25"


def test_nobody_spoke_is_a_reading_and_an_opinion_is_none() -> None:
    assert {key: r.value for key, r in readings([]).items()} == {(BTC, "mentions"): 0}


def test_words_the_scorer_does_not_know_are_no_opinion() -> None:
    unknown = readings([said("ann", None, text="bitcoin block mined"), said("bob", None, text="bitcoin transaction sent")])
    assert {key: r.value for key, r in unknown.items()} == {(BTC, "mentions"): 2}
    one_knows = readings([said("ann", None, text="bitcoin block mined"), said("bob", None, text="bitcoin is a scam")])
    assert one_knows[BTC, "sentiment"].count == 2
    assert one_knows[BTC, "sentiment"].value < 0


def test_a_single_voice_has_no_spread() -> None:
    assert readings([said("ann", 1.0)])[BTC, "sentiment"].spread is None


def test_each_asset_has_its_own_voices_and_reasons_add_up() -> None:
    opinions = Opinions("test", SCORER, PEOPLE)
    posts = [said("ann", None, text="bitcoin is great"), said("bob", None, text="ethereum is awful"), said("x-bot", 1.0)]
    for _ in range(2):
        found = asyncio.run(opinions.readings(posts, [BTC, ETH], now=NOW))
    assert {(r.symbol, r.name): r.value > 0 for r in found if r.name == "sentiment"} == {
        (BTC, "sentiment"): True,
        (ETH, "sentiment"): False,
    }
    assert opinions.reasons[Reason.BOT] == 2


def test_quotes_are_the_newest_and_short_and_gone_with_the_next_round() -> None:
    opinions = Opinions("test", SCORER, PEOPLE)
    posts = [said(f"a{n}", 0.5, text=f"bitcoin thought number {n} " + "y" * 400, minutes=n + 1) for n in range(5)]
    asyncio.run(opinions.readings(posts, [BTC], now=NOW))
    quotes = opinions.quotes(BTC)
    assert [quote.text[:24] for quote in quotes] == [f"bitcoin thought number {n}" for n in range(3)]
    assert all(len(quote.text) <= LONGEST_QUOTE for quote in quotes)
    assert opinions.quotes(ETH) == ()
    asyncio.run(opinions.readings([], [BTC], now=NOW))
    assert opinions.quotes(BTC) == ()


values = st.floats(-1, 1, allow_nan=False)
crowds = st.lists(st.tuples(values, st.booleans()), min_size=1, max_size=12)


@given(crowds, st.lists(st.tuples(values, st.booleans()), min_size=1, max_size=6))
def test_one_author_moves_the_mean_by_at_most_two_over_all_weights(
    crowd: list[tuple[float, bool]], attack: list[tuple[float, bool]]
) -> None:
    posts = [said(f"p{n}", value, pump=pump) for n, (value, pump) in enumerate(crowd)]
    before = readings(posts)[BTC, "sentiment"]
    attacked = [*posts, *(said("eve", value, n, pump=pump) for n, (value, pump) in enumerate(attack))]
    after = readings(attacked)[BTC, "sentiment"]
    weights = sum(0.25 if pump else 1.0 for _, pump in crowd)
    assert abs(after.value - before.value) <= D(2 / (weights + 1)) + D("0.0001")
    assert after.count == before.count + 1


@given(crowds)
def test_readings_are_within_their_units_and_the_order_makes_no_difference(crowd: list[tuple[float, bool]]) -> None:
    posts = [said(f"p{n}", value, pump=pump) for n, (value, pump) in enumerate(crowd)]
    sentiment = readings(posts)[BTC, "sentiment"]
    assert -1 <= sentiment.value <= 1
    assert 0 <= sentiment.quality <= 1
    assert sentiment.spread is None or 0 <= sentiment.spread <= 1
    assert readings(posts[::-1])[BTC, "sentiment"] == sentiment


@pytest.mark.parametrize("count", [3, 40])
def test_more_voices_are_more_quality(count: int) -> None:
    found = readings([said(f"p{n}", 0.5) for n in range(count)])
    assert found[BTC, "sentiment"].quality == D(f"{0.5 * count / (count + 10):.4f}")
