"""A stop that has triggered is a plain order, at every venue and whatever the venue keeps its stops in."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.venues.local import LocalVenue, opened, serving
from tests.venues.six import SIX
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side

D = Decimal


@pytest.mark.parametrize("kind", SIX.values(), ids=SIX.keys())
async def test_a_triggered_stop_that_rests_at_its_limit_is_cancelled_when_it_is_first_asked(kind: LocalVenue) -> None:
    with serving(kind) as server:
        async with opened(kind, server) as local:
            await local.broker.place(OrderRequest("c1", kind.symbol, Side.BUY, OrderType.MARKET, D("0.3")))
            stop = OrderRequest("s1", kind.symbol, Side.SELL, OrderType.STOP_LIMIT, D("0.2"), D(44_500), D(45_000))
            await local.broker.place(stop)
            local.exchange.move(kind.symbol, D(43_000))
            resting = await local.broker.order("s1", kind.symbol)
            assert resting is not None
            assert (resting.state, resting.filled) == (OrderState.OPEN, 0)
            ended = await local.broker.cancel("s1", kind.symbol)
            assert (ended.state, ended.filled) == (OrderState.CANCELLED, 0)
            assert server.count("cancel") == 1
