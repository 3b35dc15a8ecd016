"""How the gate takes numbers and times that may be anything, and how it writes them down."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.risk_cases import NOW
from trading_core.domain.orders import Side
from trading_core.risk.checks import ARITHMETIC, HUGE, TINY, UNKNOWN, age, aware, or_unknown, text, usable

D = Decimal
NAIVE = NOW.replace(tzinfo=None)


@pytest.mark.parametrize("value", [TINY, D("1.1E-18"), D(1), D("9.9E+17"), HUGE])
def test_amounts_of_this_world_are_usable(value: Decimal) -> None:
    assert usable(value)
    assert or_unknown(value) is value


@pytest.mark.parametrize(
    "value",
    [
        D("0.9E-18"),
        D("1.0000001E+18"),
        D("1E+40"),
        D(0),
        D(-1),
        -HUGE,
        D("NaN"),
        D("Infinity"),
        D("-Infinity"),
        1,
        1.0,
        "1",
        None,
    ],
)
def test_everything_else_is_unknown(value: object) -> None:
    with localcontext(ARITHMETIC):
        assert not usable(value)
        assert or_unknown(value) is UNKNOWN


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (D("0.10"), "0.1"),
        (D("10.000"), "10"),
        (D(100), "100"),
        (D("-1.50"), "-1.5"),
        (D("NaN"), "unknown"),
        (D("sNaN"), "unknown"),
        (D("Infinity"), "Infinity"),
        (D("-Infinity"), "-Infinity"),
        (D("1E+3"), "1000"),
        (D("-2.50E+3"), "-2500"),
        (D("1E-9"), "0.000000001"),
        (D("0E+999999"), "0"),
        (D("0E-999"), "0"),
        (D("1E+59"), "1" + "0" * 59),
        (D("1E+60"), "1E+60"),
        (D("-1E+60"), "-1E+60"),
        (D("1E-59"), "0." + "0" * 58 + "1"),
        (D("1E-60"), "1E-60"),
        (D("1E+999999"), "1E+999999"),
        (D("1E-999999"), "1E-999999"),
        (D("1." + "1" * 80 + "E+999"), "1." + "1" * 38),
        ("word", "word"),
        ("x" * 81, "x" * 80),
        (Side.BUY, "buy"),
        (True, "True"),
        (7, "7"),
        (NOW.date(), "2026-03-01"),
        (10**90, "1" + "0" * 79),
    ],
)
def test_a_value_is_written_shortly_and_without_exponent_where_it_can_be(value: object, written: str) -> None:
    assert text(value) == written


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15))
def test_what_is_written_is_the_number(value: Decimal) -> None:
    written = text(value)
    assert D(written) == value
    assert "E" not in written
    assert not (written.endswith("0") and "." in written)


def test_an_age_needs_two_times_with_zones() -> None:
    assert age(NOW, NOW - timedelta(seconds=5)) == timedelta(seconds=5)
    assert age(NOW, NOW + timedelta(seconds=5)) == timedelta(seconds=-5)
    for now, at in ((NOW, None), (NOW, "2026-03-01"), (NOW, NAIVE), (NAIVE, NOW), (NAIVE, NAIVE)):
        assert age(now, at) is None


def test_a_clock_without_zone_is_read_as_utc() -> None:
    assert aware(NOW) is NOW
    assert aware(NAIVE) == NOW


def test_the_product_of_two_amounts_is_exact() -> None:
    largest = D("999999999999999999.9999999")
    with localcontext(ARITHMETIC):
        product = largest * largest
    assert Fraction(product) == Fraction(largest) ** 2


def test_no_arithmetic_of_the_gate_raises() -> None:
    with localcontext(ARITHMETIC):
        for number in (D(1) / D(0), D("sNaN") + 1, D("Infinity") - D("Infinity"), D("1E+999999") * D("1E+999999")):
            assert not number <= 1
            assert text(number) in ("unknown", "Infinity")
