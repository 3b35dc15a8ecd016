"""Orders and questions for the desk's adapter over a local OKX."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from tests.venues.local import Local
from tests.venues.okx import LOCAL
from trading_core.brokers.base import OrderReport
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.orders import OrderRequest, OrderType, Side

D = Decimal
BTC = LOCAL.symbol
LIMIT = D(40_000)


@asynccontextmanager
async def a_new_process(local: Local, credentials: Credentials | None = None) -> AsyncIterator[CcxtBroker]:
    broker = await local.anew(credentials)
    try:
        yield broker
    finally:
        await broker.close()


def resting(key: str = "c1", price: Decimal = LIMIT, quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, D(quantity), limit_price=price)


def stop(key: str, side: Side, price: int, limit: int | None = None) -> OrderRequest:
    kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderRequest(key, BTC, side, kind, D("0.1"), None if limit is None else D(limit), D(price))


async def found(broker: CcxtBroker, key: str) -> OrderReport:
    report = await broker.order(key, BTC)
    assert report is not None
    return report


async def bought(local: Local, quantity: str = "0.5") -> None:
    await local.broker.place(OrderRequest("bought", BTC, Side.BUY, OrderType.MARKET, D(quantity)))
