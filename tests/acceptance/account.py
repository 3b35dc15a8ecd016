"""An opened account as a case sees it: the desk's broker, the market around it, and what the market can be made to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from trading_core.brokers.base import Balance, Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Fill, OrderRequest, OrderType, Side, TimeInForce

D = Decimal
PRICE, OTHER_PRICE = D(50_000), D(2_500)
DEPOSIT = D(100_000)
FAR_BELOW, FAR_ABOVE = D(40_000), D(60_000)
"""Prices at which nothing fills, and half a coin can be paid for."""


@dataclass
class Account(ABC):
    """An account with `DEPOSIT` of quote and nothing else, at a venue where `symbol` trades at `PRICE`, one tick around it.

    Attributes:
        broker: of the process that runs now.
        since: before anything was done.
        folder: for files of the case.
    """

    broker: Broker
    symbol: str
    other_symbol: str
    clock: Clock
    since: datetime
    folder: Path

    # The world around the account

    @abstractmethod
    async def settle(self) -> None:
        """Lets the venue do what was sent to it."""

    @abstractmethod
    async def move(self, price: Decimal) -> None:
        """The price of `symbol` goes there, through whatever rests or waits on the way."""

    @abstractmethod
    async def trade(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        """Somebody buys or sells `quantity` of `symbol` from what rests at `price` or better. The price then is what it was."""

    @abstractmethod
    async def offer(self, quantity: Decimal) -> None:
        """No more than `quantity` of `symbol` can be bought at the market."""

    @abstractmethod
    async def restart(self) -> None:
        """This process ends, and one that knows nothing opens the account."""

    @abstractmethod
    def feed(self) -> AbstractAsyncContextManager[MarketFeed]:
        """The market as a desk sees it."""

    # What a case does with it

    async def instrument(self, symbol: str = "") -> Instrument:
        return (await self.broker.instruments())[symbol or self.symbol]

    def market(self, key: str, quantity: str | Decimal, side: Side = Side.BUY, symbol: str = "") -> OrderRequest:
        return OrderRequest(key, symbol or self.symbol, side, OrderType.MARKET, D(quantity))

    def limit(
        self,
        key: str,
        quantity: str | Decimal,
        price: Decimal = FAR_BELOW,
        side: Side = Side.BUY,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> OrderRequest:
        return OrderRequest(key, self.symbol, side, OrderType.LIMIT, D(quantity), price, time_in_force=time_in_force)

    def stop(
        self, key: str, quantity: str | Decimal, stop: Decimal, side: Side = Side.SELL, limit: Decimal | None = None
    ) -> OrderRequest:
        kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
        return OrderRequest(key, self.symbol, side, kind, D(quantity), limit, stop)

    async def send(self, request: OrderRequest) -> OrderReport:
        """Place an order and tell what the venue then says of it."""
        await self.broker.place(request)
        await self.settle()
        return await self.report(request.client_order_id, request.symbol)

    async def cancel(self, key: str) -> OrderReport:
        """Cancel an order and tell what the venue then says of it."""
        await self.broker.cancel(key, self.symbol)
        await self.settle()
        return await self.report(key)

    async def report(self, key: str, symbol: str = "") -> OrderReport:
        found = await self.broker.order(key, symbol or self.symbol)
        assert found is not None, f"the venue has no order {key!r}"
        return found

    async def hold(self, quantity: str = "0.2") -> Decimal:
        """Buy at the market; how much of what was bought can be sold after fees."""
        await self.send(self.market("hold", quantity))
        instrument = await self.instrument()
        return instrument.floor_quantity((await self.balance(instrument.base)).free)

    async def fills(self, key: str | None = None) -> list[Fill]:
        """Every fill, or those of one order, oldest first."""
        return [fill for fill in await self.broker.fills(since=self.since) if key in (None, fill.client_order_id)]

    async def balance(self, asset: str) -> Balance:
        return (await self.broker.balances()).get(asset, Balance(asset, ZERO, ZERO))

    async def quote(self) -> Balance:
        return await self.balance(self.symbol.partition("/")[2])

    async def base(self) -> Balance:
        return await self.balance(self.symbol.partition("/")[0])

    async def open_keys(self) -> set[str]:
        return {report.client_order_id for report in await self.broker.open_orders()}
