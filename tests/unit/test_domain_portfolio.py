"""An account folded from fills: nothing appears and nothing is lost."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import BTC, ETH, INSTRUMENTS, SOL, D, fill, snapshot
from trading_core.domain.errors import LedgerError, MarketDataUnavailable, UnknownSymbol
from trading_core.domain.orders import Fill, Side
from trading_core.domain.portfolio import Portfolio

DEPOSIT = D(1_000_000)
CENT = D("0.01")
prices = st.decimals(min_value=D("0.01"), max_value=D(100_000), places=2)
quantities = st.decimals(min_value=D("0.01"), max_value=D(5), places=4)
trades = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH, SOL]), st.sampled_from(list(Side)), quantities, prices, st.sampled_from(["quote", "base"])
    ),
    max_size=25,
)


def booked(rows: list[tuple[str, Side, Decimal, Decimal, str]]) -> tuple[Portfolio, list[Fill]]:
    """Every trade that the account can carry, 0.1 % of fee on each."""
    account, fills = Portfolio.opened("a", "USDT", DEPOSIT), []
    for index, (symbol, side, quantity, price, where) in enumerate(rows):
        fee, asset = (quantity * price, "USDT") if where == "quote" else (quantity, INSTRUMENTS[symbol].base)
        made = fill(side, quantity, price, symbol=symbol, fee=fee * D("0.001"), fee_asset=asset, trade_id=str(index))
        try:
            account = account.after(made, INSTRUMENTS[symbol])
        except LedgerError:
            continue
        fills.append(made)
    return account, fills


@given(trades, st.tuples(prices, prices, prices))
def test_deposit_and_profit_are_the_equity(rows: list[tuple[str, Side, Decimal, Decimal, str]], at: tuple[Decimal, ...]) -> None:
    account, _ = booked(rows)
    now = dict(zip((BTC, ETH, SOL), at, strict=True))
    open_profit = sum((position.unrealised(now[symbol]) for symbol, position in account.held().items()), D(0))
    told, equity = account.deposited + account.realised + open_profit, account.equity(now)
    assert abs(told - equity) <= D("1e-15") * max(abs(equity), DEPOSIT)
    assert told.quantize(CENT, ROUND_HALF_EVEN) == equity.quantize(CENT, ROUND_HALF_EVEN) or abs(told - equity) < D("1e-9")
    assert all(amount >= 0 for amount in account.balances.values())
    for symbol, position in account.positions.items():
        assert account.balances[INSTRUMENTS[symbol].base] == position.quantity >= 0


@given(trades)
def test_the_order_of_independent_symbols_does_not_matter(rows: list[tuple[str, Side, Decimal, Decimal, str]]) -> None:
    account, fills = booked([(s, side, min(q, D("0.5")), p, w) for s, side, q, p, w in rows])
    by_symbol = sorted(fills, key=lambda made: made.symbol)
    assert Portfolio.opened("a", "USDT", DEPOSIT * 100).after_all(by_symbol, INSTRUMENTS) == Portfolio.opened(
        "a", "USDT", DEPOSIT * 100
    ).after_all(fills, INSTRUMENTS)
    assert account == Portfolio.opened("a", "USDT", DEPOSIT).after_all(fills, INSTRUMENTS)


def test_an_account_cannot_spend_what_it_has_not() -> None:
    account = Portfolio.opened("a", "USDT", D(100))
    with pytest.raises(LedgerError, match=r"would leave -0\.1 USDT"):
        account.after(fill(fee="0.1"), INSTRUMENTS[BTC])
    with pytest.raises(LedgerError):
        account.after(fill(Side.SELL), INSTRUMENTS[BTC])
    assert account.balances == {"USDT": 100}


def test_a_fee_in_a_third_asset_is_booked_in_it() -> None:
    account = Portfolio("a", "USDT", D(100), {"USDT": D(100), "BNB": D(1)}).after(
        fill(fee="0.1", fee_asset="BNB"), INSTRUMENTS[BTC]
    )
    assert account.balances == {"USDT": 0, "BNB": D("0.9"), "BTC": 1}
    assert account.fees == {"BNB": D("0.1")}


def test_an_unknown_price_is_not_zero() -> None:
    account = Portfolio.opened("a", "USDT", D(100)).after(fill(), INSTRUMENTS[BTC])
    assert account.equity({BTC: D(150)}) == 150
    with pytest.raises(MarketDataUnavailable, match="equity is unknown"):
        account.equity({})


def test_a_snapshot_knows_its_symbols_and_weights() -> None:
    known = snapshot()
    assert known.known(BTC) == BTC
    with pytest.raises(UnknownSymbol, match="Known: BTC/USDT, ETH/USDT"):
        known.known(SOL)
    assert known.weight(BTC) == 2 * known.prices[BTC] / known.portfolio.equity(known.prices)
    assert known.weight(ETH) == 0
    with pytest.raises(MarketDataUnavailable):
        snapshot(tickers={}).weight(BTC)
