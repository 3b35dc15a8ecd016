"""The gate as a whole: what it decides, what it lists, and what it reserves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.unit.risk_cases import (
    BTC,
    ETH,
    NOW,
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
from trading_core.auth.permissions import Principal
from trading_core.domain.intents import TradeIntent, Verdict
from trading_core.domain.orders import Fill, Order, OrderRequest, OrderState, OrderType, Purpose, Side
from trading_core.risk.checks_facts import Book, OrderFacts
from trading_core.risk.engine import GateInputs, ReasonCode, RecentOrder
from trading_core.risk.state import AccountRisk, TradingState

C, D = ReasonCode, Decimal


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


LOST = live(state=OrderState.UNKNOWN)
MARKET = {"type": OrderType.MARKET, "limit_price": None}


@pytest.mark.parametrize(
    "intent",
    [buy(), buy(**MARKET), buy(**MARKET, worst_price=D(101)), buy(purpose=Purpose.REBALANCE), sell(), sell(**MARKET), stop()],
    ids=["limit", "market", "bounded market", "rebalance", "sell", "market sell", "stop"],
)
def test_a_good_order_is_approved_with_every_check_listed(intent: TradeIntent) -> None:
    decision = decide(
        intent, inputs(portfolio=holding(50_000, BTC=10, ETH=10)), limits(max_position="0.9", daily_loss=1, drawdown=1)
    )
    assert decision.verdict is Verdict.APPROVED, decision.failed
    codes = [check.code for check in decision.checks]
    assert len(codes) == len(set(codes))
    if not intent.reduces:
        assert set(codes) == set(ReasonCode) - {C.OVERSELL}


def test_names_are_compared_by_what_they_say() -> None:
    """A name read from a database or a message is never the object that another part of the desk holds."""

    def fresh(name: str) -> str:
        return "".join(list(name))

    again = recent(1, symbol=fresh(BTC), quantity=D("10.0"), actor=fresh("signal"), intent_id=fresh("i"))
    other = recent(1, symbol=fresh(BTC), quantity=D("9.0"), actor=fresh("signal"))
    intent = buy(symbol=fresh(BTC), proposer=fresh("signal"), account_id=fresh("paper"))
    given = inputs(
        portfolio=replace(holding(ETH=1), account_id=fresh("paper"), currency=fresh("USDT")),
        recent_orders=(again, other),
        instruments={fresh(BTC): instrument(fresh(BTC)), ETH: instrument(ETH)},
        tickers={fresh(BTC): ticker(fresh(BTC)), ETH: ticker(ETH)},
    )
    decision = decide(intent, given)
    assert decision.verdict is Verdict.APPROVED, decision.failed
    assert found(decision, C.ACTOR_ORDERS_PER_MINUTE).found == "2"
    repeated = replace(other, quantity=D("10.0"))
    assert C.DUPLICATE_INTENT in decide(intent, replace(given, recent_orders=(repeated,))).reason_codes
    usual = tuple(recent(quantity=D(1), symbol=fresh(BTC), intent_id=name) for name in ("r1", "r2", "r3"))
    assert found(decide(buy(11, intent_id=fresh("r4")), inputs(recent_orders=usual)), C.FAT_FINGER).limit == "10"
    own = found(decide(buy(11, intent_id=fresh("r3")), inputs(recent_orders=usual)), C.FAT_FINGER)
    assert own.limit == "too few orders to compare with"


@pytest.mark.parametrize("record", [Principal, RecentOrder, GateInputs, OrderFacts, Book, AccountRisk, OrderRequest, Fill, Order])
def test_what_a_decision_stands_on_cannot_be_changed(record: type) -> None:
    assert record.__dataclass_params__.frozen
    assert "__slots__" in vars(record)


def test_a_sale_needs_no_money_room_or_luck() -> None:
    everything_against_it = inputs(
        portfolio=holding(0, BTC=10, DOGE=5),
        open_orders=(LOST, *(live(symbol=ETH, limit_price=None) for _ in range(60))),
        risk=risk(trading_state=TradingState.REDUCING, peak_equity=D(10**6), consecutive_losses=9, last_loss_at=NOW),
    )
    assert decide(sell(), everything_against_it).verdict is Verdict.APPROVED


def test_all_failures_are_listed_and_not_only_the_first() -> None:
    decision = decide(buy("0.0005", limit_price=D(110), stop_price=None), inputs(venue_healthy=False))
    assert {C.VENUE_HEALTH, C.LOT_SIZE, C.MIN_QUANTITY, C.MIN_NOTIONAL, C.PRICE_COLLAR, C.STOP_MISSING} <= set(
        decision.reason_codes
    )


def test_an_order_that_needs_approval_and_breaks_a_limit_is_denied() -> None:
    decision = decide(buy(stop_price=None), bounds=limits(approval_above_notional=0))
    assert decision.verdict is Verdict.DENIED


@pytest.mark.parametrize(
    ("order", "reserved"),
    [
        (live(quantity=10), "1001"),
        (live(quantity=10, filled=D(4)), "600.6"),
        (live(quantity=10, state=OrderState.UNKNOWN, symbol=ETH), "1001"),
        (live(quantity=10, limit_price=None), "1051.05"),
        (live(quantity=10, limit_price=None, stop_price=D(110)), "1156.155"),
        (live(quantity=10, limit_price=None, stop_price=D(90)), "1051.05"),
        (live(Side.SELL, quantity=10), "0"),
        (live(quantity=10, state=OrderState.FILLED), "0"),
    ],
)
def test_live_buys_are_reserved_at_their_worst_price_with_the_fee(order: object, reserved: str) -> None:
    without = D(found(decide(buy()), C.INSUFFICIENT_CASH).found)
    assert D(found(decide(buy(), inputs(open_orders=(order,))), C.INSUFFICIENT_CASH).found) == without - D(reserved)


def test_a_stale_price_of_another_holding_stops_entries_but_not_exits() -> None:
    stale = inputs(portfolio=holding(50_000, BTC=10, ETH=10), tickers={**TICKERS, ETH: ticker(ETH, at=at(-31))})
    assert C.EQUITY_UNKNOWN in decide(buy(), stale).reason_codes
    assert decide(sell(), stale).verdict is Verdict.APPROVED


def test_a_holding_in_another_currency_has_no_value_in_this_one() -> None:
    given = inputs(portfolio=replace(holding(), positions=holding(ETH=1).positions, currency="USDC", balances={"USDC": D(10**6)}))
    assert {C.QUOTE_CURRENCY, C.EQUITY_UNKNOWN} <= set(decide(buy(), given).reason_codes)


def test_a_gate_without_a_clock_it_can_trust_denies() -> None:
    decision = decide(buy(), inputs(now=NOW.replace(tzinfo=None), recent_orders=(recent(),)))
    assert {C.PRICE_STALE, C.ACCOUNT_STALE} <= set(decision.reason_codes)


def test_hostile_numbers_are_shown_short() -> None:
    for number in ("1E+999999", "1E-999999", "NaN", "sNaN", "Infinity"):
        assert all(len(check.found) <= 80 and len(check.limit) <= 80 for check in decide(buy(number)).checks)
    assert found(decide(buy("NaN")), C.QUANTITY_INVALID).found == "unknown"


def test_numbers_are_shown_without_exponent_or_trailing_zeros() -> None:
    decision = decide(buy("0.00000010"), bounds=limits(max_order_notional="1E+3"))
    assert found(decision, C.QUANTITY_INVALID).found == "0.0000001"
    assert found(decision, C.ORDER_CAP).limit == "1000"


def test_the_checks_of_a_decision_read_like_a_tuple_of_them() -> None:
    checks = decide(buy()).checks
    made = tuple(checks)
    assert len(checks) == len(made) > 40
    assert (checks[0], checks[-1], checks[1:3]) == (made[0], made[-1], made[1:3])
    assert checks == made
    assert made == checks
    assert checks == decide(buy()).checks
    assert checks != decide(buy(11)).checks
    assert checks != made[1:]
    assert (hash(checks), repr(checks)) == (hash(made), repr(made))
    assert made[0] in checks


def test_the_same_question_has_the_same_answer() -> None:
    assert decide(buy()) == decide(buy())
