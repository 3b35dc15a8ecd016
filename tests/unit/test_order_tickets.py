"""From an order as a person writes it to an exact intent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from graph.runs.orders import OrderTicket, make_intent
from trading_core.auth.permissions import Action
from trading_core.domain.errors import InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import TradeIntent
from trading_core.domain.market import Ticker
from trading_core.domain.orders import OrderType, Purpose, Side, TimeInForce
from trading_core.domain.positions import Position

D = Decimal
NOW = datetime(2025, 3, 3, 9, tzinfo=UTC)
BTC = Instrument("BTC/USDT", D("0.01"), D("0.001"), D("0.001"), D(5))
TICKER = Ticker("BTC/USDT", D("99.95"), D("100.03"), D(100), NOW)
BUY: dict[str, Any] = {"symbol": "BTC/USDT", "side": "buy", "quantity": "2", "stop_price": "95"}
SELL: dict[str, Any] = {"symbol": "BTC/USDT", "side": "sell", "quantity": "2"}


def ticket(**fields: Any) -> OrderTicket:
    return OrderTicket.model_validate(fields)


def made(held: str = "0", **fields: Any) -> TradeIntent:
    position = Position("BTC/USDT", D(held), D(0))
    return make_intent(
        ticket(**fields), "user:olga", "r", "a", ticker=TICKER, instrument=BTC, position=position, now=NOW, strategy="s"
    )


def test_a_market_buy_pays_no_more_than_half_a_percent_through_the_ask() -> None:
    intent = made(**BUY, reason="dip", take_profit="120.005")
    assert (intent.type, intent.time_in_force, intent.purpose, intent.side) == (
        OrderType.LIMIT,
        TimeInForce.IOC,
        Purpose.ENTRY,
        Side.BUY,
    )
    assert intent.limit_price == intent.worst_price == D("100.54"), "100.03 and 0.5 %, up to the next tick"
    assert (intent.stop_price, intent.take_profit, intent.quantity) == (D(95), D(120), D(2))
    assert (intent.proposer, intent.run_id, intent.account_id, intent.strategy) == ("user:olga", "r", "a", "s")


def test_a_limit_order_is_worked_at_its_price() -> None:
    until = NOW + timedelta(hours=1)
    intent = made(**BUY, type="limit", limit_price="98.987", time_in_force="post_only", expires_at=until)
    assert (intent.limit_price, intent.worst_price, intent.time_in_force) == (D("98.98"), D("98.98"), TimeInForce.POST_ONLY)
    assert intent.expires_at == until
    sale = made("5", **SELL, type="limit", limit_price="110")
    assert (sale.type, sale.limit_price, sale.worst_price) == (OrderType.LIMIT, D(110), None)


def test_a_sale_is_an_exit_at_the_market() -> None:
    intent = made("5", symbol="BTC/USDT", side="sell", fraction="0.5")
    assert (intent.quantity, intent.type, intent.purpose) == (D("2.5"), OrderType.MARKET, Purpose.EXIT)
    assert made("5.0007", symbol="BTC/USDT", side="sell", fraction="1").quantity == D(5), "whole lots"


def test_a_notional_is_turned_into_lots_at_the_price_that_is_paid() -> None:
    assert made(symbol="BTC/USDT", side="buy", notional="1000", stop_price="95").quantity == D("9.997")
    assert made("9", symbol="BTC/USDT", side="sell", notional="100").quantity == D("1.000")


@pytest.mark.parametrize(
    "fields",
    [
        {**BUY, "notional": "5"},
        {"symbol": "BTC/USDT", "side": "buy", "stop_price": "95"},
        {"symbol": "BTC/USDT", "side": "buy", "quantity": "1"},
        {"symbol": "BTC/USDT", "side": "buy", "fraction": "1", "stop_price": "95"},
        {**SELL, "stop_price": "95"},
        {**SELL, "take_profit": "95"},
        {**BUY, "type": "limit"},
        {**BUY, "limit_price": "99"},
        {**BUY, "time_in_force": "ioc"},
        {**BUY, "expires_at": "2025-03-04T00:00:00Z"},
        {**BUY, "type": "limit", "limit_price": "99", "expires_at": "2025-03-04T00:00:00"},
        {**BUY, "quantity": "0"},
        {**BUY, "quantity": "-1"},
        {**BUY, "quantity": "NaN"},
        {**BUY, "quantity": "Infinity"},
        {**BUY, "symbol": "BTC"},
        {**BUY, "symbol": "../x/USDT"},
        {**BUY, "leverage": "3"},
        {**BUY, "type": "stop"},
        {"symbol": "BTC/USDT", "side": "sell", "fraction": "1.01"},
    ],
)
def test_what_contradicts_itself_is_refused_before_anybody_is_asked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ticket(**fields)


@pytest.mark.parametrize(
    ("held", "fields"),
    [
        ("0", {"symbol": "BTC/USDT", "side": "sell", "fraction": "1"}),
        ("0", {**BUY, "quantity": "0.0009"}),
        ("0", {**BUY, "stop_price": "100.03"}),
        ("0", {**BUY, "take_profit": "100"}),
        ("0", {**BUY, "type": "limit", "limit_price": "90"}),
        ("0", {**BUY, "type": "limit", "limit_price": "99", "expires_at": NOW}),
        ("0", {**BUY, "type": "limit", "limit_price": "99", "expires_at": NOW + timedelta(days=500)}),
    ],
)
def test_what_cannot_be_done_at_these_prices_is_refused(held: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        made(held, **fields)


def test_without_a_market_there_is_no_order() -> None:
    position = Position("BTC/USDT", D(0), D(0))
    for ticker, instrument in ((None, BTC), (TICKER, None)):
        with pytest.raises(InvalidInput):
            make_intent(ticket(**BUY), "x", "r", "a", ticker=ticker, instrument=instrument, position=position, now=NOW)


def test_who_asks_for_it_needs_to_be_allowed_to_propose_it() -> None:
    assert ticket(**BUY).proposes is Action.PROPOSE_ENTRY
    assert ticket(**SELL).proposes is Action.PROPOSE_EXIT


def test_the_hash_is_over_what_moves_money_in_one_form() -> None:
    one = ticket(**BUY)
    assert one.content_hash == ticket(**{**BUY, "quantity": "2.000"}, reason="another").content_hash
    others = [
        {**BUY, "quantity": "2.001"},
        {**BUY, "stop_price": "94"},
        {**BUY, "symbol": "ETH/USDT"},
        {**BUY, "take_profit": "120"},
        {**BUY, "type": "limit", "limit_price": "99"},
        {key: value for key, value in {**BUY, "notional": "2"}.items() if key != "quantity"},
    ]
    assert len({one.content_hash, *(ticket(**other).content_hash for other in others)}) == len(others) + 1


_AMOUNTS = st.decimals("0.001", "100000", places=3)


@given(quantity=_AMOUNTS, stop=st.decimals("1", "99", places=2), target=st.none() | st.decimals("101", "999", places=2))
def test_a_ticket_survives_the_ledger_and_makes_the_same_intent(quantity: Decimal, stop: Decimal, target: Decimal | None) -> None:
    first = ticket(symbol="BTC/USDT", side="buy", quantity=quantity, stop_price=stop, take_profit=target)
    again = OrderTicket.model_validate(first.model_dump(mode="json", exclude_none=True))
    assert again == first
    assert again.content_hash == first.content_hash
    assert made(**first.model_dump(exclude_none=True, exclude={"type", "time_in_force"})) == made(
        **again.model_dump(exclude_none=True, exclude={"type", "time_in_force"})
    )


@given(notional=st.decimals("1", "1000000", places=2), ask=st.decimals("0.01", "100000", places=2))
def test_a_notional_is_never_spent_beyond_what_was_said(notional: Decimal, ask: Decimal) -> None:
    ticker = Ticker("BTC/USDT", ask, ask, ask, NOW)
    asked = OrderTicket(symbol="BTC/USDT", side=Side.SELL, notional=notional)
    position = Position("BTC/USDT", D(10**9), D(0))
    try:
        intent = make_intent(asked, "x", "r", "a", ticker=ticker, instrument=BTC, position=position, now=NOW)
    except InvalidInput:
        assert notional / ask < BTC.lot_size
    else:
        assert 0 <= notional - intent.quantity * ask < BTC.lot_size * ask
