"""Sizing rules, and sizing down to what the gate lets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.risk_cases import (
    ACTOR,
    BTC,
    ETH,
    INSTRUMENTS,
    LIMITS,
    SOL,
    buy,
    decide,
    holding,
    inputs,
    instrument,
    limits,
    live,
    recent,
    sell,
    ticker,
)
from trading_core.domain.errors import InvalidInput
from trading_core.domain.orders import Side
from trading_core.risk.sizing import QUANTITY_DEPENDENT, affordable, fixed_fractional, fractional_kelly, volatility_targeted

D = Decimal
AMOUNT = st.decimals(min_value=D("0.01"), max_value=D(10**9), places=2)
UNIT = st.decimals(min_value=D("0.0001"), max_value=D(1), places=4)


def test_fixed_fractional_by_hand() -> None:
    assert fixed_fractional(D(10_000), D("0.02"), D(100), D(90), D(0)) == 20
    # 200 / (10 + 0.001 × 190)
    assert fixed_fractional(D(10_000), D("0.02"), D(100), D(90), D("0.001")) == D(200) / D("10.19")


@given(AMOUNT, UNIT, AMOUNT, UNIT, UNIT)
def test_fixed_fractional_loses_what_it_says(equity: D, risk: D, entry: D, depth: D, fee: D) -> None:
    stop = entry * (1 - depth * D("0.99"))
    quantity = fixed_fractional(equity, risk, entry, stop, fee)
    lost = quantity * (entry - stop) + quantity * fee * (entry + stop)
    assert abs(lost - equity * risk) <= equity * D("1e-15")


def test_volatility_targeted_by_hand() -> None:
    assert volatility_targeted(D(10_000), D("0.2"), D("0.8"), D(100)) == 25
    assert volatility_targeted(D(10_000), D("0.9"), D("0.3"), D(100)) == 100


def test_fractional_kelly_by_hand() -> None:
    # standard error 0.02 / √100 = 0.002; half of (0.003 − 0.002) / 0.0004
    assert fractional_kelly(D(10_000), D("0.5"), D("0.003"), D("0.02"), 100, D(100)) == 125 * D("1") * D("0.8")
    assert fractional_kelly(D(10_000), D("0.1"), D("0.003"), D("0.02"), 100, D(100)) == 25
    assert fractional_kelly(D(10_000), D("0.1"), D("0.003"), D("0.02"), 100, D(100), standard_errors=D(0)) == 75


def test_kelly_stakes_nothing_on_a_mean_within_its_own_error() -> None:
    assert fractional_kelly(D(10_000), D("0.5"), D("0.002"), D("0.02"), 100, D(100)) == 0
    assert fractional_kelly(D(10_000), D("0.5"), D("-0.01"), D("0.02"), 10_000, D(100)) == 0


@given(st.integers(2, 5_000), st.integers(2, 5_000))
def test_kelly_stakes_more_only_on_more_evidence(few: int, many: int) -> None:
    few, many = sorted((few, many))
    stakes = [fractional_kelly(D(1000), D("0.1"), D("0.002"), D("0.02"), n, D(1)) for n in (few, many)]
    assert 0 <= stakes[0] <= stakes[1] <= 1000


@pytest.mark.parametrize(
    "call",
    [
        lambda: fixed_fractional(D(1), D("0.02"), D(100), D(100), D(0)),
        lambda: fixed_fractional(D(1), D("0.02"), D(100), D(101), D("0.5")),
        lambda: fixed_fractional(D(1), D("-0.01"), D(100), D(90), D(0)),
        lambda: fractional_kelly(D(1), D("1.01"), D(1), D(1), 9, D(1)),
        lambda: fractional_kelly(D(1), D(1), D(1), D(1), 9, D(1), standard_errors=D("-0.1")),
        lambda: fixed_fractional(D(1), D("1.01"), D(100), D(90), D(0)),
        lambda: fixed_fractional(D(1), D("0.02"), D(100), D(90), D("-0.001")),
        lambda: fixed_fractional(D("NaN"), D("0.02"), D(100), D(90), D(0)),
        lambda: volatility_targeted(D(1), D("0.2"), D(0), D(1)),
        lambda: fractional_kelly(D(1), D(1), D(1), D(1), 1, D(1)),
        lambda: fractional_kelly(D(1), D(1), D("Infinity"), D(1), 9, D(1)),
    ],
)
def test_unusable_numbers_are_refused(call: Callable[[], Decimal]) -> None:
    with pytest.raises(InvalidInput):
        call()


def test_a_quantity_that_passes_is_left_alone() -> None:
    assert affordable(buy("10.005"), inputs(), LIMITS) == D("10.005")


@pytest.mark.parametrize(
    ("changes", "largest"),
    [
        ({"max_order_notional": 5_000}, "50"),
        ({"max_position": "0.1"}, "100"),
        ({"max_exposure": "0.123456"}, "123.456"),
        ({"max_correlated_exposure": "0.05"}, "50"),
        ({"max_concentration": "0.04"}, "200"),
        ({"risk_per_trade": "0.005"}, "49.067"),  # 500 / 10.19
        ({"cash_reserve": "0.9"}, "99.9"),  # 10 000 / 100.1
    ],
)
def test_each_bound_sets_the_size(changes: dict[str, object], largest: str) -> None:
    roomy = {
        "max_order_notional": 10**6,
        "max_position": 1,
        "max_exposure": 1,
        "max_correlated_exposure": 1,
        "max_concentration": 1,
        "risk_per_trade": 1,
    }
    assert affordable(buy(900), inputs(), limits(**{**roomy, **changes})) == D(largest)


def test_a_sale_is_sized_to_what_is_free() -> None:
    given = inputs(portfolio=holding(0, BTC="5.0005"), open_orders=(live(Side.SELL, 2),))
    assert affordable(sell(9), given, LIMITS) == 3


@pytest.mark.parametrize(
    "nothing",
    [
        (buy("NaN"), inputs()),
        (buy(), inputs(tickers={})),
        (buy(symbol="DOGE/USDT"), inputs()),
        (buy(), inputs(portfolio=holding(0))),
        (buy("0.0001"), inputs()),
        (buy(), inputs(instruments={**INSTRUMENTS, BTC: instrument(min_notional=D(10**7))})),
        (buy(), inputs(instruments={**INSTRUMENTS, BTC: instrument(taker_fee=D("NaN"))})),
        (sell(), inputs()),
    ],
)
def test_nothing_is_affordable_when_something_is_not_known_or_there_is_no_room(nothing: tuple[object, object]) -> None:
    assert affordable(*nothing, LIMITS) == 0


@st.composite
def desks(draw: st.DrawFn) -> tuple[object, object, object]:
    quantity = draw(st.decimals(min_value=D("0.001"), max_value=D(10_000), places=draw(st.integers(0, 5))))
    intent = draw(st.sampled_from([buy, sell]))(quantity)
    orders = draw(
        st.lists(st.builds(live, st.sampled_from(list(Side)), st.integers(1, 200), st.sampled_from([BTC, ETH, SOL])), max_size=4)
    )
    given = inputs(
        portfolio=holding(draw(st.integers(0, 200_000)), BTC=draw(st.integers(0, 900)), ETH=draw(st.integers(0, 900))),
        open_orders=tuple(orders),
        tickers={s: ticker(s, D(draw(st.integers(96, 104)))) for s in (BTC, ETH, SOL)},
        correlations={frozenset((BTC, ETH)): draw(st.decimals(-1, 1, places=2))},
        recent_orders=(recent(symbol=BTC),) * draw(st.integers(0, 4)),
        actor=replace(ACTOR, max_order_notional=draw(st.none() | st.integers(1, 10**6).map(D))),
    )
    bounds = limits(
        max_position=draw(UNIT),
        max_exposure=draw(UNIT),
        max_correlated_exposure=draw(UNIT),
        max_concentration=draw(UNIT),
        risk_per_trade=draw(UNIT),
        cash_reserve=draw(UNIT),
    )
    return intent, given, bounds


@settings(max_examples=2 * settings.default.max_examples)
@given(desks())
def test_what_is_affordable_passes_and_one_lot_more_does_not(desk: tuple[object, object, object]) -> None:
    intent, given_inputs, bounds = desk
    wanted = decide(intent, given_inputs, bounds)
    quantity = affordable(intent, given_inputs, bounds)
    assert 0 <= quantity <= intent.quantity
    if not QUANTITY_DEPENDENT & set(wanted.reason_codes):
        assert quantity == intent.quantity
    if quantity:
        sized = decide(replace(intent, quantity=quantity), given_inputs, bounds)
        assert not QUANTITY_DEPENDENT & set(sized.reason_codes)
        more = replace(intent, quantity=quantity + D("0.001"))
        if more.quantity <= intent.quantity:
            assert QUANTITY_DEPENDENT & set(decide(more, given_inputs, bounds).reason_codes)
