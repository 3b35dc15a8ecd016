"""Exact amounts: parsing, text form, steps; and what every error tells."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain import errors
from trading_core.domain.errors import AlgoTrendyError, InvalidInput
from trading_core.domain.money import Money, ceil_to, decimal, floor_to, is_multiple, plain, positive, round_to

amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e15"), max_value=Decimal("1e15"), places=8)
steps = st.sampled_from([Decimal(text) for text in ("1", "0.5", "0.01", "0.00000001", "5", "100", "0.25", "1E+2")])


@given(amounts)
def test_text_and_number_are_each_others_inverse(value: Decimal) -> None:
    text = plain(value)
    assert decimal(text) == value
    assert plain(decimal(text)) == text
    assert "e" not in text.lower()
    assert text == "0" or not (("." in text and text.endswith("0")) or text.endswith("."))


@given(amounts, st.integers(0, 10))
def test_equal_numbers_have_one_text(value: Decimal, zeros: int) -> None:
    assert plain(value) == plain(Decimal(f"{value:f}" + ("." if "." not in f"{value:f}" else "") + "0" * zeros))
    assert plain(Decimal("-0")) == plain(Decimal("0E+5")) == "0"
    assert plain(Decimal("1E+3")) == "1000"


@given(amounts, steps)
def test_rounding_to_a_step(value: Decimal, step: Decimal) -> None:
    low, high, near = floor_to(value, step), ceil_to(value, step), round_to(value, step)
    assert all(is_multiple(rounded, step) for rounded in (low, high, near))
    assert abs(low) <= abs(value), "towards zero"
    assert abs(value) - abs(low) < step
    assert value <= high < value + step
    assert abs(near - value) <= step / 2
    assert floor_to(low, step) == low
    assert (value in (low, high)) == is_multiple(value, step)


@pytest.mark.parametrize("value", [1.5, float("nan"), True, None, "", "a", "NaN", "Infinity", "-inf", Decimal("NaN"), [], "1,5"])
def test_what_is_no_exact_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="price is"):
        decimal(value, name="price")


@pytest.mark.parametrize("value", [0, "-1", Decimal("-0.00000001")])
def test_positive_means_above_zero(value: Decimal | int | str) -> None:
    with pytest.raises(InvalidInput, match="must be above zero"):
        positive(value)
    assert positive("0.1") == Decimal("0.1")


def test_money_is_finite_and_names_its_asset() -> None:
    assert str(Money(Decimal("1.50"), "USDT")) == "1.5 USDT"
    with pytest.raises(InvalidInput):
        Money(Decimal("Infinity"), "USDT")


TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AlgoTrendyError) and kind is not errors.BadMarketFile
]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_what_happened_what_was_not_done_and_what_to_do(kind: type[AlgoTrendyError]) -> None:
    error = kind("it broke", not_done="Nothing was sent.", next_step="Try again")
    assert str(error) == "it broke. Nothing was sent. Try again."
    assert str(kind("why?")) == "why?"
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__


def test_a_bad_file_names_its_line() -> None:
    error = errors.BadMarketFile("a.csv", 7, "no close")
    assert str(error).startswith("a.csv, line 7: no close. The file was not loaded. Mend")
    assert str(errors.BadMarketFile("a.csv", 0, "empty")).startswith("a.csv: empty.")
