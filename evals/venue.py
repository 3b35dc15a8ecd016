"""The paper exchange on a bad day: out of reach, refusing, silent after taking an order, or filling half of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from evals.fault_counter import FaultCounter
from trading_core.brokers.base import Balance, Broker, OrderReport, Update
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Fill, OrderRequest, OrderState, OrderType, Side


class FaultyVenue:
    """A `Broker` over another that fails as a scenario says."""

    def __init__(self, broker: Broker, faults: FaultCounter) -> None:
        self.venue, self.is_paper = broker.venue, broker.is_paper
        self._broker, self._faults = broker, faults
        self._halved: set[str] = set()

    async def instruments(self) -> Mapping[str, Instrument]:
        return await self._broker.instruments()

    async def balances(self) -> Mapping[str, Balance]:
        self._read("balances")
        return await self._broker.balances()

    async def place(self, request: OrderRequest) -> OrderReport:
        sent = request
        if await self._halves(request):
            sent = await self._half(request)
            self._halved.add(request.client_order_id)
        elif request.type not in (OrderType.STOP, OrderType.STOP_LIMIT) and self._faults.strikes("venue", "place", "refuses"):
            raise OrderRefused(f"the venue refused order {request.client_order_id!r}", not_done="It was not placed")
        elif self._faults.strikes("venue", "place", "down"):
            raise AmbiguousOutcome("the venue did not answer", not_done="Whether the order was placed is not known")
        report = await self._broker.place(sent)
        if self._faults.strikes("venue", "place", "loses_answer"):
            raise AmbiguousOutcome("the venue's answer was lost", not_done="Whether the order was placed is not known")
        return self._told(report)

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        if self._faults.strikes("venue", "cancel", "down"):
            raise AmbiguousOutcome("the venue did not answer", not_done="Whether the order was cancelled is not known")
        report = await self._broker.cancel(client_order_id, symbol)
        if self._faults.strikes("venue", "cancel", "loses_answer"):
            raise AmbiguousOutcome("the venue's answer was lost", not_done="Whether the order was cancelled is not known")
        return self._told(report)

    async def order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        self._read("order")
        report = await self._broker.order(client_order_id, symbol)
        return None if report is None else self._told(report)

    async def open_orders(self) -> Sequence[OrderReport]:
        self._read("open_orders")
        return [self._told(report) for report in await self._broker.open_orders()]

    async def fills(self, *, since: datetime) -> Sequence[Fill]:
        self._read("fills")
        return await self._broker.fills(since=since)

    def updates(self) -> AsyncIterator[Update]:
        return self._broker.updates()

    async def close(self) -> None:
        await self._broker.close()

    def _read(self, call: str) -> None:
        if self._faults.strikes("venue", call, "down"):
            raise BrokerUnavailable(f"the venue does not answer ({call})", not_done="Nothing was read")

    async def _halves(self, request: OrderRequest) -> bool:
        if request.side is not Side.BUY or (await self._half(request)).quantity <= 0:
            return False
        return bool(self._faults.strikes("venue", "place", "part_fills"))

    async def _half(self, request: OrderRequest) -> OrderRequest:
        instrument = (await self._broker.instruments())[request.symbol]
        return replace(request, quantity=instrument.floor_quantity(request.quantity / 2))

    def _told(self, report: OrderReport) -> OrderReport:
        """Of an order that was halved, the half that filled is all there is: the venue cancelled the rest."""
        if report.client_order_id in self._halved and report.state is OrderState.FILLED:
            return replace(report, state=OrderState.CANCELLED, reason="the rest found no counterpart")
        return report
