"""Marks, the account's book and the order's facts at the edges of what can be trusted."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext

import pytest

from tests.unit.risk_cases import (
    BTC,
    ETH,
    INSTRUMENTS,
    LIMITS,
    NOW,
    SOL,
    TICKERS,
    buy,
    holding,
    inputs,
    instrument,
    live,
    sell,
    stop,
    ticker,
)
from trading_core.domain.intents import TradeIntent
from trading_core.domain.market import Ticker
from trading_core.domain.orders import OrderState, OrderType, Purpose, Side
from trading_core.risk.checks import ARITHMETIC, UNKNOWN, GateInputs
from trading_core.risk.checks_facts import Book, Marks, OrderFacts, order_facts, read_book

D = Decimal
MARKET = {"type": OrderType.MARKET, "limit_price": None}


def mark(given: Ticker, symbol: str = BTC) -> Decimal:
    with localcontext(ARITHMETIC):
        return Marks(inputs(tickers={symbol: given}), LIMITS)[symbol]


def book(**changes: object) -> Book:
    given = inputs(**changes)
    with localcontext(ARITHMETIC):
        return read_book(given, LIMITS, Marks(given, LIMITS))


def facts(intent: TradeIntent, given: GateInputs | None = None) -> OrderFacts:
    given = given or inputs()
    with localcontext(ARITHMETIC):
        return order_facts(intent, given, LIMITS, Marks(given, LIMITS))


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (ticker(), "100"),
        (ticker(bid=D(100), ask=D(100)), "100"),
        (ticker(bid=D("99.98"), ask=D("100.03")), "100.005"),
        (ticker(last=D("0.000001")), "100"),
        (ticker(last=D("9.99E+17")), "100"),
        (ticker(bid=D(1), ask=D("9.99E+17")), "499500000000000000.5"),
        (ticker(at=NOW - timedelta(seconds=30)), "100"),
        (ticker(at=NOW + timedelta(seconds=2)), "100"),
    ],
)
def test_the_mark_is_the_mid_of_a_ticker_that_can_be_trusted(given: Ticker, value: str) -> None:
    assert mark(given) == D(value)


BAD_PRICES = ("0", "-1", "1E+18", "1E+19", "NaN", "sNaN", "Infinity")


@pytest.mark.parametrize(
    "given",
    [
        *(ticker(**{name: D(price)}) for name in ("bid", "ask", "last") for price in BAD_PRICES),
        ticker(bid=D("100.2")),
        ticker(bid=D("1E+18"), ask=D("1E+18")),
        ticker(at=NOW - timedelta(seconds=30, milliseconds=1)),
        ticker(at=NOW + timedelta(seconds=2, milliseconds=1)),
        ticker(at=NOW.replace(tzinfo=None)),
        ticker("AAVE/USDT"),
        ticker(ETH),
    ],
)
def test_what_cannot_be_trusted_has_no_mark(given: Ticker) -> None:
    assert mark(given).is_nan()


def test_a_symbol_without_ticker_or_of_another_currency_has_no_mark() -> None:
    assert mark(ticker("BTC/EUR"), "BTC/EUR").is_nan()
    with localcontext(ARITHMETIC):
        marks = Marks(inputs(tickers={}), LIMITS)
        assert marks[BTC].is_nan()
        assert marks[BTC] is marks[BTC], "it is worked out once"


@pytest.mark.parametrize(("fee", "reserved"), [("0", "100"), ("0.002", "100.2"), ("0.999", "199.9")])
def test_a_live_buy_reserves_its_worst_price_and_the_fee(fee: str, reserved: str) -> None:
    assert book(open_orders=(live(),), instruments={BTC: instrument(taker_fee=D(fee))}).reserved == D(reserved)


@pytest.mark.parametrize("fee", ["1", "1.5", "-0.001", "NaN", "Infinity"])
def test_a_fee_that_is_no_fraction_is_unknown(fee: str) -> None:
    listed = {**INSTRUMENTS, BTC: instrument(taker_fee=D(fee))}
    assert book(open_orders=(live(),), instruments=listed).reserved.is_nan()
    assert facts(buy(), inputs(instruments=listed)).fee.is_nan()


@pytest.mark.parametrize("price", BAD_PRICES)
def test_a_live_buy_at_no_price_of_this_world_cannot_be_valued(price: str) -> None:
    given = book(open_orders=(live(limit_price=D(price)), live(symbol=ETH)))
    assert given.reserved.is_nan()
    assert given.values[BTC].is_nan()
    assert given.values[ETH] == 100


@pytest.mark.parametrize(
    ("stop_price", "worst"),
    [(None, "105"), ("99.99", "105"), ("100", "105"), ("100.01", "105.0105"), ("0", "105"), ("1E+19", "NaN"), ("NaN", "NaN")],
)
def test_a_live_market_buy_is_valued_at_the_reference_or_a_higher_trigger(stop_price: str | None, worst: str) -> None:
    order = live(limit_price=None, stop_price=None if stop_price is None else D(stop_price))
    value = book(open_orders=(order,)).values[BTC]
    assert value.is_nan() if worst == "NaN" else value == D(worst)


def test_the_book_counts_what_lives_and_nothing_else() -> None:
    orders = (
        *(live(quantity=50, state=state) for state in OrderState if state.is_final),
        live(quantity=2, state=OrderState.SUBMITTING),
        live(quantity=5, filled=D(5), state=OrderState.PARTIALLY_FILLED),
        live(quantity=3, symbol=ETH, state=OrderState.UNKNOWN),
        live(quantity=7, symbol=ETH, state=OrderState.PARTIALLY_FILLED, filled=D(6)),
        live(Side.SELL, 4, symbol=SOL, state=OrderState.UNKNOWN),
        live(Side.SELL, 5, symbol=SOL, filled=D(2), state=OrderState.SUBMITTING),
        live(Side.SELL, 9, symbol=SOL, purpose=Purpose.STOP),
    )
    given = book(open_orders=orders, portfolio=holding(1_000, XRP=0, SOL=20))
    assert given.live == 7
    assert (given.equity, given.reserved) == (3_000, D("600.6"))
    assert given.values == {BTC: 200, ETH: 400, SOL: 2_000}
    assert given.positions == {BTC, ETH, SOL}
    assert given.unknown == {ETH, SOL}
    assert given.committed == {SOL: 7}


@pytest.mark.parametrize("quantity", ["-1", "NaN", "sNaN", "1E+19", "1E-19", "Infinity"])
def test_a_holding_of_no_amount_of_this_world_makes_equity_unknown_and_takes_a_place(quantity: str) -> None:
    portfolio = holding()
    odd = holding(ETH=1).positions[ETH]
    positions = {ETH: type(odd)(ETH, D(quantity))}
    given = book(portfolio=type(portfolio)("paper", "USDT", D(1), portfolio.balances, positions))
    assert given.equity.is_nan()
    assert given.positions == {ETH}


def test_an_order_filled_beyond_its_quantity_is_unknown() -> None:
    assert book(open_orders=(live(quantity=1, filled=D("1.001")),)).reserved.is_nan()
    assert book(open_orders=(live(Side.SELL, 1, filled=D("1.001")),)).committed[BTC].is_nan()
    assert book(open_orders=(live(Side.SELL, 1, filled=D(1)),)).committed[BTC] == 0


@pytest.mark.parametrize(
    ("intent", "worst", "anchor", "venue_price"),
    [
        (buy(), "100", "100", "100"),
        (buy(limit_price=D(97)), "97", "100", "97"),
        (buy(limit_price=D(97), worst_price=D(98)), "97", "100", "97"),
        (buy(**MARKET), "105", "100", "100"),
        (buy(**MARKET, worst_price=D(101)), "101", "100", "100"),
        (buy(**MARKET, worst_price=D("-1")), "NaN", "100", "100"),
        (buy(limit_price=D(0)), "NaN", "100", "NaN"),
        (sell(limit_price=D(99)), "100", "100", "99"),
        (sell(limit_price=D(101)), "101", "100", "101"),
        (sell(**MARKET), "100", "100", "100"),
        (stop(), "100", "90", "90"),
        (stop(type=OrderType.STOP_LIMIT, limit_price=D(89)), "100", "90", "89"),
    ],
)
def test_an_order_is_valued_at_the_worst_it_may_cost_or_the_most_it_may_bring(
    intent: TradeIntent, worst: str, anchor: str, venue_price: str
) -> None:
    found = facts(intent)
    for value, expected in ((found.worst, worst), (found.anchor, anchor), (found.venue_price, venue_price)):
        assert value.is_nan() if expected == "NaN" else value == D(expected)


def test_without_a_price_or_a_listing_the_facts_are_unknown() -> None:
    blind = facts(buy(**MARKET), inputs(tickers={}, instruments={}))
    assert all(value.is_nan() for value in (blind.reference, blind.worst, blind.notional, blind.fee))
    assert blind.instrument is None
    assert facts(buy("NaN", stop_price=None)).quantity is UNKNOWN
    assert facts(sell(stop_price=None), inputs(tickers=TICKERS)).stop is UNKNOWN
