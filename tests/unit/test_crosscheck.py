"""Cross-checks: who lies is named, who does not is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.crosscheck import CLOCK_ALLOWANCE, LIMIT, Doubt, Finding, contradictions, examined, last_price
from tests.channels.sources import BTC, MINUTE, START, reading
from trading_core.domain.market import Reading, Ticker

STALE = timedelta(minutes=20)


def prices(*values: Decimal | int | str) -> list[Reading]:
    return [reading(value, source=f"s{index}") for index, value in enumerate(values)]


def doubted(*values: Decimal | int | str) -> list[int]:
    return [int(finding.source[1:]) for finding in contradictions(prices(*values))]


@pytest.mark.parametrize(
    ("values", "liars"),
    [
        ((), []),
        ((50_000,), []),
        ((50_000, 52_000), []),
        ((50_000, 500_000), [0, 1]),
        ((50_000, 52_600), [0, 1]),
        ((50_000, 50_100, 500_000), [2]),
        ((50_000, 5_000, 50_100), [1]),
        ((1, 2, 3), [0, 1, 2]),
        ((1, 1, 10, 10), [0, 1, 2, 3]),
        ((100, 101, 102, 1000), [3]),
    ],
)
def test_the_odd_one_out_is_named_and_without_a_majority_all_are(values: tuple[int, ...], liars: list[int]) -> None:
    assert doubted(*values) == liars


def test_a_finding_says_whose_what_and_by_how_much() -> None:
    [finding] = contradictions(prices(50_000, 50_000, 500_000))
    assert finding == Finding("s2", BTC, "price", Doubt.CONTRADICTED, Decimal(9))
    assert str(finding) == "s2: price of BTC/USDT is 900.0% off the others"


def test_a_dollar_stablecoin_is_a_dollar_and_other_currencies_are_not_compared() -> None:
    ticker = Ticker(BTC, Decimal(1), Decimal(2), Decimal(500_000), START)
    assert len(contradictions([reading(50_000), last_price("binance", ticker)])) == 2
    euros = reading(45_000, source="other", unit="EUR")
    assert contradictions([reading(50_000), euros]) == ()


@given(
    st.decimals(min_value="0.00000001", max_value=10**7, places=8),
    st.lists(st.decimals(min_value="-0.01", max_value="0.01", places=4), min_size=2, max_size=7),
    st.lists(st.decimals(min_value="0.0001", max_value="0.85", places=4) | st.decimals("1.2", 1000, places=4), max_size=6),
    st.randoms(use_true_random=False),
)
def test_as_long_as_most_are_honest_exactly_the_liars_are_found(
    truth: Decimal, honest: list[Decimal], lies: list[Decimal], order: object
) -> None:
    lies = lies[: len(honest) - 1]
    told = [(truth * (1 + off), False) for off in honest] + [(truth * lie, True) for lie in lies]
    order.shuffle(told)
    # Two prices have no majority, three or more with most of them honest do.
    assert doubted(*(price for price, _ in told)) == [index for index, (_, lies_) in enumerate(told) if lies_]


@given(st.lists(st.decimals(min_value="0.01", max_value=10**6, places=2), max_size=8))
def test_the_order_does_not_matter_and_those_left_agree(values: list[Decimal]) -> None:
    found = {finding.source for finding in contradictions(prices(*values))}
    assert found == {finding.source for finding in contradictions(prices(*values)[::-1])}
    left = [price.value for price in prices(*values) if price.source not in found]
    assert len(left) != 1 or len(values) == 1
    # Two that are near the same middle differ by twice the limit at most.
    assert not left or max(left) / min(left) <= (1 + LIMIT) / (1 - LIMIT)


FAULTS = [
    (reading(at=START + timedelta(hours=1)), Doubt.FUTURE, 3600),
    (reading(published=START + timedelta(minutes=2)), Doubt.FUTURE, 120),
    (reading(at=START, published=START - timedelta(minutes=3)), Doubt.BACKDATED, 180),
    (reading(at=START - timedelta(hours=3), published=START), Doubt.OLD, 10_800),
    (reading(0), Doubt.IMPOSSIBLE, 0),
    (reading(-1, name="market_cap"), Doubt.IMPOSSIBLE, -1),
    (reading("1.01", name="mood", unit="score"), Doubt.IMPOSSIBLE, "1.01"),
    (reading(101, name="index", unit="points"), Doubt.IMPOSSIBLE, 101),
    (reading(-101, name="change", unit="percent"), Doubt.IMPOSSIBLE, -101),
    (reading(-5, name="exchange_inflow", unit="BTC"), Doubt.IMPOSSIBLE, -5),
    (replace(reading(), quality=Decimal("1.1")), Doubt.IMPOSSIBLE, 1),
    (replace(reading(), spread=Decimal(-1)), Doubt.IMPOSSIBLE, 1),
    (replace(reading(), count=-1), Doubt.IMPOSSIBLE, 1),
]


@pytest.mark.parametrize(("wrong", "doubt", "by"), FAULTS, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_found(wrong: Reading, doubt: Doubt, by: int | str) -> None:
    finding = examined(wrong, now=START, stale_after=STALE)
    assert finding is not None
    assert (finding.doubt, finding.by) == (doubt, Decimal(by))
    assert str(finding).startswith(f"told: {wrong.name} of BTC/USDT ")


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_value_that_is_no_number_cannot_be(value: str) -> None:
    finding = examined(reading(value), now=START, stale_after=STALE)
    assert finding is not None
    assert "cannot be" in str(finding)


@pytest.mark.parametrize(
    "right",
    [
        reading(),
        reading(at=START + CLOCK_ALLOWANCE),
        reading("-0.5", name="mood", unit="score"),
        reading(-3, name="flow", unit="net coins"),
        reading(0, name="exchange_deposits", unit="count"),
        # Honest about its age: it is stale, and nothing is wrong with it.
        reading(at=START - timedelta(hours=3)),
        reading(at=START - 15 * MINUTE, published=START),
    ],
)
def test_what_can_be_is_left_alone(right: Reading) -> None:
    assert examined(right, now=START, stale_after=STALE) is None
