"""What counts as a number with evidence, and every way round it that a writer could try."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.grounding import cited, problems
from tests.unit.builders import evidence

ITEM, HELD = evidence(
    last_close=63120.5,
    rsi_14=28.4,
    drawdown=0.12,
    change=-3.2,
    timeframe="1h",
    symbol="1INCH/USDT",
    at="2026-01-02T03:00:00Z",
    limits={"max_position": "0.25"},
    rows=[[1, 3], [5, 10, 12, 63, 120]],
    flag=True,
)
ID = f"[{ITEM.id}]"


def check(text: str) -> list[str]:
    """Problems of a text in which `@` stands for the citation."""
    return problems([text.replace("@", ID)], HELD)


@pytest.mark.parametrize(
    "text",
    [
        "No numbers at all.",
        "RSI 28.4 @.",
        "RSI(14) 28.4 @, rounded 28 @.",
        "RSI 14 is 28 @",
        "ADX(14) and ATR(14) are missing; RSI 14 too.",
        "close 63,120.5 @ is above EMA 200 and EMA 50",
        "between EMA 20/50/200, EMA(20), EMA-50 and EMA20",
        "MACD(12,26,9), MACD 12/26/9, Bollinger(20,2), Donchian 20 and 10",
        "+DI 14 over -DI 14",
        "the 20-bar high 63121 @ and the 10-bar low",
        "a drawdown of 12 % @, 12% @ or 0.12 @",
        "fell 3.2 % @, -3.2% @, −3.2 @, minus 3.2 @",
        "as of 2026-01-02 @, at 2026-01-02T03:00 @ and 2026-01-02T03:00:00Z @.",
        "on 1h @ bars",
        "1INCH/USDT stands at 28.4 @",
        "up to 0.25 @ of equity",
        "10-12 @ and 10–12 % @",
        "(28.4 @), **28.4** @, $63,120.5 @, close:63120.5 @, RSI=28.4 @, ADX>10 @",
        "6.31205e4 @ and 6.3e4 @",
        "２８.４ @",
        "close 63,120.5 and RSI 28.4 @",
        "The number is 28.4 [e00000000]".replace("[e00000000]", f"[{ITEM.id}, {ITEM.id}]"),
        "Stop two times ATR(14) below; one bet is enough.",
    ],
)
def test_supported_numbers_and_names(text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    "text",
    [
        # without a citation, or with one elsewhere
        "RSI 28.4",
        "RSI 28.4. @",
        "@ RSI 28.4",
        "RSI 28.4;\n@",
        "RSI 28.4 (" + ITEM.id + ")",
        "RSI 28.4 " + ID.upper(),
        # another value
        "RSI 28.5 @",
        "RSI 29 @",
        "close 63,120.6 @",
        "13 % @",
        "28.40001 @",
        "2026-01-03 @",
        "0.4 @",
        "9e9 @",
        "0e9 @",
        "1e400 @",
        "1e-400 @",
        # another sign
        "+3.2 % @",
        "-28.4 @",
        "minus 28.4 @",
        # values dressed as parameters
        "RSI 99 @",
        "RSI 99",
        "RSI(99) @",
        "volatility 85",
        "ATR 1200.5 @",
        "EMA 63000 @",
        "EMA 50.5",
        "EMA 200,5",
        "EMA 50 %",
        "RSI 14.2",
        "RSI 140",
        "RSI 14 @",
        "ADX 14 %",
        "volatility 20 % @",
        "MACD 12/26/9.5",
        "a 37-day rally",
        "the 9-bar high",
        # numbers in parts that are each supported
        "63 120 @",
        "63\u00a0120 @",
        "12,5 @",
        "1,3,5 @",
        "1/3 @",
        "3:1 @",
        "10:12 @",
        ".12 @ @",
        "1.2.3 @",
        "12’120 @",
        "10_12 @",
        "5*10 @",
        "9\u200b9 @",
        "12\u033612 @",
        "10/12/2026 @",
        # scales and units stuck to it
        "12k @",
        "12 K @",
        "12 M @",
        "12 bn @",
        "12 million @",
        "12h @",
        "x12 @",
        "5th @",
        "top10 @",
        "#3 @",
        "0x10 @",
        "12e @",
        # words
        "five percent @",
        "sixty three thousand @",
        "twenty-eight point four @",
        "nine point five @",
        "a dozen @",
        # other scripts
        "½ @",
        "3² @",
        "Ⅻ @",
        "①",
        "六",
        "٩٩ @",
        "９９ @",
        "99",
        "𝟗𝟗 @",
        "9\ufe0f\u20e3",
    ],
)
def test_whatever_reads_as_a_number_is_refused_without_its_evidence(text: str) -> None:
    assert check(text) != []


def test_problems_say_what_is_wrong() -> None:
    assert check("RSI 28.4") == ["'28.4' cites no evidence"]
    assert check("RSI 99.1 @") == [f"'99.1' is not in {ITEM.id}"]
    assert check("RSI 28.4 [e00000000]") == ["'28.4' cites e00000000, which is no tool result of this agent"]
    assert check(f"RSI 28.4 [{ITEM.id}, e00000000]") != [], "one invented id spoils the citation"
    assert len(check("1.5, 2.5 and 3.5 @")) == 3


def test_any_of_the_cited_results_may_hold_it() -> None:
    one, first = evidence(a=1.25)
    two, second = evidence(b=2.5)
    held = {**first, **second}
    for citation in (f"[{one.id}, {two.id}]", f"[{one.id}][{two.id}]", f"[{one.id}] [{two.id}]"):
        assert problems([f"1.25 and 2.5 {citation}"], held) == []
    assert problems([f"2.5 [{one.id}]"], held) != []


def test_the_next_citation_is_the_one_that_counts() -> None:
    one, first = evidence(a=1.25)
    two, second = evidence(b=2.5)
    assert problems([f"a 1.25 [{one.id}] and b 2.5 [{two.id}]"], {**first, **second}) == []
    assert problems([f"a 1.25 [{two.id}] and b 2.5 [{one.id}]"], {**first, **second}) != []


def test_leaves_that_are_no_numbers_support_none() -> None:
    item, held = evidence(a="nan", b=float("inf"), c=None, d=True, e="only 12 bars")
    for text in ("1", "0", "12", "1e999", "-1"):
        assert problems([f"{text} [{item.id}]"], held) != []


@pytest.mark.parametrize("id_", ["12e345678901", "-7e-99999999", "1e1001", "0e99999999999"])
def test_an_id_that_reads_as_an_immense_number_is_none(id_: str) -> None:
    """Arithmetic with it would overflow, and one in some hundred ids has nothing but digits around one `e`."""
    item, held = evidence(intent=id_, close=5)
    assert problems([f"The close is 5 [{item.id}]."], held) == []
    assert problems([f"It fell 3 % or 3 [{item.id}]."], held) != []


def test_citations_are_listed_once_in_order() -> None:
    assert cited(["a [e00000002, e00000001]", "b [e00000001][e00000003] and [e9] [f00000001]"]) == [
        "e00000002",
        "e00000001",
        "e00000003",
    ]


values = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(values, st.integers(0, 8), st.booleans())
def test_a_number_shown_at_any_digits_is_supported(value: float, digits: int, grouped: bool) -> None:
    item, held = evidence(nested={"rows": [["x", value]]})
    written = Decimal(str(value))  # as a model reads it in the JSON of the result
    text = f"{written:,.{digits}f}" if grouped else f"{written:.{digits}f}"
    assume(float(text.replace(",", "")) != 0 or value >= 0)  # "-0.0" would be a sign and no size
    assert problems([f"it is {text} [{item.id}]"], held) == []
    assert problems([f"it is {text}"], held) != []


@given(values, st.integers(0, 8), st.sampled_from([-3, -2, 2, 3]))
def test_a_number_changed_beyond_rounding_is_refused(value: float, digits: int, steps: int) -> None:
    item, held = evidence(value=value)
    unit = Decimal(1).scaleb(-digits)
    shown = abs(Decimal(str(value))).quantize(unit) + steps * unit
    assume(shown > 0)
    assert problems([f"it is {shown:.{digits}f} [{item.id}]"], held) != []


@given(st.floats(min_value=1e-4, max_value=10, allow_nan=False), st.integers(0, 4))
def test_a_fraction_may_be_told_in_percent(value: float, digits: int) -> None:
    item, held = evidence(value=value)
    assert problems([f"it is {value * 100:.{digits}f} % [{item.id}]"], held) == []


@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    check(text)
    cited([text])


@given(st.from_regex(r"-?[0-9.]{1,9}[eE]-?[0-9]{1,12}", fullmatch=True), st.text(alphabet="0123456789.,-+eE%", max_size=20))
def test_no_evidence_raises(leaf: str, claim: str) -> None:
    item, held = evidence(id=leaf, rows=[{"value": leaf}])
    problems([f"{claim} [{item.id}]"], held)


@given(st.text(alphabet="0123456789.,-+eE%/: @xk()", max_size=40))
def test_digits_in_any_dress_are_refused_against_empty_evidence(text: str) -> None:
    item, held = evidence(nothing=None)
    filled = text.replace("@", f"[{item.id}]")
    if any(character.isdigit() for character in text):
        assert problems([filled], held) != []
