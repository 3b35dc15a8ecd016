"""The numbers behind a decision: what was found and what it was held against, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.risk_cases import (
    ACTOR,
    BTC,
    ETH,
    INSTRUMENTS,
    NOW,
    SOL,
    TICKERS,
    buy,
    decide,
    found,
    holding,
    inputs,
    instrument,
    limits,
    live,
    recent,
    risk,
    sell,
    stop,
    ticker,
)
from trading_core.domain.intents import Check, RiskDecision, TradeIntent
from trading_core.domain.orders import OrderState, OrderType, Side
from trading_core.risk.engine import GateInputs, ReasonCode

D = Decimal
MARKET = {"type": OrderType.MARKET, "limit_price": None}


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# Equity: 50 000 + 20 × 100 + 40 × 50 + 5 × 200 = 55 000. Live buys: BTC 10 × 100, ETH (4 − 1) × 100, SOL 2 × 100.
BUSY = inputs(
    portfolio=holding(50_000, BTC=20, ETH=40, SOL=5),
    open_orders=(
        live(quantity=10),
        live(symbol=ETH, quantity=4, filled=D(1)),
        live(Side.SELL, 3),
        live(symbol=SOL, quantity=2, state=OrderState.UNKNOWN),
    ),
    instruments={**INSTRUMENTS, BTC: instrument(max_quantity=D(500), max_notional=D(90_000))},
    tickers={BTC: ticker(at=at(-3)), ETH: ticker(ETH, 50), SOL: ticker(SOL, 200)},
    correlations={frozenset((BTC, ETH)): D("0.9"), frozenset((BTC, SOL)): D("-0.2")},
    risk=risk(peak_equity=D(60_000), day_start_equity=D(56_000), consecutive_losses=2, last_loss_at=at(-99)),
    recent_orders=(
        recent(30),
        recent(50, actor="x"),
        recent(3_600),
        recent(90_000),
        recent(5, symbol=BTC, quantity=D(2)),
        recent(7_000, symbol=BTC, quantity=D(8)),
        recent(8_000, symbol=BTC, quantity=D(4), actor="x"),
    ),
    account_known_at=at(-12),
    actor=replace(ACTOR, max_order_notional=D(4_000)),
)
TEMPO = {
    "actor_orders_per_minute": ("3", "6"),
    "orders_per_minute": ("4", "20"),
    "actor_orders_per_day": ("5", "100"),
    "orders_per_day": ("7", "300"),
    "duplicate_intent": ("False", "False"),
}
KNOWLEDGE = {
    "venue_health": ("True", "True"),
    "actor_identity": ("signal", "signal"),
    "actor_account": ("paper", "paper"),
    "instrument_unknown": (BTC, "listed"),
    "quote_currency": ("USDT", "USDT"),
    "account_stale": ("12.0", "60"),
    "price_missing": ("True", "True"),
    "price_invalid": ("100", "above 0"),
    "book_crossed": ("99.9", "100.1"),
    "price_stale": ("3.0", "30"),
    "price_in_future": ("3.0", "-2"),
    "tick_size": ("ok", "0.01"),
}
NO_EXTRAS = {"worst_price": ("none", "none"), "take_profit_side": ("none", "none"), "expiry": ("none", "none")}
SALE_STATE = {"trading_state": ("active", "reducing"), **KNOWLEDGE, **TEMPO}
ACCOUNT = {
    "equity_unknown": ("55000", "above 0"),
    "reservation_unknown": ("1501.5", "known"),
    "unknown_order": ("False", "False"),
    "concurrent_positions": ("3", "8"),
    "open_orders": ("5", "50"),
    "loss_baseline": ("2026-03-01", "2026-03-01"),
    "daily_loss": ("1000", "5600"),
    "drawdown": ("5000", "6000"),
    "consecutive_losses": ("2", "4"),
    "max_quantity": ("12", "500"),
    "fat_finger": ("12", "40"),
    "lot_size": ("12", "0.001"),
    "quantity_invalid": ("12", "above 0"),
    "min_quantity": ("12", "0.001"),
    "min_notional": ("1138.86", "5"),
    "stop_missing": ("True", "True"),
    "stop_side": ("95", "100"),
    "trading_state": ("active", "active"),
    "actor_permission": ("propose:entry", "permitted"),
    "purpose_side": ("entry buy", "entries buy, exits and stops sell"),
    **KNOWLEDGE,
    **TEMPO,
}
FULL = buy(12, limit_price=D(101), stop_price=D(95), worst_price=D("101.5"), take_profit=D(120), expires_at=at(60))
ENTRY = {
    **ACCOUNT,
    "order_shape": ("limit gtc", "prices that fit the type"),
    "price_collar": ("1", "5"),
    "worst_price": ("101.5", "105"),
    "take_profit_side": ("120", "101"),
    "expiry": ("2026-03-01 12:01:00+00:00", "2026-03-01 12:00:00+00:00"),
    "max_notional": ("1212", "90000"),
    "actor_order_size": ("1212", "4000"),
    "order_cap": ("1212", "50000"),
    "insufficient_cash": ("47285.288", "2750"),
    "risk_per_trade": ("74.352", "1100"),
    "position_exposure": ("4212", "13750"),
    "total_exposure": ("7712", "44000"),
    "concentration": ("24470944", "605000000"),
    "correlated_exposure": ("6282", "33000"),
    "approval": ("1212", "2000"),
}
# Without a worst price a market buy may pay 5 % more than the reference.
MARKET_ENTRY = {
    **ACCOUNT,
    **NO_EXTRAS,
    "order_shape": ("market gtc", "prices that fit the type"),
    "price_collar": ("no limit price", "5"),
    "max_notional": ("1200", "90000"),
    "actor_order_size": ("1260", "4000"),
    "order_cap": ("1260", "50000"),
    "insufficient_cash": ("47237.24", "2750"),
    "risk_per_trade": ("122.4", "1100"),
    "position_exposure": ("4260", "13750"),
    "total_exposure": ("7760", "44000"),
    "concentration": ("24877600", "605000000"),
    "correlated_exposure": ("6330", "33000"),
    "approval": ("1260", "2000"),
}
SALE = {
    **SALE_STATE,
    **NO_EXTRAS,
    "actor_permission": ("propose:exit", "permitted"),
    "purpose_side": ("exit sell", "entries buy, exits and stops sell"),
    "quantity_invalid": ("6", "above 0"),
    "lot_size": ("6", "0.001"),
    "min_quantity": ("6", "0.001"),
    "min_notional": ("588", "5"),
    "order_shape": ("limit gtc", "prices that fit the type"),
    "price_collar": ("2", "5"),
    "worst_price": ("97", "95"),
    "max_quantity": ("6", "500"),
    "max_notional": ("588", "90000"),
    "actor_order_size": ("600", "4000"),
    "oversell": ("6", "17"),
    "approval": ("600", "2000"),
}
STOP = {
    **SALE_STATE,
    **NO_EXTRAS,
    "actor_permission": ("propose:stop", "permitted"),
    "purpose_side": ("stop sell", "entries buy, exits and stops sell"),
    "quantity_invalid": ("4", "above 0"),
    "lot_size": ("4", "0.001"),
    "min_quantity": ("4", "0.001"),
    "min_notional": ("356", "5"),
    "order_shape": ("stop_limit gtc", "prices that fit the type"),
    "price_collar": ("1", "4.5"),
    "stop_missing": ("True", "True"),
    "stop_side": ("90", "100"),
    "max_quantity": ("4", "500"),
    "max_notional": ("356", "90000"),
    "actor_order_size": ("400", "4000"),
    "oversell": ("4", "17"),
    "approval": ("400", "2000"),
}


def numbers(decision: RiskDecision) -> dict[str, tuple[str, str]]:
    return {check.code: (check.found, check.limit) for check in decision.checks}


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (FULL, ENTRY),
        (buy(12, **MARKET, stop_price=D(95)), MARKET_ENTRY),
        (sell(6, limit_price=D(98), worst_price=D(97)), SALE),
        (stop(4, type=OrderType.STOP_LIMIT, limit_price=D(89)), STOP),
    ],
    ids=["entry", "market entry", "sale", "stop"],
)
def test_every_check_tells_what_it_found_and_its_limit(intent: TradeIntent, expected: dict[str, tuple[str, str]]) -> None:
    decision = decide(intent, BUSY, limits(approval_above_notional=2_000))
    assert decision.reason_codes == ()
    assert numbers(decision) == expected
    assert {check.detail for check in decision.checks} == {""}
    assert (decision.intent_id, decision.decided_at) == (intent.intent_id, NOW)


@pytest.mark.parametrize(
    ("code", "intent", "given", "shown"),
    [
        ("price_invalid", buy(), inputs(tickers={**TICKERS, BTC: ticker(bid=D(-2), last=D(0))}), ("-2", "above 0")),
        ("price_invalid", buy(), inputs(tickers={**TICKERS, BTC: ticker(last=D("1E+18"))}), ("1000000000000000000", "above 0")),
        ("book_crossed", buy(), inputs(tickers={**TICKERS, BTC: ticker(bid=D(101))}), ("101", "100.1")),
        ("price_stale", buy(), inputs(tickers={**TICKERS, BTC: ticker(at=NOW.replace(tzinfo=None))}), ("unknown", "30")),
        ("price_missing", buy(), inputs(tickers={}), ("False", "True")),
        ("account_stale", buy(), inputs(account_known_at=None), ("unknown", "60")),
        ("tick_size", buy(limit_price=D("100.001"), stop_price=D("90.005")), inputs(), ("100.001", "0.01")),
        ("tick_size", buy(symbol="DOGE/USDT"), inputs(), ("100", "unknown")),
        ("worst_price", buy(worst_price=D("99.99")), inputs(), ("99.99", "105")),
        ("stop_missing", buy(stop_price=None), inputs(), ("False", "True")),
        ("take_profit_side", sell(take_profit=D(110)), inputs(portfolio=holding(BTC=10)), ("110", "100")),
        ("unknown_order", buy(), inputs(open_orders=(live(state=OrderState.UNKNOWN),)), ("True", "False")),
        ("duplicate_intent", buy(), inputs(recent_orders=(recent(9, symbol=BTC, quantity=D(10)),)), ("True", "False")),
        ("equity_unknown", buy(), inputs(portfolio=holding(XRP=1)), ("unknown", "above 0")),
        ("stop_side", buy(), inputs(tickers={BTC: ticker(ETH)}), ("90", "unknown")),
        ("stop_side", buy(), inputs(tickers={BTC: ticker("AAVE/USDT")}), ("90", "unknown")),
        ("oversell", sell(1), inputs(), ("1", "0")),
        ("oversell", sell(1), inputs(portfolio=holding(BTC=-5)), ("1", "unknown")),
        ("oversell", sell(6), inputs(portfolio=holding(BTC=5), open_orders=(live(Side.SELL, 1),)), ("6", "4")),
        ("loss_baseline", buy(), inputs(risk=risk(day=at(-86_400).date())), ("2026-02-28", "2026-03-01")),
    ],
)
def test_a_check_that_fails_shows_what_is_wrong(
    code: str, intent: TradeIntent, given: GateInputs, shown: tuple[str, str]
) -> None:
    check: Check = found(decide(intent, given), code)
    assert not check.passed
    assert (check.found, check.limit) == shown
    assert check.detail


def test_a_position_in_the_traded_symbol_takes_no_second_place() -> None:
    without = decide(buy(), inputs(portfolio=holding(ETH=1, SOL=1)))
    with_it = decide(buy(), inputs(portfolio=holding(ETH=1, SOL=1, BTC=1)))
    assert found(without, ReasonCode.CONCURRENT_POSITIONS).found == found(with_it, ReasonCode.CONCURRENT_POSITIONS).found == "3"


def test_a_gain_is_shown_as_a_negative_loss() -> None:
    decision = decide(buy(), inputs(risk=risk(peak_equity=D(90_000), day_start_equity=D(80_000))))
    assert (found(decision, "daily_loss").found, found(decision, "drawdown").found) == ("-20000", "-10000")
    assert decision.reason_codes == ()


def test_the_order_itself_counts_among_the_live_ones() -> None:
    for others in range(4):
        assert found(decide(buy(), inputs(open_orders=(live(),) * others)), "open_orders").found == str(others + 1)


def test_a_deep_stop_is_counted_from_the_price_to_the_stop_with_both_fees() -> None:
    assert found(decide(buy(stop_price=D(40))), "risk_per_trade").found == "601.4"  # 10 × (100 − 40 + 0.001 × 140)


def test_every_other_position_counts_wherever_its_name_stands_in_the_alphabet() -> None:
    held = inputs(
        portfolio=holding(BTC=1, ETH=2, SOL=3), correlations={frozenset((BTC, ETH)): D("0.5"), frozenset((ETH, SOL)): D("0.25")}
    )
    decision = decide(buy(symbol=ETH), held)
    assert found(decision, "position_exposure").found == "1200"
    assert found(decision, "total_exposure").found == "1600"
    assert found(decision, "concentration").found == str(1200**2 + 100**2 + 300**2)
    assert found(decision, "correlated_exposure").found == "1325"
