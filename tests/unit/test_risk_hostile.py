"""Whatever is asked, the gate answers, and what it approves keeps to the limits by sums made here a second time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.risk_cases import (
    ACTOR,
    BTC,
    ETH,
    LIMITS,
    NOW,
    PERMISSIONS,
    SOL,
    TICKERS,
    buy,
    decide,
    holding,
    inputs,
    limits,
    live,
    recent,
    risk,
    ticker,
)
from trading_core.auth.permissions import Action
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.intents import TradeIntent, Verdict
from trading_core.domain.orders import OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.execution.proposing import PROPOSES
from trading_core.risk.engine import GateInputs
from trading_core.risk.limits import Limits, Tighter, direction, tightened
from trading_core.risk.sizing import affordable
from trading_core.risk.state import TradingState

D = Decimal
BAD = ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "0", "-0", "-1", "1E+999999", "1E-999999", "1E+40", "0E+999999", "1" * 80]
NUMBERS = st.sampled_from(BAD).map(D) | st.decimals(allow_nan=True, allow_infinity=True)
SYMBOLS = st.sampled_from([BTC, ETH, "DOGE/USDT", "BTC/EUR", "BTC", "", "/", "../../etc", "btc/usdt", "BTC/USDT "])
GOOD_PRICES = st.decimals(min_value=D("94.5"), max_value=D("105.5"), places=2)
GOOD_STOPS = st.decimals(min_value=D(70), max_value=D("101"), places=2)
QUANTITIES = st.decimals(min_value=D("0.05"), max_value=D(250), places=3)
TIMES = st.integers(-100_000, 100).map(lambda seconds: NOW + timedelta(seconds=seconds))


def intents(numbers: st.SearchStrategy[Decimal], prices: st.SearchStrategy[Decimal]) -> st.SearchStrategy[TradeIntent]:
    maybe = st.none() | prices
    return st.builds(
        TradeIntent,
        intent_id=st.just("i"),
        run_id=st.just("r"),
        account_id=st.sampled_from(["paper", "paper", "paper", "live", ""]),
        proposer=st.sampled_from(["signal", "signal", "signal", "operator"]),
        purpose=st.sampled_from(Purpose),
        symbol=SYMBOLS,
        side=st.sampled_from(Side),
        quantity=numbers,
        type=st.sampled_from(OrderType),
        created_at=st.just(NOW),
        limit_price=maybe,
        stop_price=maybe,
        worst_price=maybe,
        time_in_force=st.sampled_from(TimeInForce),
    )


@st.composite
def good_orders(draw: st.DrawFn) -> TradeIntent:
    """Orders near the limits, most of them well made, so that many are approved."""
    intent = buy(
        draw(QUANTITIES), limit_price=draw(GOOD_PRICES), stop_price=draw(GOOD_STOPS), symbol=draw(st.sampled_from([BTC, ETH]))
    )
    if draw(st.booleans()):
        intent = replace(intent, type=OrderType.MARKET, limit_price=None, worst_price=draw(st.none() | GOOD_PRICES))
    if draw(st.integers(0, 3)) == 0:
        intent = replace(intent, purpose=Purpose.EXIT, side=Side.SELL)
    return intent


@st.composite
def desks(draw: st.DrawFn) -> GateInputs:
    orders = st.builds(
        live,
        st.sampled_from(Side),
        st.integers(1, 100),
        st.sampled_from([BTC, ETH, SOL]),
        state=st.sampled_from([*[OrderState.OPEN] * 9, OrderState.UNKNOWN]),
        limit_price=st.none() | GOOD_PRICES,
    )
    return inputs(
        portfolio=holding(draw(st.integers(20_000, 200_000)), BTC=draw(st.integers(0, 80)), ETH=draw(st.integers(0, 80))),
        open_orders=tuple(draw(st.lists(orders, max_size=4))),
        actor=replace(ACTOR, actions=draw(st.sampled_from([*[PERMISSIONS] * 9, frozenset({Action.PROPOSE_EXIT})]))),
        risk=risk(
            trading_state=draw(st.sampled_from([TradingState.ACTIVE] * 9 + [TradingState.REDUCING, TradingState.HALTED])),
            peak_equity=D(draw(st.integers(0, 60_000))),
            day_start_equity=D(draw(st.integers(0, 60_000))),
            consecutive_losses=draw(st.sampled_from([0, 0, 1, 3, 4])),
            last_loss_at=draw(st.none() | TIMES),
        ),
        correlations={frozenset((BTC, ETH)): draw(st.decimals(-1, 1, places=2))},
        recent_orders=tuple(
            recent(draw(st.integers(0, 90_000)), symbol=draw(st.sampled_from([BTC, ETH])), quantity=draw(QUANTITIES))
            for _ in range(draw(st.integers(0, 5)))
        ),
        has_approval=draw(st.booleans()),
    )


# Each costs the search for examples more than the gate: a hundred or two of each here, and thousands in the slow suite.
MANY = settings(max_examples=2_000, suppress_health_check=[HealthCheck.too_slow])
HOSTILE = (intents(NUMBERS, NUMBERS), desks(), st.lists(NUMBERS, min_size=6, max_size=6), st.booleans())


@given(*HOSTILE)
def test_hostile_numbers_never_raise_and_are_never_approved(
    intent: TradeIntent, given_inputs: GateInputs, numbers: list[Decimal], poisoned: bool
) -> None:
    _hostile_numbers_are_denied(intent, given_inputs, numbers, poisoned)


@pytest.mark.slow
@MANY
@given(*HOSTILE)
def test_thousands_of_hostile_numbers_never_raise_and_are_never_approved(
    intent: TradeIntent, given_inputs: GateInputs, numbers: list[Decimal], poisoned: bool
) -> None:
    _hostile_numbers_are_denied(intent, given_inputs, numbers, poisoned)


def _hostile_numbers_are_denied(intent: TradeIntent, given_inputs: GateInputs, numbers: list[Decimal], poisoned: bool) -> None:
    if poisoned:
        a, b, c, d, e, f = numbers
        given_inputs = replace(
            given_inputs,
            tickers={**TICKERS, BTC: ticker(bid=a, ask=b, last=c)},
            portfolio=replace(given_inputs.portfolio, balances={"USDT": d}),
            risk=replace(given_inputs.risk, peak_equity=e),
            correlations={frozenset((BTC, ETH)): f},
        )
    decision = decide(intent, given_inputs)
    affordable(intent, given_inputs, LIMITS)
    usual = [x for x in (intent.quantity, intent.limit_price) if x is not None]
    if not all(x.is_finite() and D("1e-18") <= x <= D("1e18") for x in usual):
        assert decision.verdict is Verdict.DENIED
    if intent.account_id != "paper" or intent.proposer != "signal" or intent.symbol not in (BTC, ETH):
        assert decision.verdict is Verdict.DENIED


def money_spent_at_worst(order: object) -> Fraction:
    price = order.request.limit_price
    return Fraction(order.remaining) * Fraction(price if price is not None else D(105))


def recomputed(intent: TradeIntent, desk: GateInputs, bounds: Limits) -> None:
    """The promises of the gate, summed anew in exact fractions with every reference price at 100."""
    held = {s: Fraction(p.quantity) * 100 for s, p in desk.portfolio.positions.items()}
    equity = Fraction(desk.portfolio.cash) + sum(held.values())
    assert desk.risk.trading_state is not TradingState.HALTED
    assert PROPOSES[intent.purpose] in desk.actor.actions
    if intent.side is Side.SELL:
        promised = sum(o.remaining for o in desk.open_orders if o.symbol == intent.symbol and o.side is Side.SELL)
        assert intent.quantity + promised <= desk.portfolio.position(intent.symbol).quantity
        return
    assert desk.risk.trading_state is TradingState.ACTIVE
    price = Fraction(intent.limit_price or intent.worst_price or D(105))
    cost = Fraction(intent.quantity) * price
    assert 95 <= price <= 105
    assert cost <= Fraction(bounds.max_order_notional)
    if bounds.approval_above_notional is not None and cost > Fraction(bounds.approval_above_notional):
        assert desk.has_approval
    buys = [o for o in desk.open_orders if o.side is Side.BUY]
    assert not any(o.state is OrderState.UNKNOWN and o.symbol == intent.symbol for o in desk.open_orders)
    left = Fraction(desk.portfolio.cash) - (cost + sum(map(money_spent_at_worst, buys))) * Fraction("1.001")
    assert left >= Fraction(bounds.cash_reserve) * equity
    values = dict(held)
    for symbol, amount in [*((o.symbol, money_spent_at_worst(o)) for o in buys), (intent.symbol, cost)]:
        values[symbol] = values.get(symbol, Fraction(0)) + amount
    assert values[intent.symbol] <= Fraction(bounds.max_position) * equity
    assert sum(values.values()) <= Fraction(bounds.max_exposure) * equity
    assert sum(v * v for v in values.values()) <= Fraction(bounds.max_concentration) * equity**2
    correlated = values[intent.symbol]
    for symbol in values.keys() - {intent.symbol}:
        correlated += values[symbol] * max(Fraction(0), Fraction(desk.correlations.get(frozenset((intent.symbol, symbol)), 1)))
    assert correlated <= Fraction(bounds.max_correlated_exposure) * equity
    stop = Fraction(intent.stop_price)
    assert stop < min(price, 100)
    at_stop = Fraction(intent.quantity) * (price - stop + Fraction("0.001") * (price + stop))
    assert at_stop <= Fraction(bounds.risk_per_trade) * equity
    for start, most in ((desk.risk.peak_equity, bounds.drawdown), (desk.risk.day_start_equity, bounds.daily_loss)):
        assert Fraction(start) - equity < Fraction(most) * Fraction(start)


@settings(max_examples=2 * settings.default.max_examples)
@given(good_orders(), desks())
def test_what_is_approved_keeps_to_the_limits(intent: TradeIntent, desk: GateInputs) -> None:
    _approved_is_within_limits(intent, desk)


@pytest.mark.slow
@MANY
@given(good_orders(), desks())
def test_what_is_approved_of_thousands_keeps_to_the_limits(intent: TradeIntent, desk: GateInputs) -> None:
    _approved_is_within_limits(intent, desk)


def _approved_is_within_limits(intent: TradeIntent, desk: GateInputs) -> None:
    bounds = limits(approval_above_notional=5_000, risk_per_trade="0.05")
    if decide(intent, desk, bounds).verdict is Verdict.APPROVED:
        recomputed(intent, desk, bounds)


RANK = {Verdict.DENIED: 0, Verdict.NEEDS_APPROVAL: 1, Verdict.APPROVED: 2}


TIGHTENING = (good_orders(), desks(), st.sampled_from(sorted(Limits.model_fields)), st.integers(1, 99))


@settings(max_examples=2 * settings.default.max_examples)
@given(*TIGHTENING)
def test_tightening_a_limit_never_lets_more_through(intent: TradeIntent, desk: GateInputs, key: str, percent: int) -> None:
    _tighter_lets_no_more_through(intent, desk, key, percent)


@pytest.mark.slow
@MANY
@given(*TIGHTENING)
def test_tightening_a_limit_thousands_of_times_never_lets_more_through(
    intent: TradeIntent, desk: GateInputs, key: str, percent: int
) -> None:
    _tighter_lets_no_more_through(intent, desk, key, percent)


def _tighter_lets_no_more_through(intent: TradeIntent, desk: GateInputs, key: str, percent: int) -> None:
    base = limits(risk_per_trade="0.05", approval_above_notional=20_000)
    before = getattr(base, key)
    share = D(percent) / 100 if direction(key) is Tighter.LOWER else 1 + D(percent) / 10
    after = int(before * share) if isinstance(before, int) else before * share
    if isinstance(before, bool):
        after = direction(key) is Tighter.HIGHER
    try:
        tight = tightened(base, {key: after})
    except ConfigurationError:  # beyond the field's own bounds
        assume(False)
    assert RANK[decide(intent, desk, tight).verdict] <= RANK[decide(intent, desk, base).verdict]


@given(good_orders(), st.lists(TIMES, max_size=8))
def test_an_approved_order_is_approved_again_when_it_stands_among_the_recent_ones(
    intent: TradeIntent, times: list[object]
) -> None:
    """Asking twice with one intent id is one order: tempo and duplicates do not count it against itself."""
    own = tuple(recent(at=at, intent_id="i", symbol=intent.symbol, quantity=intent.quantity) for at in times)
    assert decide(intent, inputs(recent_orders=own)).verdict is decide(intent).verdict
