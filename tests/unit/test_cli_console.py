"""Numbers, reasons and the gate's word as they are shown."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from api.console.phrases import tightest
from api.console.screen import Line, table
from api.console.support import supports
from api.console.text import clean, exact, measure, reason, sparkline, uncited
from trading_core.domain.intents import Check
from trading_core.persistence.records import EvidenceRecord

AT = datetime(2025, 3, 3, tzinfo=UTC)
FINITE = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=6)


def evidence(**result: object) -> dict[str, EvidenceRecord]:
    kept = EvidenceRecord("run", "e0123abcd", "signal", "BTC/USDT", "get_indicators", {"symbol": "BTC/USDT"}, result, AT)
    return {kept.id: kept}


@given(st.lists(FINITE, min_size=1, max_size=200), st.integers(min_value=2, max_value=60))
def test_a_sparkline_fits_and_tells_high_from_low(values: list[Decimal], width: int) -> None:
    line = sparkline(values, width)
    assert 1 <= len(line) <= width
    if values[0] < values[-1]:
        assert line[0] <= line[-1]
    if values[0] > values[-1]:
        assert line[0] >= line[-1]


@given(FINITE)
def test_exact_loses_no_digit(value: Decimal) -> None:
    assert Decimal(exact(value).replace(",", "")) == value


@given(st.text())
def test_a_text_from_outside_cannot_steer_the_terminal(text: str) -> None:
    shown = clean(text)
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.2499973423", "0.25"), ("24999.7", "25,000"), ("12.3456789", "12.346"), ("listed", "listed"), ("NaN", "NaN"), (3, "3")],
)
def test_measures_are_short(value: object, shown: str) -> None:
    assert measure(value) == shown


def test_the_evidence_behind_each_number_is_found_by_rounding() -> None:
    text = "Breakout: close 57,543.4 [e0123abcd] above the 20-bar high 57,532.8 [e0123abcd], ADX(14) 30.5 [e0123abcd]."
    found = supports(text, evidence(last_close=57543.44, donchian_20_high=57532.75, adx_14=30.4957, atr_14=14.0))
    assert [(item.shown, item.field, item.value) for item in found] == [
        ("57,543.4", "last_close", "57,543.44"),
        ("57,532.8", "donchian_20_high", "57,532.75"),
        ("30.5", "adx_14", "30.4957"),
    ]


def test_a_number_that_no_evidence_holds_has_no_support() -> None:
    assert supports("close 99 [e0123abcd], RSI 30 [e99999999]", evidence(last_close=57543.44)) == []


def test_citations_are_dimmed_and_can_be_left_out() -> None:
    shown = reason("close 5 [e0123abcd] fell")
    assert any(span.style == "dim" and "e0123abcd" in shown.plain[span.start : span.end] for span in shown.spans)
    assert uncited("close 5 [e0123abcd, e99999999] fell.") == "close 5 fell."


def test_the_tightest_caps_come_first_and_cash_counts_the_other_way_round() -> None:
    def check(code: str, found: str, limit: str) -> Check:
        return Check(code, True, found, limit)

    checks = [check("tick_size", "1", "1"), check("risk_per_trade", "0.001", "0.02"), check("insufficient_cash", "9000", "5000")]
    assert [item.code for item in tightest(checks)] == ["insufficient_cash", "risk_per_trade"]
    at_limit = check("order_cap", "24999", "25000")
    assert tightest([*checks, at_limit]) == [at_limit]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 110])
def test_a_table_loses_no_column_and_cuts_no_number_on_a_narrow_screen(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    shown = table("Positions", "symbol", "quantity", "price", "value", "weight", right=("quantity", "price", "value", "weight"))
    shown.add_row("SOL/USDT", "156.09375", "159.21922", "24,754.91", "24.78 %")
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    assert all(part in told for part in ("symbol", "weight", "SOL/USDT", "156.09375", "159.21922", "24,754.91", "24.78 %")), told


@given(st.text(max_size=300), st.booleans(), st.integers(min_value=45, max_value=140))
@example("0" * 26 + "\u0300", False, 45)  # a mark that takes no column of its own
def test_lines_stay_within_the_screen(text: str, short: bool, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    console.print(Line("signal", "BTC", reason(text), short=short))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    assert len(lines) <= 1 or not short
