"""Transfers: what is paid in or taken out is on record, moves the balances, and is neither profit nor loss."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import BTC, INSTRUMENTS, D, fill
from tests.unit.desk_cases import open_world
from tests.unit.paper_exchange import DEPOSIT
from trading_core.domain.errors import LedgerError
from trading_core.domain.orders import Side
from trading_core.domain.portfolio import Portfolio, Transfer
from trading_core.execution.transfers import take_over
from trading_core.risk.limits import Limits
from trading_core.risk.state import AccountRisk, TradingState

ONE = D(1)
NOW = datetime(2025, 3, 3, tzinfo=UTC)
amounts = st.decimals(min_value=D(-2), max_value=D(2), places=4).filter(bool)
prices = st.decimals(min_value=D("0.01"), max_value=D(100_000), places=2)


def moved(asset: str, amount: Decimal, price: Decimal = ONE) -> Transfer:
    symbol = None if asset == "USDT" else BTC
    return Transfer(asset, amount, amount * price, symbol, NOW, 0, "root", "test")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("cash"), st.decimals(min_value=D(-500), max_value=D(500), places=2).filter(bool), st.just(D(1))),
        st.tuples(st.just("coin"), amounts, prices),
        st.tuples(st.just("trade"), amounts, prices),
    ),
    max_size=20,
)


@given(steps, prices)
def test_what_was_paid_in_and_the_profit_are_the_equity(rows: list[tuple[str, Decimal, Decimal]], last: Decimal) -> None:
    account = Portfolio.opened("a", "USDT", D(1000))
    for number, (what, amount, price) in enumerate(rows):
        try:
            if what == "trade":
                side = Side.BUY if amount > 0 else Side.SELL
                account = account.after(fill(side, abs(amount), price, fee="0.01", trade_id=str(number)), INSTRUMENTS[BTC])
            else:
                account = account.after_transfer(moved("USDT" if what == "cash" else "BTC", amount, price))
        except LedgerError:
            continue
    position = account.position(BTC)
    told = account.paid_in + account.realised + position.unrealised(last)
    assert abs(told - account.equity({BTC: last})) <= D("1e-12") * max(D(1), abs(told))
    assert account.balances.get("BTC", D(0)) == position.quantity >= 0
    assert account.balances["USDT"] >= 0


def test_nothing_leaves_that_is_not_there() -> None:
    account = Portfolio.opened("a", "USDT", D(100))
    for transfer in (moved("USDT", D(-101)), moved("BTC", D(-1), D(10))):
        with pytest.raises(LedgerError):
            account.after_transfer(transfer)


def test_an_asset_that_is_not_traded_counts_for_nothing() -> None:
    account = Portfolio.opened("a", "USDT", D(100)).after_transfer(
        Transfer("DOGE", D(5), D(0), None, NOW, 0, "root", "an airdrop")
    )
    assert (account.balances["DOGE"], account.paid_in, account.equity({})) == (5, 100, 100)


@given(st.decimals(min_value=D(-900), max_value=D(5000), places=2))
def test_money_moved_in_or_out_trips_no_loss_limit(value: Decimal) -> None:
    limits = Limits()
    risk = AccountRisk.opened(D(1000), NOW).transferred(value)
    assert risk.observe(D(1000) + value, NOW, limits).trading_state is TradingState.ACTIVE
    lost = replace(risk).observe((D(1000) + value) * D("0.5"), NOW, limits)
    assert lost.trading_state is TradingState.REDUCING


async def test_a_venues_account_is_taken_over_once_and_never_for_that_of_another_venue(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        parts = (world.broker, world.feed, world.clock, world.desk.instruments)
        for is_new in (True, False):
            assert await take_over(world.database, "main", "USDT", *parts, by="root") is is_new
        with pytest.raises(LedgerError, match="open in USDT, not USDC"):
            await take_over(world.database, "main", "USDC", *parts, by="root")
        world.broker.venue = "kraken"
        with pytest.raises(LedgerError, match="open at 'paper'"):
            await take_over(world.database, "main", "USDT", *parts, by="root")
        async with world.database.reading() as uow:
            assert (await uow.portfolios.load("main")).cash == DEPOSIT.amount
