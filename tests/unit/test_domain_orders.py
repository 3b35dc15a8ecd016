"""The one table by which an order moves, and how fills are booked on an order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_core.domain.errors import FillConflict, IllegalTransition
from trading_core.domain.money import Money
from trading_core.domain.orders import (
    FINAL_STATES,
    TRANSITIONS,
    Fill,
    Order,
    OrderEvent,
    OrderRequest,
    OrderState,
    OrderType,
    Purpose,
    Side,
    next_state,
)

D = Decimal
BTC, ETH = "BTC/USDT", "ETH/USDT"
START = datetime(2024, 1, 1, tzinfo=UTC)
FILLS = {OrderEvent.PARTLY_FILLED, OrderEvent.FULLY_FILLED}
IN_DOUBT = (OrderState.SUBMITTING, OrderState.UNKNOWN)


def order(quantity: Decimal | int = 10, side: Side = Side.BUY, state: OrderState = OrderState.OPEN) -> Order:
    request = OrderRequest("c", BTC, side, OrderType.LIMIT, D(quantity), D(100))
    return Order(request, "paper", "i", "r", Purpose.ENTRY, START, state, arrival_price=D(100))


def fill(
    side: Side = Side.BUY, quantity: int = 1, price: int = 100, *, symbol: str = BTC, order: str = "c", trade_id: str = "t"
) -> Fill:
    return Fill(trade_id, order, symbol, side, D(quantity), D(price), Money(D(0), "USDT"), START)


# The whole table once more, the way it is read aloud: what each word of the venue makes of an order in each state.
WORDS = ("ACCEPTED", "REFUSED", "AMBIGUOUS", "ABSENT", "PARTLY_FILLED", "FULLY_FILLED", "CANCELLED", "EXPIRED")
GRID = """
SUBMITTING        open    refused  unknown  refused  part    filled  cancelled  expired
UNKNOWN           open    refused  unknown  refused  part    filled  cancelled  expired
OPEN              open    refused  unknown  -        part    filled  cancelled  expired
PARTIALLY_FILLED  part    -        unknown  -        part    filled  cancelled  expired
FILLED            filled  -        -        -        -       filled  filled     -
CANCELLED         -       -        -        -        cancelled filled cancelled -
EXPIRED           -       -        -        -        expired filled  -          expired
REFUSED           open    refused  -        -        part    filled  -          -
"""
ROWS = [line.split() for line in GRID.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_word_of_the_venue_moves_an_order_as_the_grid_says(row: list[str]) -> None:
    state, *after = row
    for word, name in zip(WORDS, after, strict=True):
        move = (OrderState[state], OrderEvent[word])
        if name == "-":
            with pytest.raises(IllegalTransition):
                next_state(*move)
        else:
            assert next_state(*move) is OrderState({"part": "partially_filled"}.get(name, name)), move


def test_the_grid_knows_every_state_and_word() -> None:
    assert {row[0] for row in ROWS} == {state.name for state in OrderState}
    assert set(WORDS) == {event.name for event in OrderEvent}
    assert {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REFUSED} == FINAL_STATES


@pytest.mark.parametrize("state", IN_DOUBT)
@pytest.mark.parametrize("event", list(OrderEvent))
def test_while_in_doubt_every_word_of_the_venue_is_taken(state: OrderState, event: OrderEvent) -> None:
    assert isinstance(next_state(state, event), OrderState)


@pytest.mark.parametrize("state", [state for state in OrderState if not state.is_final])
def test_a_live_order_can_fill_end_or_fall_in_doubt(state: OrderState) -> None:
    for event in (*FILLS, OrderEvent.ACCEPTED, OrderEvent.CANCELLED, OrderEvent.EXPIRED, OrderEvent.AMBIGUOUS):
        assert (state, event) in TRANSITIONS
    assert next_state(state, OrderEvent.AMBIGUOUS) is OrderState.UNKNOWN
    assert next_state(state, OrderEvent.FULLY_FILLED) is OrderState.FILLED


@given(st.lists(st.sampled_from(list(OrderEvent)), max_size=12), st.sampled_from(sorted(FINAL_STATES - {OrderState.REFUSED})))
def test_a_final_state_is_left_by_nothing_but_its_last_fill(events: list[OrderEvent], state: OrderState) -> None:
    for event in events:
        try:
            after = next_state(state, event)
        except IllegalTransition:
            continue
        assert after is state or (event is OrderEvent.FULLY_FILLED and after is OrderState.FILLED)
        state = after
    assert state in FINAL_STATES


def test_silence_ends_nothing_and_absence_ends_only_what_is_in_doubt() -> None:
    assert all(after is OrderState.UNKNOWN for (_, event), after in TRANSITIONS.items() if event is OrderEvent.AMBIGUOUS)
    assert {state for state, event in TRANSITIONS if event is OrderEvent.ABSENT} == set(IN_DOUBT)


def test_a_refusal_is_taken_back_by_evidence_of_the_order_and_nothing_else() -> None:
    after = {event: after for (state, event), after in TRANSITIONS.items() if state is OrderState.REFUSED}
    assert after == {
        OrderEvent.REFUSED: OrderState.REFUSED,
        OrderEvent.ACCEPTED: OrderState.OPEN,
        OrderEvent.PARTLY_FILLED: OrderState.PARTIALLY_FILLED,
        OrderEvent.FULLY_FILLED: OrderState.FILLED,
    }


def test_nothing_becomes_submitting_again() -> None:
    assert OrderState.SUBMITTING not in TRANSITIONS.values()


def test_what_the_table_does_not_know_is_refused() -> None:
    with pytest.raises(IllegalTransition, match=r"refused cannot be cancelled.*not booked"):
        next_state(OrderState.REFUSED, OrderEvent.CANCELLED)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(0, 5))
def test_fills_add_up_to_the_order(parts: list[int], rest: int) -> None:
    booked = order(sum(parts) + rest)
    for index, part in enumerate(parts):
        booked = booked.on_fill(fill(quantity=part, price=100 + index, trade_id=str(index)))
    assert booked.filled == sum(parts)
    assert booked.remaining == rest
    assert booked.filled_notional == sum(part * (100 + index) for index, part in enumerate(parts))
    assert booked.state is (OrderState.PARTIALLY_FILLED if rest else OrderState.FILLED)
    assert booked.is_live == bool(rest)
    with pytest.raises(FillConflict, match="not booked"):
        booked.on_fill(fill(quantity=rest + 1))


def test_a_fill_of_another_order_is_refused() -> None:
    for other in (fill(symbol=ETH), fill(symbol="AAVE/USDT"), fill(side=Side.SELL), fill(order="b"), fill(order="d")):
        with pytest.raises(FillConflict, match="does not belong"):
            order().on_fill(other)
    with pytest.raises(FillConflict, match="does not belong"):
        order(side=Side.SELL).on_fill(fill(side=Side.BUY))


@pytest.mark.parametrize("state", [OrderState.CANCELLED, OrderState.EXPIRED])
def test_a_fill_that_overtook_the_cancel_is_booked(state: OrderState) -> None:
    late = order(state=state).on_fill(fill(quantity=3))
    assert (late.state, late.filled) == (state, 3)


def test_slippage_is_a_loss_for_either_side() -> None:
    assert order().slippage is None
    assert order().average_price is None
    assert order().on_fill(fill(price=101)).slippage == D("0.01")
    assert order(side=Side.SELL).on_fill(fill(Side.SELL, price=101)).slippage == D("-0.01")


@pytest.mark.parametrize(("price", "loss"), [(250, "1.5"), (97, "-0.03"), (100, "0"), (102, "0.02")])
def test_slippage_is_measured_on_the_average_price(price: int, loss: str) -> None:
    bought = order().on_fill(fill(quantity=4, price=price, trade_id="a"))
    assert (bought.average_price, bought.slippage) == (price, D(loss))
    again = bought.on_fill(fill(quantity=4, price=100, trade_id="b"))
    assert (again.average_price, again.slippage) == (D(price + 100) / 2, D(loss) / 2)
    assert order(side=Side.SELL).on_fill(fill(Side.SELL, 4, price)).slippage == -D(loss)


def test_without_an_arrival_price_there_is_no_slippage() -> None:
    for arrival in (None, D(0)):
        assert replace(order().on_fill(fill()), arrival_price=arrival).slippage is None


def test_an_event_keeps_what_it_does_not_change() -> None:
    opened = order(state=OrderState.SUBMITTING).on(OrderEvent.ACCEPTED, at=START, venue_order_id="v")
    ended = opened.on(OrderEvent.CANCELLED, at=START, reason="by the operator")
    assert (ended.state, ended.venue_order_id, ended.reason) == (OrderState.CANCELLED, "v", "by the operator")
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY


def test_what_is_not_said_is_the_harmless_case() -> None:
    new = Order(OrderRequest("c", BTC, Side.BUY, OrderType.MARKET, D(1)), "paper", "i", "r", Purpose.ENTRY, START)
    assert (new.state, new.filled, new.remaining, new.is_live) == (OrderState.SUBMITTING, 0, 1, True)
    assert (new.request.reduce_only, fill().is_maker) == (False, False)
    with pytest.raises(TypeError):
        new.on(OrderEvent.ACCEPTED, START)
