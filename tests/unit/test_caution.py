"""Being more careful: a price that the bars before it do not lead up to is in doubt."""

from __future__ import annotations

from decimal import Decimal

import pytest

from graph.caution import unlike_bars
from tests.unit.feeds import START, bar, flat
from trading_core.domain.market import Bar, Ticker

CALM = [flat(index) for index in range(10)]
WILD = [*CALM, bar(10, "100", "100", "80", "100")]


def said(price: str, bars: list[Bar]) -> str:
    last = Decimal(price)
    return unlike_bars(Ticker("BTC/USDT", last, last, last, START), bars)


@pytest.mark.parametrize("price", ["94.9", "105.1", "130", "10", "1000"])
def test_a_price_that_no_bar_leads_up_to_is_in_doubt(price: str) -> None:
    assert said(price, CALM).startswith(f"{price} is ")


@pytest.mark.parametrize(
    ("price", "bars"),
    [("95", CALM), ("105", CALM), ("80", WILD), ("120", WILD), ("1000", [])],
    ids=["5 % below", "5 % above", "fell as far before", "moved as far before", "nothing to compare it with"],
)
def test_what_may_be_is_let_be(price: str, bars: list[Bar]) -> None:
    assert said(price, bars) == ""


def test_a_wild_market_has_its_bounds_too() -> None:
    assert said("121", WILD) == "121 is 21.0% off the last close, 100, and none of 11 bars moved as far"


def test_a_gap_between_two_bars_is_a_move() -> None:
    assert said("140", [*CALM, *(flat(10 + index, "120") for index in range(3))]) == ""
