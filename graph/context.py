"""What the nodes of a run work with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agents.spec import AgentName
from graph.asking import Asker
from graph.bookkeeping import Bookkeeping
from graph.control.pauses import Paused
from graph.snapshot import Snapshots
from graph.state import CycleState, SymbolTask
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.desk import Desk
from trading_core.persistence.session import Database


@dataclass(frozen=True, slots=True)
class RebalancePolicy:
    """When the rebalancing agent is asked: on drift beyond equal weights among holdings, or each `every` runs."""

    drift: Decimal = Decimal("0.10")
    every: int = 0


@dataclass(frozen=True, slots=True)
class CycleContext:
    """What the nodes work with. It is never in a checkpoint: who resumes a run supplies it anew."""

    desk: Desk
    database: Database
    clock: Clock
    snapshots: Snapshots
    asker: Asker
    books: Bookkeeping
    principals: dict[AgentName, Principal]
    runner: Principal
    rebalance: RebalancePolicy
    strategy: str = ""

    async def snapshot(self, state: CycleState | SymbolTask) -> Snapshot:
        """The run's snapshot, rebuilt from the record when this process did not take it."""
        return await self.kept_snapshot(state["snapshot_hash"])

    async def kept_snapshot(self, content_hash: str) -> Snapshot:
        """The snapshot that is on record under this hash.

        Raises:
            RunError: it is not on record, or the feed no longer tells the same.
        """
        known = self.snapshots.at_hand(content_hash)
        if known is not None:
            return known
        async with self.database.reading() as uow:
            kept = await uow.snapshots.get(content_hash)
        return await self.snapshots.restore(content_hash, kept.content if kept else None)

    async def paused(self) -> Paused:
        """What of the account is paused now."""
        async with self.database.reading() as uow:
            return await Paused.of(uow, self.desk.account_id)

    def tell_correlations(self, snapshot: Snapshot) -> None:
        """Give the gate the correlations of this snapshot; without them every pair counts as one bet."""
        found = self.asker.computed(snapshot).correlations
        self.desk.inputs.correlations = {pair: Decimal(repr(value)) for pair, value in found.items()}
