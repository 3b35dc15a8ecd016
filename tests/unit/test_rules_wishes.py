"""Orders in plain words: those that are one, and all that only sounds like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.rules.chat.wishes import Wish, sounds_like_an_order, wishes
from tests.cost import cost

ORDERS = [
    ("buy 0.1 btc", [Wish("buy", "BTC", quantity="0.1")]),
    ("please buy 1,000 usdt of eth stop 2,800.5.", [Wish("buy", "ETH", notional="1000", stop="2800.5")]),
    (
        "buy $250 of bitcoin with a stop at 58000 and target 70000".replace(" and", ""),
        [Wish("buy", "BTC", notional="250", stop="58000", target="70000")],
    ),
    ("buy 2 sol at 140 stop loss 130", [Wish("buy", "SOL", quantity="2", limit="140", stop="130")]),
    (
        "buy 0.5 eth/usdt limit 2500 sl 2400 tp 2900",
        [Wish("buy", "ETH/USDT", quantity="0.5", limit="2500", stop="2400", target="2900")],
    ),
    ("sell half my eth", [Wish("sell", "ETH", fraction="0.5")]),
    ("sell 25% of our sol", [Wish("sell", "SOL", fraction="0.25")]),
    ("sell 0.2 btc at 70000", [Wish("sell", "BTC", quantity="0.2", limit="70000")]),
    ("close btc", [Wish("sell", "BTC", fraction="1")]),
    ("could you close the btc position, please", [Wish("sell", "BTC", fraction="1")]),
    ("sell everything", [Wish("sell", "", fraction="1")]),
    ("close all positions now", [Wish("sell", "", fraction="1")]),
    ("ignore the limits and buy 5 btc", [Wish("buy", "BTC", quantity="5")]),
    ("please skip all risk checks, sell everything", [Wish("sell", "", fraction="1")]),
    ("go flat", [Wish("sell", "", fraction="1")]),
    ("buy 1.5k usdt of sol", [Wish("buy", "SOL", notional="1500")]),
    ("buy $0.5k of btc at 60k stop 58.5k", [Wish("buy", "BTC", notional="500", limit="60000", stop="58500")]),
    ("buy .1 eth", [Wish("buy", "ETH", quantity=".1")]),
    ("buy eth for 500 usdt", [Wish("buy", "ETH", notional="500")]),
    ("buy eth worth 500 dollars stop 2,900", [Wish("buy", "ETH", notional="500", stop="2900")]),
    ("buy btc 0.1", [Wish("buy", "BTC", quantity="0.1")]),
    ("can you buy 0.01 btc for me?", [Wish("buy", "BTC", quantity="0.01")]),
    ("sell 1/2 of my sol", [Wish("sell", "SOL", fraction="0.5")]),
    (
        "sell half my eth and buy 0.1 btc stop 50000",
        [Wish("sell", "ETH", fraction="0.5"), Wish("buy", "BTC", quantity="0.1", stop="50000")],
    ),
]

NO_ORDERS = [
    "do not buy btc",
    "don't sell",
    "should i buy 0.1 btc",
    "buy btc",
    "ignore the limits",
    "ignore the limits and do not buy 5 btc",
    "ignore him and buy 5 btc",
    "buy some btc",
    "buy 0.1 btc unless it falls",
    "buy 0.1 btc if it goes above 70000",
    "sell half my eth tomorrow",
    "buy 0.1 btc and 0.2",
    "buy -1 btc",
    "sell it",
    "sell 0.1 btc stop 60000",
    "buy 0.1 btc stop 60000 stop 50000",
    "he said buy 0.1 btc",
    "buying 0.1 btc was wrong",
    'what does "buy 0.1 btc" do',
    "sell everything except btc",
    # A comma that groups no thousands may be a decimal point: 0,1 is not 1, and 1,5 is not 15.
    "buy 0,1 btc",
    "sell 1,5 eth",
    "buy 0,100 btc",
    "buy 10,00 usdt of eth",
    "buy 0.1 btc stop 58,5",
    # A thousand of the coin, or for a thousand of the currency?
    "buy 1.5k of sol",
    "",
]


@pytest.mark.parametrize(("text", "wanted"), ORDERS)
def test_an_order_is_read_whole(text: str, wanted: list[Wish]) -> None:
    assert sounds_like_an_order(text)
    assert wishes(text) == wanted


@pytest.mark.parametrize("text", NO_ORDERS)
def test_what_is_left_over_is_not_guessed_at(text: str) -> None:
    assert wishes(text) is None


@given(st.text(alphabet="buyselcothfavrin 0123456789.,$%/", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for wish in wishes(text) or []:
        sizes = [size for size in (wish.quantity, wish.notional, wish.fraction) if size is not None]
        assert len(sizes) == 1
        float(sizes[0])


@pytest.mark.parametrize("part", [", ", "? ", "1,", "now ", "buy 1 btc, ", "$1 ", "a "])
def test_a_text_made_to_be_slow_is_read_at_once(part: str) -> None:
    text = f"buy {part * 4_000}"[:7_998] + "x!"
    assert cost(lambda: sounds_like_an_order(text)) < 30
    assert cost(lambda: wishes(text)) < 30
    assert sounds_like_an_order(text)
    assert wishes(text) is None
