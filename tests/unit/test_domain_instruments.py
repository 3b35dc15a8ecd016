"""Venue filters."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import Instrument

D = Decimal
BTC = Instrument("BTC/USDT", D("0.01"), D("0.001"), D("0.002"), D(5), max_quantity=D(10), max_notional=D(5000))


def test_base_and_quote() -> None:
    assert (BTC.base, BTC.quote) == ("BTC", "USDT")


@pytest.mark.parametrize("symbol", ["", "BTC", "/USDT", "BTC/", "BTCUSDT"])
def test_a_symbol_has_two_sides(symbol: str) -> None:
    with pytest.raises(InvalidInput, match="BASE/QUOTE"):
        replace(BTC, symbol=symbol)


@pytest.mark.parametrize("field", ["tick_size", "lot_size"])
def test_steps_are_above_zero(field: str) -> None:
    with pytest.raises(InvalidInput, match="must be above zero"):
        replace(BTC, **{field: D(0)})


@pytest.mark.parametrize(
    ("quantity", "price", "says"),
    [
        ("0.05", "100", []),
        ("0.05", None, []),
        ("0", None, ["not above zero", "below the minimum", "notional"]),
        ("0.0505", "100", ["no multiple of the lot size"]),
        ("0.001", "5000", ["below the minimum 0.002"]),
        ("10.001", "100", ["above the maximum 10"]),
        ("0.05", "100.001", ["no multiple of the tick size"]),
        ("0.05", "-1", ["price -1 is not above zero", "notional"]),
        ("0.049", "100", ["notional 4.9 is below the minimum 5"]),
        ("0.049", None, ["notional 4.9 is below the minimum 5"]),
        ("10", "500", []),
        ("10", "500.01", ["notional 5000.1 is above the maximum 5000"]),
    ],
)
def test_every_broken_filter_is_named(quantity: str, price: str | None, says: list[str]) -> None:
    found = BTC.violations(D(quantity), D(price) if price else None, D(100))
    assert len(found) == len(says), found
    assert all(part in sentence for part, sentence in zip(says, found, strict=True))


positive = st.decimals(min_value=0, max_value=1000, places=6)


@given(positive, positive.map(lambda price: price + 1))
def test_dust_is_what_cannot_be_sold_by_itself(quantity: Decimal, price: Decimal) -> None:
    lots = BTC.floor_quantity(quantity)
    assert lots <= quantity < lots + BTC.lot_size
    unbounded = replace(BTC, max_quantity=None, max_notional=None)
    assert BTC.is_dust(quantity, price) == bool(unbounded.violations(lots, None, price))
    assert BTC.floor_price(price) <= price <= BTC.ceil_price(price)
