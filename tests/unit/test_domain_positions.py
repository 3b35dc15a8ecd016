"""A holding folded from fills by the average cost method."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import BTC, INSTRUMENTS, D, fill
from trading_core.domain.errors import LedgerError
from trading_core.domain.orders import Side
from trading_core.domain.positions import Position

FEES = {"USDT": D("0.25"), "BTC": D("0.001"), "BNB": D("0.01")}
PRICES = st.decimals(min_value=D("0.01"), max_value=D(100_000), places=2)
quantities = st.decimals(min_value=D("0.01"), max_value=D(50), places=4)
trades = st.lists(st.tuples(st.sampled_from(list(Side)), quantities, PRICES, st.sampled_from(list(FEES))), max_size=20)


@given(trades, PRICES)
def test_spent_and_earned_are_conserved(rows: list[tuple[Side, Decimal, Decimal, str]], price: Decimal) -> None:
    position, net = Position(BTC), D(0)
    for side, quantity, at, asset in rows:
        made = fill(side, quantity, at, fee=FEES[asset], fee_asset=asset)
        try:
            after = position.after(made, INSTRUMENTS[BTC])
        except LedgerError:
            assert side is Side.SELL
            assert quantity + (FEES["BTC"] if asset == "BTC" else 0) > position.quantity
            continue
        position = after
        net += (1 if side is Side.SELL else -1) * made.notional - (FEES["USDT"] if asset == "USDT" else 0)
        assert position.quantity >= 0
        assert position.cost >= 0
        assert position.quantity or position.cost == 0, "the last sale takes the whole cost"
    # What came in less what went out is what was realised less what is still tied up.
    assert abs(position.realised - position.cost - net) <= D("1e-15") * max(abs(net), position.cost, 1)
    assert position.unrealised(price) == position.value(price) - position.cost


def test_average_cost_and_profit() -> None:
    held = Position(BTC)
    assert held.average_cost is None
    for price in (100, 200):
        held = held.after(fill(price=price, fee=1), INSTRUMENTS[BTC])
    assert (held.quantity, held.cost, held.average_cost) == (2, 302, 151)
    half = held.after(fill(Side.SELL, 1, 161, fee=2), INSTRUMENTS[BTC])
    assert (half.quantity, half.cost, half.realised) == (1, 151, 8)


def test_a_fee_in_base_leaves_less_to_sell() -> None:
    held = Position(BTC).after(fill(fee="0.001", fee_asset="BTC"), INSTRUMENTS[BTC])
    assert (held.quantity, held.cost) == (D("0.999"), 100)
    with pytest.raises(LedgerError, match=r"only 0\.999 are held"):
        held.after(fill(Side.SELL, 1), INSTRUMENTS[BTC])
