"""Each check of the gate: passed at its limit, failed beyond it."""

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
from trading_core.auth.permissions import Action
from trading_core.domain.intents import CORE, TradeIntent, Verdict
from trading_core.domain.orders import OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.risk.engine import GateInputs, ReasonCode
from trading_core.risk.limits import Limits
from trading_core.risk.state import TradingState

C, D = ReasonCode, Decimal
Case = tuple[TradeIntent, GateInputs, Limits]
NAN = D("NaN")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def case(intent: TradeIntent | None = None, bounds: dict[str, object] | None = None, **changes: object) -> Case:
    return intent or buy(), inputs(**changes), limits(**(bounds or {}))


def listed(**changes: object) -> dict[str, object]:
    return {**INSTRUMENTS, BTC: instrument(**changes)}


def priced(**changes: object) -> dict[str, object]:
    return {**TICKERS, BTC: ticker(**changes)}


LONG = holding(0, BTC=10)
USUAL = tuple(recent(quantity=D(1), symbol=BTC, intent_id=str(n)) for n in range(3))
LOST = live(state=OrderState.UNKNOWN)
MARKET = {"type": OrderType.MARKET, "limit_price": None}
TEN_MORE = {"max_correlated_exposure": "0.01"}
ETH_90 = {frozenset((BTC, ETH)): D("0.9")}

# code, a case that just passes it, a case that just fails it
BOUNDS: list[tuple[ReasonCode, Case, Case]] = [
    (C.TRADING_STATE, case(), case(risk=risk(trading_state=TradingState.REDUCING))),
    (
        C.TRADING_STATE,
        case(sell(), portfolio=LONG, risk=risk(trading_state=TradingState.REDUCING)),
        case(sell(), portfolio=LONG, risk=risk(trading_state=TradingState.HALTED)),
    ),
    (C.VENUE_HEALTH, case(), case(venue_healthy=False)),
    (C.ACTOR_IDENTITY, case(), case(buy(proposer="operator"))),
    (C.ACTOR_IDENTITY, case(), case(buy(proposer="zoe"))),
    (C.ACTOR_PERMISSION, case(), case(actor=replace(ACTOR, actions=frozenset({Action.PROPOSE_EXIT})))),
    (C.ACTOR_ACCOUNT, case(), case(actor=replace(ACTOR, accounts=frozenset({"live"})))),
    (C.ACTOR_ACCOUNT, case(), case(buy(account_id="live"), actor=replace(ACTOR, accounts=frozenset({"live", "paper"})))),
    (C.ACTOR_ACCOUNT, case(), case(buy(account_id="spare"), actor=replace(ACTOR, accounts=frozenset({"paper", "spare"})))),
    (
        C.ACTOR_ORDER_SIZE,
        case(actor=replace(ACTOR, max_order_notional=D(1000))),
        case(actor=replace(ACTOR, max_order_notional=D("999.99"))),
    ),
    (C.APPROVAL, case(bounds={"approval_above_notional": 1000}), case(bounds={"approval_above_notional": "999.99"})),
    (
        C.APPROVAL,
        case(bounds={"approval_above_notional": 1}, has_approval=True),
        case(bounds={"approval_above_notional": 1}),
    ),
    (C.INSTRUMENT_UNKNOWN, case(), case(buy(symbol="DOGE/USDT"))),
    (C.INSTRUMENT_UNKNOWN, case(), case(instruments={**INSTRUMENTS, BTC: instrument(ETH)})),
    (C.INSTRUMENT_UNKNOWN, case(), case(instruments={**INSTRUMENTS, BTC: instrument("AAVE/USDT")})),
    (C.QUOTE_CURRENCY, case(), case(buy(symbol="ETH/BTC"))),
    (C.ACCOUNT_STALE, case(account_known_at=at(-60)), case(account_known_at=at(-60.001))),
    (C.ACCOUNT_STALE, case(account_known_at=at(2)), case(account_known_at=at(2.001))),
    (C.ACCOUNT_STALE, case(), case(account_known_at=None)),
    (C.ACCOUNT_STALE, case(), case(account_known_at=NOW.replace(tzinfo=None))),
    (C.PRICE_MISSING, case(), case(tickers={})),
    (C.PRICE_MISSING, case(), case(tickers={BTC: ticker(ETH)})),
    (C.PRICE_MISSING, case(), case(tickers={BTC: ticker("AAVE/USDT")})),
    (C.PRICE_INVALID, case(), case(tickers=priced(bid=D(0)))),
    (C.PRICE_INVALID, case(), case(tickers=priced(ask=NAN))),
    (C.PRICE_INVALID, case(), case(tickers=priced(last=D("-1")))),
    (C.PRICE_INVALID, case(), case(tickers=priced(ask=D("Infinity")))),
    (C.BOOK_CROSSED, case(tickers=priced(bid=D(100), ask=D(100))), case(tickers=priced(bid=D("100.01"), ask=D(100)))),
    (C.PRICE_STALE, case(tickers=priced(at=at(-30))), case(tickers=priced(at=at(-30.001)))),
    (C.PRICE_STALE, case(), case(tickers=priced(at=NOW.replace(tzinfo=None)))),
    (C.PRICE_IN_FUTURE, case(tickers=priced(at=at(2))), case(tickers=priced(at=at(2.001)))),
    (C.QUANTITY_INVALID, case(buy("0.5")), case(buy(0))),
    (C.QUANTITY_INVALID, case(), case(buy("NaN"))),
    (C.QUANTITY_INVALID, case(), case(buy("-1"))),
    (C.LOT_SIZE, case(buy("1.001")), case(buy("1.0015"))),
    (C.TICK_SIZE, case(buy(limit_price=D("100.01"))), case(buy(limit_price=D("100.001")))),
    (C.TICK_SIZE, case(buy(stop_price=D("90.01"))), case(buy(stop_price=D("90.001")))),
    (C.TICK_SIZE, case(buy(stop_price=D("0.01"))), case(buy(stop_price=D("-90")))),
    (C.TICK_SIZE, case(), case(buy(stop_price=D(0)))),
    (C.MIN_QUANTITY, case(instruments=listed(min_quantity=D(10))), case(instruments=listed(min_quantity=D("10.001")))),
    (C.MAX_QUANTITY, case(instruments=listed(max_quantity=D(10))), case(instruments=listed(max_quantity=D("9.999")))),
    # 10 at 100 is worth 1,000, and its stop at 90, less the fee taken in base, 899.10: both must be worth an order.
    (C.MIN_NOTIONAL, case(instruments=listed(min_notional=D("899.1"))), case(instruments=listed(min_notional=D("899.11")))),
    (C.MAX_NOTIONAL, case(instruments=listed(max_notional=D(1000))), case(instruments=listed(max_notional=D("999.99")))),
    (C.ORDER_CAP, case(bounds={"max_order_notional": 1000}), case(bounds={"max_order_notional": "999.99"})),
    (C.ORDER_CAP, case(buy(**MARKET), {"max_order_notional": 1050}), case(buy(**MARKET), {"max_order_notional": 1049})),
    (C.PURPOSE_SIDE, case(buy(purpose=Purpose.REBALANCE)), case(buy(purpose=Purpose.EXIT))),
    (C.PURPOSE_SIDE, case(sell(purpose=Purpose.REBALANCE)), case(sell(purpose=Purpose.ENTRY))),
    (C.ORDER_SHAPE, case(buy(**MARKET)), case(buy(type=OrderType.MARKET))),
    (C.ORDER_SHAPE, case(), case(buy(limit_price=None))),
    (C.ORDER_SHAPE, case(stop()), case(stop(type=OrderType.MARKET))),
    (C.ORDER_SHAPE, case(stop()), case(stop(type=OrderType.STOP_LIMIT))),
    (C.ORDER_SHAPE, case(), case(buy(type=OrderType.STOP_LIMIT))),
    (
        C.ORDER_SHAPE,
        case(buy(time_in_force=TimeInForce.POST_ONLY)),
        case(buy(**MARKET, time_in_force=TimeInForce.POST_ONLY)),
    ),
    (C.PRICE_COLLAR, case(buy(limit_price=D(105))), case(buy(limit_price=D("105.01")))),
    (C.PRICE_COLLAR, case(buy(limit_price=D(95))), case(buy(limit_price=D("94.99")))),
    (C.PRICE_COLLAR, case(sell(limit_price=D(95))), case(sell(limit_price=D("94.99")))),
    (
        C.PRICE_COLLAR,
        case(stop(type=OrderType.STOP_LIMIT, limit_price=D("85.5"))),
        case(stop(type=OrderType.STOP_LIMIT, limit_price=D("85.49"))),
    ),
    (C.WORST_PRICE, case(buy(**MARKET, worst_price=D(105))), case(buy(**MARKET, worst_price=D("105.01")))),
    (C.WORST_PRICE, case(sell(**MARKET, worst_price=D(95))), case(sell(**MARKET, worst_price=D("94.99")))),
    (C.WORST_PRICE, case(buy(worst_price=D(100))), case(buy(worst_price=D("99.99")))),
    (C.WORST_PRICE, case(sell(worst_price=D(100))), case(sell(worst_price=D("100.01")))),
    (C.WORST_PRICE, case(buy(worst_price=D(100))), case(buy(worst_price=NAN))),
    (C.STOP_MISSING, case(), case(buy(stop_price=None))),
    (C.STOP_MISSING, case(stop()), case(stop(stop_price=None))),
    (C.STOP_MISSING, case(buy(purpose=Purpose.REBALANCE)), case(buy(purpose=Purpose.REBALANCE, stop_price=None))),
    (C.STOP_SIDE, case(buy(stop_price=D("99.99"))), case(buy(stop_price=D(100)))),
    (C.STOP_SIDE, case(buy(limit_price=D(98), stop_price=D("97.99"))), case(buy(limit_price=D(98), stop_price=D(98)))),
    (C.STOP_SIDE, case(buy(limit_price=D(98), stop_price=D(90))), case(buy(limit_price=D(98), stop_price=D(99)))),
    (C.STOP_SIDE, case(buy(limit_price=D(103), stop_price=D(99))), case(buy(limit_price=D(103), stop_price=D(101)))),
    (C.STOP_SIDE, case(stop(stop_price=D("99.99"))), case(stop(stop_price=D(100)))),
    (C.TICK_SIZE, case(buy(take_profit=D("110.01"))), case(buy(take_profit=D("110.001")))),
    (C.TAKE_PROFIT_SIDE, case(buy(take_profit=D("100.01"))), case(buy(take_profit=D(100)))),
    (C.TAKE_PROFIT_SIDE, case(buy(limit_price=D(98), take_profit=D("100.01"))), case(buy(limit_price=D(98), take_profit=D(99)))),
    (
        C.TAKE_PROFIT_SIDE,
        case(buy(limit_price=D(103), take_profit=D("103.01"))),
        case(buy(limit_price=D(103), take_profit=D(103))),
    ),
    (C.TAKE_PROFIT_SIDE, case(), case(buy(limit_price=D(103), take_profit=D(102)))),
    (C.TAKE_PROFIT_SIDE, case(), case(buy(limit_price=D(98), take_profit=D(100)))),
    (C.TAKE_PROFIT_SIDE, case(), case(buy(take_profit=NAN))),
    (C.TAKE_PROFIT_SIDE, case(), case(buy(take_profit=D("1E+40")))),
    (C.TAKE_PROFIT_SIDE, case(sell(), portfolio=LONG), case(sell(take_profit=D(110)), portfolio=LONG)),
    (C.EXPIRY, case(buy(expires_at=at(0.001))), case(buy(expires_at=at(0)))),
    (C.EXPIRY, case(buy(expires_at=at(9_999))), case(buy(expires_at=at(-60)))),
    (C.EXPIRY, case(), case(buy(expires_at=NOW.replace(tzinfo=None)))),
    (C.FAT_FINGER, case(recent_orders=USUAL), case(buy("10.001"), recent_orders=USUAL)),
    (C.FAT_FINGER, case(recent_orders=USUAL * 2), case(buy(11), recent_orders=USUAL * 2)),
    (C.FAT_FINGER, case(buy(11), recent_orders=USUAL[:2]), case(buy(11), recent_orders=USUAL)),
    (C.OVERSELL, case(sell(10), portfolio=LONG), case(sell("10.001"), portfolio=LONG)),
    (
        C.OVERSELL,
        case(sell(6), portfolio=LONG, open_orders=(live(Side.SELL, 4),)),
        case(sell(6), portfolio=LONG, open_orders=(live(Side.SELL, "4.001"),)),
    ),
    (
        C.OVERSELL,
        case(sell(10), portfolio=LONG, open_orders=(live(Side.SELL, 10, purpose=Purpose.STOP),)),
        case(sell(10), portfolio=LONG, open_orders=(live(Side.SELL, 1, state=OrderState.UNKNOWN),)),
    ),
    (C.OVERSELL, case(sell(1), portfolio=LONG), case(sell(1), portfolio=holding(0, BTC="NaN"))),
    (C.OVERSELL, case(sell(1), portfolio=LONG), case(sell(1), portfolio=holding(0, BTC="1E+19"))),
    (C.UNKNOWN_ORDER, case(open_orders=(live(symbol=ETH, state=OrderState.UNKNOWN),)), case(open_orders=(LOST,))),
    (C.EQUITY_UNKNOWN, case(portfolio=holding(1000, ETH=1)), case(portfolio=holding(1000, ETH=1), tickers={BTC: ticker()})),
    (C.EQUITY_UNKNOWN, case(portfolio=holding("0.01")), case(portfolio=holding(0))),
    (C.EQUITY_UNKNOWN, case(), case(portfolio=holding(1000, ETH="NaN"))),
    (C.EQUITY_UNKNOWN, case(), case(portfolio=holding(ETH="-1"))),
    (C.EQUITY_UNKNOWN, case(), case(portfolio=holding(ETH="1E+19"))),
    (C.RESERVATION_UNKNOWN, case(open_orders=(live(),)), case(open_orders=(live(limit_price=NAN),))),
    (C.RESERVATION_UNKNOWN, case(open_orders=(live(),)), case(open_orders=(live(symbol="XRP/USDT"),))),
    (C.RESERVATION_UNKNOWN, case(open_orders=(live(),)), case(open_orders=(live(quantity=1, filled=D(2)),))),
    # 1000 + 1 fee leaves 5 % of 100 000; 1 more in an open buy does not
    (C.INSUFFICIENT_CASH, case(portfolio=holding(6001, ETH="939.99")), case(portfolio=holding(6000, ETH=940))),
    (
        C.INSUFFICIENT_CASH,
        case(portfolio=holding(7002, ETH="929.98"), open_orders=(live(symbol=SOL, quantity=10),)),
        case(
            portfolio=holding(7002, ETH="929.98"), open_orders=(live(symbol=SOL, quantity=10), live(symbol=SOL, quantity="0.001"))
        ),
    ),
    # 10 × (100 − 90 + 0.001 × 190) = 101.9
    (C.RISK_PER_TRADE, case(bounds={"risk_per_trade": "0.001019"}), case(bounds={"risk_per_trade": "0.00101899"})),
    (C.POSITION_EXPOSURE, case(bounds={"max_position": "0.01"}), case(bounds={"max_position": "0.009999"})),
    (
        C.POSITION_EXPOSURE,
        case(portfolio=holding(98_000, BTC=20), open_orders=(live(quantity=10),), bounds={"max_position": "0.04"}),
        case(portfolio=holding(98_000, BTC=20), open_orders=(live(quantity="10.001"),), bounds={"max_position": "0.04"}),
    ),
    (
        C.TOTAL_EXPOSURE,
        case(portfolio=holding(98_000, ETH=20), open_orders=(live(symbol=SOL, quantity=10),), bounds={"max_exposure": "0.04"}),
        case(
            portfolio=holding(98_000, ETH=20), open_orders=(live(symbol=SOL, quantity="10.001"),), bounds={"max_exposure": "0.04"}
        ),
    ),
    # 0.01² + 0.02²
    (
        C.CONCENTRATION,
        case(portfolio=holding(98_000, ETH=20), bounds={"max_concentration": "0.0005"}),
        case(portfolio=holding(98_000, ETH=20), bounds={"max_concentration": "0.00049"}),
    ),
    (
        C.CORRELATED_EXPOSURE,
        case(portfolio=holding(98_000, ETH=20), bounds={"max_correlated_exposure": "0.03"}),
        case(portfolio=holding(98_000, ETH=20), bounds={"max_correlated_exposure": "0.02999"}),
    ),
    (
        C.CORRELATED_EXPOSURE,
        case(portfolio=holding(98_000, ETH=20), correlations=ETH_90, bounds={"max_correlated_exposure": "0.028"}),
        case(portfolio=holding(98_000, ETH=20), correlations=ETH_90, bounds={"max_correlated_exposure": "0.02799"}),
    ),
    (
        C.CORRELATED_EXPOSURE,
        case(
            portfolio=holding(98_000, ETH=20),
            correlations={frozenset((BTC, ETH)): D("-0.5")},
            bounds={"max_correlated_exposure": "0.01"},
        ),
        case(
            portfolio=holding(98_000, ETH=20),
            correlations={frozenset((BTC, ETH)): NAN},
            bounds={"max_correlated_exposure": "0.01"},
        ),
    ),
    *(
        (
            C.CORRELATED_EXPOSURE,
            case(portfolio=holding(98_000, ETH=20), correlations={frozenset((BTC, ETH)): D(-1)}, bounds=TEN_MORE),
            case(portfolio=holding(98_000, ETH=20), correlations={frozenset((BTC, ETH)): D(nonsense)}, bounds=TEN_MORE),
        )
        for nonsense in ("-2", "-1.01")
    ),
    (
        C.CORRELATED_EXPOSURE,
        case(
            portfolio=holding(98_000, ETH=20),
            correlations={frozenset((BTC, ETH)): D(2)},
            bounds={"max_correlated_exposure": "0.03"},
        ),
        case(
            portfolio=holding(98_000, ETH=20),
            correlations={frozenset((BTC, ETH)): D(1)},
            bounds={"max_correlated_exposure": "0.02"},
        ),
    ),
    (
        C.CONCURRENT_POSITIONS,
        case(portfolio=holding(ETH=1), open_orders=(live(),), bounds={"max_positions": 2}),
        case(portfolio=holding(ETH=1), open_orders=(live(symbol=SOL),), bounds={"max_positions": 2}),
    ),
    (
        C.CONCURRENT_POSITIONS,
        case(portfolio=holding(ETH="0.049"), bounds={"max_positions": 1}),
        case(portfolio=holding(ETH="0.05"), bounds={"max_positions": 1}),
    ),
    (
        C.CONCURRENT_POSITIONS,
        case(portfolio=holding(XRP=0), bounds={"max_positions": 1}),
        case(portfolio=holding(XRP=1), bounds={"max_positions": 1}),
    ),
    (
        C.OPEN_ORDERS,
        case(open_orders=(live(),), bounds={"max_open_orders": 2}),
        case(open_orders=(live(),), bounds={"max_open_orders": 1}),
    ),
    (
        C.OPEN_ORDERS,
        case(open_orders=(live(state=OrderState.CANCELLED),), bounds={"max_open_orders": 1}),
        case(open_orders=(live(state=OrderState.SUBMITTING),), bounds={"max_open_orders": 1}),
    ),
    (C.OPEN_ORDERS, case(open_orders=(live(),) * 3), case(open_orders=(live(),) * 3, bounds={"max_open_orders": 1})),
    (C.LOSS_BASELINE, case(), case(risk=risk(day=(NOW - timedelta(days=1)).date()))),
    (C.LOSS_BASELINE, case(), case(risk=risk(day=(NOW + timedelta(days=1)).date()))),
    (C.DAILY_LOSS, case(portfolio=holding("90000.01")), case(portfolio=holding(90_000))),
    (C.DRAWDOWN, case(risk=risk(peak_equity=D(111_111))), case(risk=risk(peak_equity=D("111111.2")))),
    (C.DRAWDOWN, case(portfolio=holding("90000.01")), case(portfolio=holding(90_000))),
    (C.DRAWDOWN, case(), case(risk=risk(peak_equity=NAN))),
    (C.DRAWDOWN, case(), case(portfolio=holding(20_000))),
    (C.DAILY_LOSS, case(), case(portfolio=holding(20_000))),
    (
        C.CONSECUTIVE_LOSSES,
        case(risk=risk(consecutive_losses=3, last_loss_at=NOW)),
        case(risk=risk(consecutive_losses=4, last_loss_at=NOW)),
    ),
    (
        C.CONSECUTIVE_LOSSES,
        case(risk=risk(consecutive_losses=4, last_loss_at=at(-14_400))),
        case(risk=risk(consecutive_losses=4, last_loss_at=at(-14_399))),
    ),
    (C.CONSECUTIVE_LOSSES, case(), case(risk=risk(consecutive_losses=4))),
    (
        C.CONSECUTIVE_LOSSES,
        case(risk=risk(consecutive_losses=9, last_loss_at=at(-50_000))),
        case(risk=risk(consecutive_losses=9, last_loss_at=at(-50))),
    ),
    (C.ACTOR_ORDERS_PER_MINUTE, case(recent_orders=(recent(59),) * 5), case(recent_orders=(recent(59),) * 6)),
    (
        C.ACTOR_ORDERS_PER_MINUTE,
        case(recent_orders=(recent(5, actor="ada"),) * 6),
        case(recent_orders=(recent(5, intent_id="a"),) * 6),
    ),
    (C.ACTOR_ORDERS_PER_MINUTE, case(recent_orders=(recent(60),) * 6), case(recent_orders=(recent(-60),) * 6)),
    (
        C.ACTOR_ORDERS_PER_MINUTE,
        case(recent_orders=(recent(5, actor="x"),) * 6),
        case(recent_orders=(recent(at=NOW.replace(tzinfo=None)),) * 6),
    ),
    (C.ORDERS_PER_MINUTE, case(recent_orders=(recent(59, actor=CORE),) * 20), case(recent_orders=(recent(59, actor="x"),) * 20)),
    (C.ORDERS_PER_DAY, case(recent_orders=(recent(actor=CORE),) * 300), case(recent_orders=(recent(actor="x"),) * 300)),
    (C.ORDERS_PER_MINUTE, case(recent_orders=(recent(59, actor="x"),) * 19), case(recent_orders=(recent(59, actor="x"),) * 20)),
    (C.ACTOR_ORDERS_PER_DAY, case(recent_orders=(recent(86_399),) * 99), case(recent_orders=(recent(86_399),) * 100)),
    (C.ACTOR_ORDERS_PER_DAY, case(recent_orders=(recent(86_400),) * 100), case(recent_orders=(recent(61),) * 100)),
    (C.ORDERS_PER_DAY, case(recent_orders=(recent(actor="x"),) * 299), case(recent_orders=(recent(actor="x"),) * 300)),
    (
        C.DUPLICATE_INTENT,
        case(recent_orders=tuple(recent(1, symbol=symbol, quantity=D(10)) for symbol in ("AAVE/USDT", SOL))),
        case(recent_orders=(recent(1, symbol=BTC, quantity=D(10)), recent(1, symbol=BTC, quantity=D(11)))),
    ),
    (
        C.DUPLICATE_INTENT,
        case(recent_orders=(recent(1, symbol=BTC, quantity=D(11)), recent(1, symbol=BTC, quantity=D(10), side=Side.SELL))),
        case(recent_orders=(recent(1, symbol=BTC, quantity=D(10)),)),
    ),
    (
        C.DUPLICATE_INTENT,
        case(sell(), portfolio=LONG, recent_orders=(recent(1, symbol=BTC, quantity=D(10)),)),
        case(sell(), portfolio=LONG, recent_orders=(recent(1, symbol=BTC, quantity=D(10), side=Side.SELL),)),
    ),
    (
        C.DUPLICATE_INTENT,
        case(
            sell(),
            portfolio=LONG,
            recent_orders=(recent(1, symbol=BTC, quantity=D(10), side=Side.SELL, actor=CORE),),
        ),
        case(
            sell(),
            portfolio=LONG,
            recent_orders=(recent(1, symbol=BTC, quantity=D(10), side=Side.SELL, actor="rebalancing"),),
        ),
    ),
    (
        C.DUPLICATE_INTENT,
        case(recent_orders=(recent(60, symbol=BTC, quantity=D(10)), recent(3_600, symbol=BTC, quantity=D(10)))),
        case(recent_orders=(recent(59, symbol=BTC, quantity=D(10)),)),
    ),
    (
        C.DUPLICATE_INTENT,
        case(recent_orders=(recent(1, symbol=BTC, quantity=D(10), intent_id="i"), recent(1, symbol=BTC, quantity=D("9.999")))),
        case(recent_orders=(recent(1, symbol=BTC, quantity=D("10.000")),)),
    ),
]


@pytest.mark.parametrize(("code", "passing", "failing"), BOUNDS, ids=[f"{n}-{code}" for n, (code, _, _) in enumerate(BOUNDS)])
def test_a_check_passes_at_its_limit_and_fails_beyond_it(code: ReasonCode, passing: Case, failing: Case) -> None:
    assert found(decide(*passing), code).passed, found(decide(*passing), code)
    refused = decide(*failing)
    assert not found(refused, code).passed, found(refused, code)
    assert found(refused, code).detail
    assert code in refused.reason_codes
    assert refused.verdict is (Verdict.NEEDS_APPROVAL if code is C.APPROVAL else Verdict.DENIED)


def test_every_code_is_tried_at_its_limit() -> None:
    assert {code for code, _, _ in BOUNDS} == set(ReasonCode)
