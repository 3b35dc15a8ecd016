"""What an order cost against the price it was decided at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desk_cases import D, buy, sell
from tests.unit.paper_exchange import BTC, at, instrument
from trading_core.domain.intents import TradeIntent
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, Order, OrderType, Purpose, Side
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.quality import SLIPPAGE_ALERT, measure

ARRIVAL = D(100)
prices = st.decimals("0.01", "1000000", places=2)


def order_of(intent: TradeIntent, arrival: Decimal | None = ARRIVAL) -> Order:
    made = make_order(intent, make_request(intent, instrument(BTC), None, WorkingStyle.NOW), None, at(1))
    return replace(made, arrival_price=arrival)


def fill(order: Order, quantity: str, price: Decimal, seconds: float, fee: Money) -> Fill:
    when = at(1) + timedelta(seconds=seconds)
    return Fill(f"t{seconds}", order.client_order_id, order.symbol, order.side, D(quantity), price, fee, when)


def test_a_buy_in_two_parts() -> None:
    order = order_of(buy("10"))
    found = measure(
        order, [fill(order, "4", D(101), 2, Money(D("0.004"), "BTC")), fill(order, "4", D(103), 9, Money(D("0.5"), "USDT"))]
    )
    assert (found.average_price, found.slippage, found.fill_ratio) == (D(102), D("0.02"), D("0.8"))
    assert (found.first_fill_after, found.last_fill_after) == (timedelta(seconds=2), timedelta(seconds=9))
    assert found.fees == {"BTC": D("0.004"), "USDT": D("0.5")}
    assert found.is_alarming


def test_a_stop_is_measured_from_its_stop_price() -> None:
    order = order_of(sell("10", purpose=Purpose.STOP, type=OrderType.STOP, stop_price=D(90)))
    found = measure(order, [fill(order, "10", D("89.1"), 5, Money(D(0), "USDT"))])
    assert (found.reference_price, found.slippage) == (90, D("0.01"))


def test_what_is_not_known_is_not_measured() -> None:
    order = order_of(buy("10"))
    nothing = measure(order, [])
    assert (nothing.average_price, nothing.slippage, nothing.fill_ratio, nothing.first_fill_after) == (None, None, 0, None)
    assert not nothing.is_alarming
    blind = order_of(buy("10"), None)
    assert measure(blind, [fill(blind, "10", D(101), 1, Money(D(0), "BTC"))]).slippage is None


@given(arrival=prices, paid=prices, buys=st.booleans())
def test_slippage_is_a_loss_exactly_when_the_price_was_worse(arrival: Decimal, paid: Decimal, buys: bool) -> None:
    order = order_of(buy("10") if buys else sell("10"), arrival)
    found = measure(order, [fill(order, "10", paid, 1, Money(D(0), "USDT"))])
    assert found.slippage is not None
    worse = paid > arrival if order.side is Side.BUY else paid < arrival
    assert (found.slippage > 0) == worse
    assert found.is_alarming == (found.slippage > SLIPPAGE_ALERT)
    assert abs(found.slippage * arrival) - abs(paid - arrival) < D("1e-15")
