"""Which assets a text speaks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.sentiment.mentions import NAMES, cashtags, mentioned

ALL = frozenset({*NAMES, "NEWCOIN"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BTC looks fine", {"BTC"}),
        ("btc looks fine", {"BTC"}),
        ("Bitcoin, #bitcoin and bitcoins", {"BTC"}),
        ("#BTC", {"BTC"}),
        ("$btc $link $sol", {"BTC", "LINK", "SOL"}),
        ("bitcoin cash is not what it was", {"BCH"}),
        ("Bitcoin cash and bitcoin", {"BCH", "BTC"}),
        ("ethereum classic", {"ETC"}),
        ("Ether and Ethereum", {"ETH"}),
        ("the LINK is in the description", set()),
        ("click the link, it is near", set()),
        ("LINK staking on the mainnet", {"LINK"}),
        ("LINK or BTC?", {"LINK", "BTC"}),
        ("link staking on the mainnet", set()),
        ("NEAR and DOT are good tokens", {"NEAR", "DOT"}),
        ("PLEASE USE THE LINK NEAR THE TOKEN PAGE", set()),
        ("NEWCOIN is out", set()),
        ("NEWCOIN is a coin", {"NEWCOIN"}),
        ("$NEWCOIN", {"NEWCOIN"}),
        ("it costs $50 or $BTCUSD", set()),
        ("https://example.org/BTC/bitcoin-is-dead", set()),
        ("subtcx, ethics, bitcoiner", set()),
        ("Ada Lovelace, Sol Invictus", set()),
        ("", set()),
    ],
)
def test_names_tickers_and_words(text: str, found: set[str]) -> None:
    assert mentioned(text, ALL) == found


def test_only_what_was_asked_for() -> None:
    assert mentioned("BTC, ETH and $LINK", frozenset({"ETH"})) == {"ETH"}
    assert mentioned("BTC", frozenset()) == frozenset()


def test_every_cashtag_known_or_not() -> None:
    assert cashtags("$btc, $WAGMI9! $5 a$b $$c") == {"BTC", "WAGMI9"}


@given(st.text(max_size=200))
def test_any_text_gives_some_of_those_asked_for(text: str) -> None:
    assert mentioned(text, ALL) <= ALL
