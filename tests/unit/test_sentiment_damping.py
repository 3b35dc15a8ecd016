"""Who is heard: copies, bots, machines, new accounts and pump talk, each counted with its reason."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.sentiment.damping import NEWS, PEOPLE, SUSPECT, Damped, Reason, damp, normalised
from data_channels.sentiment.posts import Post

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
WORDS = ("bitcoin", "is", "a", "scam", "great", "to", "the", "moon", "$a", "$b", "$c", "buy", "now")
STORY = "The exchange said on Monday that withdrawals of bitcoin are open again after a week of maintenance"


def post(text: str, author: str = "ann", *, minutes: float = 30, number: int = 0, days_old: int | None = None) -> Post:
    since = None if days_old is None else NOW - timedelta(days=days_old)
    return Post(f"{author}:{number}:{minutes}", author, text, NOW - timedelta(minutes=minutes), since)


def damped(*posts: Post) -> Damped:
    return damp(posts, now=NOW, rules=PEOPLE)


def test_ordinary_posts_are_heard_in_full_oldest_first() -> None:
    result = damped(post("fees are low today", "ann", minutes=5), post("I sold all of it", "bob", minutes=9))
    assert [(one.post.author, one.weight) for one in result.heard] == [("bob", 1.0), ("ann", 1.0)]
    assert result.reasons == {}


@pytest.mark.parametrize(
    ("unheard", "reason"),
    [
        (post("too old", minutes=24 * 60), Reason.OLD),
        (post("from tomorrow", minutes=-60), Reason.FUTURE),
        (post("https://example.org/a @somebody !!!"), Reason.EMPTY),
        (post("Your post was removed", "AutoModerator"), Reason.BOT),
        (post("The price of bitcoin is 5", "price-bot"), Reason.BOT),
        (post("I remind you", "RemindMeBot"), Reason.BOT),
        (post("I am a bot, and this action was performed automatically."), Reason.BOT),
        (post("new here and very sure", days_old=29), Reason.YOUNG),
    ],
)
def test_who_is_not_heard(unheard: Post, reason: Reason) -> None:
    result = damped(unheard)
    assert (list(result.heard), result.reasons) == ([], {reason: 1})


@pytest.mark.parametrize("author", ["Talbot", "robot", "botanist", "Botha"])
def test_a_person_whose_name_has_a_bot_in_it_is_heard(author: str) -> None:
    assert len(damped(post("fees are low", author)).heard) == 1


def test_a_source_whose_clock_is_a_little_ahead_is_heard() -> None:
    assert len(damped(post("just now", minutes=-1)).heard) == 1
    assert len(damped(post("an old hand", days_old=31)).heard) == 1


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        (STORY, Reason.COPY),
        (STORY.upper() + "!!!", Reason.COPY),
        (f"{STORY} https://example.org/ref=1", Reason.COPY),
        (f"@someone {STORY}", Reason.COPY),
        ("Ｔｈｅ" + STORY[3:], Reason.COPY),
        (STORY.replace("bitcoin", "bit\u200bcoin"), Reason.COPY),
        (STORY.replace("Monday", "Tuesday"), Reason.NEAR_COPY),
        ("Breaking: " + STORY, Reason.NEAR_COPY),
    ],
)
def test_of_copies_the_oldest_is_heard(copy: str, reason: Reason) -> None:
    first, second = post(STORY, "ann", minutes=60), post(copy, "eve", minutes=10)
    for given_posts in ((first, second), (second, first)):
        result = damped(*given_posts)
        assert [one.post.author for one in result.heard] == ["ann"]
        assert result.reasons == {reason: 1}


def test_another_opinion_in_other_words_is_no_copy() -> None:
    other = "The exchange said nothing at all about when the withdrawals of ether are coming back to customers"
    assert len(damped(post(STORY, "ann"), post(other, "bob")).heard) == 2


def test_a_campaign_of_many_accounts_with_one_text_is_one_voice() -> None:
    campaign = [post(f"Bitcoin is going to zero sell everything now friends {n % 3}", f"sock{n}", minutes=n) for n in range(200)]
    result = damped(*campaign)
    assert len(result.heard) <= 3
    assert sum(result.reasons.values()) + len(result.heard) == 200


def test_a_machine_is_not_heard_and_a_news_desk_is() -> None:
    fast = [post(f"item {'abcdefghijklmnop'[n]} of a list", minutes=n * 4, number=n) for n in range(13)]
    assert damped(*fast).reasons == {Reason.RATE: 13}
    assert len(damp(fast, now=NOW, rules=NEWS).heard) == 13
    slow = [post(f"item {'abcdefghijklmnop'[n]} of a list", minutes=n * 5.1, number=n) for n in range(13)]
    assert len(damped(*slow).heard) == 13


@pytest.mark.parametrize(
    "text",
    [
        "bitcoin to the moon, guaranteed",
        "This 100x gem is a presale",
        "Last chance, don't miss it",
        "DM me to double your coins",
        "join our telegram for signals",
        "Free BTC giveaway, use my code",
    ],
)
def test_pump_talk_weighs_less(text: str) -> None:
    result = damped(post(text))
    assert [one.weight for one in result.heard] == [SUSPECT]
    assert result.reasons == {Reason.PUMP: 1}


@pytest.mark.parametrize(
    "text", ["a 20x leverage long", "I will join the meeting", "moving to the country", "Bitcoin fell again"]
)
def test_ordinary_talk_is_no_pump_talk(text: str) -> None:
    assert [one.weight for one in damped(post(text)).heard] == [1.0]


def test_a_list_of_tickers_weighs_less() -> None:
    assert damped(post("$BTC $ETH $SOL $ADA $XRP and so on")).reasons == {Reason.TICKERS: 1}
    assert damped(post("$BTC $ETH $SOL $ADA and so on")).reasons == {}


posts = st.lists(
    st.builds(
        post,
        st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
        st.sampled_from(["ann", "bob", "cid", "botty", "x-bot", ""]),
        minutes=st.floats(-5, 2000),
        number=st.integers(0, 9),
        days_old=st.none() | st.integers(0, 100),
    ),
    max_size=30,
    unique_by=lambda one: one.id,
)


@given(posts, st.randoms(use_true_random=False))
def test_every_post_is_heard_or_counted_and_the_order_makes_no_difference(given_posts: list[Post], chance: random.Random) -> None:
    result = damp(given_posts, now=NOW, rules=PEOPLE)
    lighter = {Reason.PUMP, Reason.TICKERS}
    dropped = sum(count for reason, count in result.reasons.items() if reason not in lighter)
    assert len(result.heard) + dropped == len(given_posts)
    assert all(0 < one.weight <= 1 for one in result.heard)
    shuffled = [*given_posts]
    chance.shuffle(shuffled)
    assert damp(shuffled, now=NOW, rules=PEOPLE) == result


def test_words_by_which_copies_are_known() -> None:
    assert normalised("Hello, u/bob! Look: https://x.y/z  FOO_bar") == ("hello", "look", "foo", "bar")
