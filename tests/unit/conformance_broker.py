"""What every `Broker` must do. An adapter's tests subclass `BrokerConformance` and supply the `venue` fixture."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pytest

from trading_core.brokers.base import Broker
from trading_core.domain.errors import OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side


@dataclass(frozen=True)
class Venue:
    """An open account with quote in it and nothing else.

    Attributes:
        quantity: tradable and affordable, base.
        far_below: a price on the tick at which a buy of `quantity` rests and will not fill.
        started_at: before anything was placed.
        settle: lets the venue do what was sent to it.
    """

    broker: Broker
    symbol: str
    quantity: Decimal
    far_below: Decimal
    started_at: datetime
    settle: Callable[[], Awaitable[None]]

    def market(self, order_id: str, side: Side = Side.BUY, quantity: Decimal | None = None) -> OrderRequest:
        return OrderRequest(order_id, self.symbol, side, OrderType.MARKET, quantity or self.quantity)

    def resting(self, order_id: str) -> OrderRequest:
        return OrderRequest(order_id, self.symbol, Side.BUY, OrderType.LIMIT, self.quantity, limit_price=self.far_below)


class BrokerConformance:
    @pytest.fixture
    async def venue(self) -> Venue:
        raise NotImplementedError

    async def test_it_says_where_it_is_and_what_trades(self, venue: Venue) -> None:
        assert venue.broker.venue
        assert isinstance(venue.broker.is_paper, bool)
        instrument = (await venue.broker.instruments())[venue.symbol]
        assert instrument.violations(venue.quantity, venue.far_below, venue.far_below) == []

    async def test_a_market_order_fills_and_moves_the_balances(self, venue: Venue) -> None:
        broker = venue.broker
        instrument = (await broker.instruments())[venue.symbol]
        before = await broker.balances()
        placed = await broker.place(venue.market("c1"))
        assert placed.client_order_id == "c1"
        assert placed.venue_order_id
        assert placed.symbol == venue.symbol
        await venue.settle()
        report = await broker.order("c1", venue.symbol)
        assert report is not None
        assert report.state is OrderState.FILLED
        assert report.filled == venue.quantity
        assert report.venue_order_id == placed.venue_order_id
        fills = await broker.fills(since=venue.started_at)
        assert sum(fill.quantity for fill in fills) == venue.quantity
        assert {fill.client_order_id for fill in fills} == {"c1"}
        after = await broker.balances()
        fees = {asset: sum(f.fee.amount for f in fills if f.fee.asset == asset) for asset in (instrument.base, instrument.quote)}
        assert after[instrument.base].total == venue.quantity - fees[instrument.base]
        spent = sum(fill.notional for fill in fills) + fees[instrument.quote]
        assert before[instrument.quote].total - after[instrument.quote].total == spent
        assert all(balance.locked == 0 for balance in after.values())

    async def test_fills_are_unique_ordered_and_read_from_an_instant_on(self, venue: Venue) -> None:
        for order_id in ("c1", "c2"):
            await venue.broker.place(venue.market(order_id))
            await venue.settle()
        fills = await venue.broker.fills(since=venue.started_at)
        assert len({fill.trade_id for fill in fills}) == len(fills) >= 2
        assert [fill.at for fill in fills] == sorted(fill.at for fill in fills)
        last = fills[-1]
        assert last in await venue.broker.fills(since=last.at)
        assert all(fill.at >= last.at for fill in await venue.broker.fills(since=last.at))

    async def test_a_resting_order_is_open_and_locks_until_it_is_cancelled(self, venue: Venue) -> None:
        broker = venue.broker
        quote = (await broker.instruments())[venue.symbol].quote
        before = (await broker.balances())[quote]
        await broker.place(venue.resting("c1"))
        await venue.settle()
        assert [order.client_order_id for order in await broker.open_orders()] == ["c1"]
        held = (await broker.balances())[quote]
        assert held.total == before.total
        assert held.locked >= venue.quantity * venue.far_below
        await broker.cancel("c1", venue.symbol)
        await venue.settle()
        again = await broker.cancel("c1", venue.symbol)
        assert again.state is OrderState.CANCELLED
        assert again.filled == 0
        assert list(await broker.open_orders()) == []
        assert (await broker.balances())[quote] == before

    async def test_a_filled_order_cannot_be_cancelled_away(self, venue: Venue) -> None:
        await venue.broker.place(venue.market("c1"))
        await venue.settle()
        report = await venue.broker.cancel("c1", venue.symbol)
        assert (report.state, report.filled) == (OrderState.FILLED, venue.quantity)

    async def test_an_unknown_order_is_none_and_its_cancel_is_refused(self, venue: Venue) -> None:
        assert await venue.broker.order("nobody", venue.symbol) is None
        with pytest.raises(OrderRefused):
            await venue.broker.cancel("nobody", venue.symbol)

    async def test_a_client_order_id_is_taken_once(self, venue: Venue) -> None:
        first = await venue.broker.place(venue.resting("c1"))
        with pytest.raises(OrderRefused, match="c1"):
            await venue.broker.place(venue.market("c1"))
        await venue.settle()
        report = await venue.broker.order("c1", venue.symbol)
        assert report is not None
        assert (report.venue_order_id, report.filled) == (first.venue_order_id, 0)

    async def test_a_refused_order_leaves_nothing_behind(self, venue: Venue) -> None:
        before = await venue.broker.balances()
        instrument = (await venue.broker.instruments())[venue.symbol]
        with pytest.raises(OrderRefused):
            await venue.broker.place(venue.market("c1", Side.SELL))
        with pytest.raises(OrderRefused):
            await venue.broker.place(venue.market("c2", quantity=venue.quantity + instrument.lot_size / 2))
        await venue.settle()
        for order_id in ("c1", "c2"):
            assert await venue.broker.order(order_id, venue.symbol) is None
        assert await venue.broker.balances() == before
