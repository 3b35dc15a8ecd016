"""Reading the venue and telling of what it brought: in a cycle, and between two."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from graph.events import EventKind, Listener, RunEvent
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.domain.intents import TradeIntent, make_client_order_id
from trading_core.domain.orders import Fill
from trading_core.execution.book import AccountView
from trading_core.execution.desk import Desk, Synced
from trading_core.execution.quality import ExecutionQuality, measure
from trading_core.persistence.session import Database


class Bookkeeping:
    """The desk's housekeeping, done as `who` and told to `listener`. `run_id` is empty between runs."""

    def __init__(self, desk: Desk, database: Database, clock: Clock, who: Principal, listener: Listener) -> None:
        self._desk, self._database, self._clock, self._who, self._listener = desk, database, clock, who, listener
        self._followed: dict[str, str] = {}

    @contextmanager
    def following(self, run_id: str, *intents: TradeIntent) -> Iterator[None]:
        """Until the block ends, fills of the intents' orders belong to this run, and so do the stops that protect what they
        brought, whoever reads them of the venue."""
        keys = [make_client_order_id(intent.intent_id) for intent in intents]
        self._followed.update(dict.fromkeys(keys, run_id))
        try:
            yield
        finally:
            for key in keys:
                self._followed.pop(key, None)

    async def reconcile(self, run_id: str = "") -> AccountView:
        """Book what the venue did, compare everything with it, and tell what still differs.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something that the ledger cannot hold: trading must stop.
        """
        found, synced = await self._desk.reconcile(self._who)
        for each in synced:
            await self._tell_all(run_id, each)
        if found.error is not None:
            raise found.error
        if not found.agrees:
            self._tell("venue_differs", run_id, differs=found.disagreement)
        return synced[-1].view

    async def sync(self, run_id: str = "") -> AccountView:
        """Book what the venue did.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something that the ledger cannot hold: trading must stop.
        """
        synced = await self._desk.sync(self._who)
        await self._tell_all(run_id, synced)
        return synced.view

    async def listen(self) -> AsyncGenerator[AlgoTrendyError | None, None]:
        """Book what the venue tells as it happens, for ever, and give what goes wrong with it; None when something was booked.

        Raises:
            BrokerUnavailable: the venue does not stream to this account.
        """
        async with aclosing(self._desk.listen(self._who)) as brought:
            async for each in brought:
                if isinstance(each, Synced):
                    await self._tell_all("", each)
                yield None if isinstance(each, Synced) else each

    async def account(self) -> AccountView:
        """The account as the ledger has it."""
        return await self._desk.account(self._who)

    async def _tell_all(self, run_id: str, synced: Synced) -> None:
        """Tell of the fills, and of the core's own orders and cancels that followed."""
        for fill in synced.fills:
            self._tell("fill_booked", self._followed.get(fill.client_order_id, run_id), fill=fill)
        for quality in await self._alarming(synced.fills):
            self._tell("slippage_alert", run_id, quality=quality)
        for order in synced.withdrawn:
            why = "has expired" if order.expires_at is not None else "is taken back by the kill switch"
            self._tell("order_cancelled", run_id, order=order, why=why)
        for order in synced.placed:
            belongs = order.run_id in self._followed.values()
            self._tell("order_sent", order.run_id if belongs else run_id, order=order)

    def _tell(self, kind: EventKind, run_id: str, /, **data: Any) -> None:
        self._listener(RunEvent(kind, run_id, self._clock.now(), data))

    async def _alarming(self, fills: Sequence[Fill]) -> list[ExecutionQuality]:
        """Orders of fresh fills that have lost more to slippage than is usual."""
        if not fills:
            return []
        async with self._database.reading() as uow:
            orders = [await uow.orders.get(key) for key in dict.fromkeys(fill.client_order_id for fill in fills)]
            measured = [measure(order, await uow.fills.of_order(order.client_order_id)) for order in orders if order is not None]
        return [quality for quality in measured if quality.is_alarming]
