"""The ledger against the venue: what differs, what was done about it, and whether the desk may enter on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from trading_core.brokers.base import Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import LedgerError
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.execution.cancelling import Cancelling
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

# A fill between two reads looks like a difference: what differs is read again before it is believed.
LOOKS, LOOK_SECONDS = 3, 0.5
_UNANSWERED = (OrderState.SUBMITTING, OrderState.UNKNOWN)


class Difference(StrEnum):
    """What a row is about."""

    ORDER_STATE = "order_state"
    MISSING_ORDER = "missing_order"  # live in the ledger, and the venue has no such order
    FOREIGN_ORDER = "foreign_order"  # live at the venue, and this desk did not place it
    ORPHAN_STOP = "orphan_stop"  # covers more than is held
    FILLED = "filled"
    BALANCE = "balance"
    RECORD = "record"  # the venue tells of something that the ledger cannot hold


@dataclass(frozen=True, slots=True)
class Row:
    """One difference.

    Attributes:
        subject: a client order id, an asset, or empty.
        done: what was done about it.
        blocks: whether it stands, and keeps the desk from entering.
    """

    kind: Difference
    subject: str
    ledger: str
    venue: str
    done: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison found; `error` is what the ledger could not hold of what the venue told, if it was that."""

    rows: tuple[Row, ...]
    error: LedgerError | None = None

    @property
    def agrees(self) -> bool:
        return not any(row.blocks for row in self.rows)

    @property
    def disagreement(self) -> str:
        """The differences that stand, in one line; empty when it agrees."""
        standing = [row for row in self.rows if row.blocks]
        return "; ".join(f"{row.kind.value} {row.subject}: {row.ledger}, venue {row.venue}" for row in standing)


class Reconciler:
    """Compares one account with its venue."""

    def __init__(self, account_id: str, database: Database, broker: Broker, clock: Clock, cancelling: Cancelling) -> None:
        self._account_id, self._database, self._broker = account_id, database, broker
        self._clock, self._cancelling = clock, cancelling

    async def reconcile(self, sync: Callable[[], Awaitable[object]]) -> Reconciliation:
        """Let `sync` catch up, and tell what it changed and what still differs.

        Raises:
            BrokerUnavailable: the venue could not be read.
        """
        before = await self._live()
        rows: list[Row] = []
        try:
            await sync()
            if orphans := await self._take_back_orphans():
                rows += orphans
                await sync()
            standing = await self._standing()
            for _ in range(LOOKS - 1):
                if not any(row.blocks for row in standing):
                    break
                await self._clock.sleep(LOOK_SECONDS)
                await sync()
                standing = await self._standing()
        except LedgerError as error:
            stands = Row(Difference.RECORD, "", "cannot hold it", error.what, "nothing: the desk does not trade on it", True)
            return Reconciliation((*rows, *await self._foreign(), stands), error)
        return Reconciliation((*await self._caught_up(before), *rows, *standing))

    async def balances(self) -> tuple[Row, ...]:
        """Assets of which the ledger and the venue hold different totals, to the last digit."""
        at_venue = {asset: balance.total for asset, balance in (await self._broker.balances()).items()}
        async with self._database.reading() as uow:
            ours = (await uow.portfolios.load(self._account_id)).balances
        differ = [asset for asset in sorted({*ours, *at_venue}) if ours.get(asset, ZERO) != at_venue.get(asset, ZERO)]
        return tuple(
            Row(
                Difference.BALANCE,
                asset,
                plain(ours.get(asset, ZERO)),
                plain(at_venue.get(asset, ZERO)),
                "no entries until it agrees",
                True,
            )
            for asset in differ
        )

    async def _live(self) -> tuple[Order, ...]:
        async with self._database.reading() as uow:
            return await uow.orders.live(self._account_id)

    async def _caught_up(self, before: Sequence[Order]) -> list[Row]:
        """Orders that the sync moved to another state."""
        async with self._database.reading() as uow:
            now = [await uow.orders.get(order.client_order_id) for order in before]
        return [
            Row(Difference.ORDER_STATE, old.client_order_id, old.state.value, new.state.value, "booked", False)
            for old, new in zip(before, now, strict=True)
            if new is not None and new.state is not old.state
        ]

    async def _standing(self) -> list[Row]:
        reports = {report.client_order_id: report for report in await self._broker.open_orders()}
        live = await self._live()
        rows = [row for order in live if (row := await self._order(order, reports.get(order.client_order_id))) is not None]
        return [*await self._foreign(reports), *rows, *await self.balances()]

    async def _order(self, order: Order, report: OrderReport | None) -> Row | None:
        key, state = order.client_order_id, order.state.value
        report = report or await self._broker.order(key, order.symbol)
        if report is None and order.state in _UNANSWERED:
            # Not yet a contradiction: it can still arrive, keeps its reservation, and blocks its own symbol at the gate.
            return Row(Difference.MISSING_ORDER, key, state, "no such order", "waits for the venue's word", False)
        if report is None:
            return Row(Difference.MISSING_ORDER, key, state, "no such order", "stays live: ask the venue", True)
        if report.filled != order.filled:
            return Row(Difference.FILLED, key, plain(order.filled), plain(report.filled), "no entries until it agrees", True)
        return None

    async def _foreign(self, reports: dict[str, OrderReport] | None = None) -> list[Row]:
        if reports is None:
            reports = {report.client_order_id: report for report in await self._broker.open_orders()}
        async with self._database.reading() as uow:
            return [
                Row(Difference.FOREIGN_ORDER, key, "not on record", report.state.value, "left alone: cancel it yourself", True)
                for key, report in reports.items()
                if await uow.orders.get(key) is None
            ]

    async def _take_back_orphans(self) -> list[Row]:
        """Cancel stops beyond what is held. The sync that follows places one of the right size for the rest."""
        async with self._database.reading() as uow:
            orphans = await _orphans(uow, self._account_id)
        rows = []
        for order, held in orphans:
            after = await self._cancelling.cancel(order)
            covers = f"covers {plain(order.remaining)}, held {plain(held)}"
            rows.append(
                Row(
                    Difference.ORPHAN_STOP,
                    order.client_order_id,
                    covers,
                    after.state.value,
                    "tried to cancel it" if after.is_live else "cancelled",
                    after.is_live,
                )
            )
        return rows


async def _orphans(uow: UnitOfWork, account_id: str) -> list[tuple[Order, Decimal]]:
    """Live protective stops, oldest first, that cover more than what is left of the holding; each with what is held."""
    portfolio, covered = await uow.portfolios.load(account_id), dict[str, Decimal]()
    found = []
    for order in await uow.orders.live(account_id):
        if order.purpose is not Purpose.STOP:
            continue
        held, so_far = portfolio.position(order.symbol).quantity, covered.get(order.symbol, ZERO)
        if so_far + order.remaining > held:
            found.append((order, held))
        else:
            covered[order.symbol] = so_far + order.remaining
    return found
