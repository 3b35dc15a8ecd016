"""Running a cycle, and taking a killed or waiting one up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphDrained
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl

from graph.context import CycleContext
from graph.runs.ending import TOLD_LAST, end_run
from graph.runs.ids import run_id_at
from graph.runs.told import told_about
from graph.state import CycleState
from graph.telemetry import traced
from trading_core.domain.errors import AlgoTrendyError, LedgerError, RunError, StoreUnavailable
from trading_core.persistence.records import ENDED_STATES, RunKind, RunRecord, RunState
from trading_core.persistence.unit_of_work import UnitOfWork

_MOST_STEPS = 30  # the cycle has nine nodes; more supersteps than this would be a loop
Settled = Callable[[], Awaitable[None]]
"""Waits until all that a run has told is on record: its end comes behind it."""


async def nothing() -> None:
    """Nothing is kept of what is told."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, that it waits, or that it was stopped on the way and is still running.

    Attributes:
        waiting: the intents an operator is asked about.
        told: what its last event says beside that; JSON.
    """

    run_id: str
    state: RunState
    waiting: tuple[str, ...] = ()
    error: str = ""
    told: Mapping[str, object] = field(default_factory=dict, compare=False)


class Runner:
    """Cycles of one session, one at a time.

    Attributes:
        context: what the nodes work with, and with them whatever else runs on the account.
    """

    def __init__(
        self,
        *,
        graph: CompiledStateGraph[CycleState, CycleContext, CycleState, CycleState],
        saver: BaseCheckpointSaver[Any],
        context: CycleContext,
        session_id: str,
        account_id: str,
    ) -> None:
        self._graph, self._saver, self.context = graph, saver, context
        self._session_id, self._account_id = session_id, account_id

    def run_id(self, as_of: datetime) -> str:
        """The id of the cycle at a tick: the same session and tick always make the same run."""
        return run_id_at(self._session_id, as_of)

    async def run(self, as_of: datetime) -> RunResult:
        """The cycle at this instant. One that is done is not run again; one that was begun goes on.

        Raises:
            LedgerError: the record contradicts itself; trading must stop.
            StoreUnavailable: the ledger is out of reach; `resume` goes on with the run later.
        """
        run_id = self.run_id(as_of)
        async with self.context.database.transaction() as uow:
            record = await uow.runs.start(
                RunRecord(
                    id=run_id,
                    account_id=self._account_id,
                    kind=RunKind.CYCLE,
                    as_of=as_of,
                    started_at=self.context.clock.now(),
                    session_id=self._session_id,
                )
            )
        if record.state in ENDED_STATES:
            return RunResult(run_id, record.state, error=record.error)
        self.context.asker.tell("run_started", run_id, as_of=as_of)
        return await traced(record, self.go(record))

    async def resume(self, run_id: str) -> RunResult:
        """Take a run up where its last checkpoint left it. It is under way again: what its intents reserve is held for them.

        Raises:
            RunError: there is no such run, it is for whoever serves the account to go on with, or what it knew is no longer to be
                had.
        """
        async with self.context.database.transaction() as uow:
            record, request = await uow.runs.get(run_id), await uow.run_requests.get(run_id)
            if record is None:
                raise RunError(
                    f"there is no run {run_id!r}", not_done="Nothing was resumed", next_step="`algotrendy runs` lists them"
                )
            if record.state in (RunState.DONE, RunState.CANCELLED):
                return RunResult(run_id, record.state)
            if request is not None:  # perhaps no cycle at all; and whoever serves the account claims it first
                raise RunError(
                    f"run {run_id!r} was asked for at a door, as {record.kind.value}",
                    not_done="Nothing was resumed",
                    next_step="`algotrendy serve` goes on with it by itself",
                )
            await uow.runs.set_state(run_id, RunState.RUNNING, at=self.context.clock.now())
        return await traced(record, self.go(record))

    async def go(
        self, record: RunRecord, symbols: Sequence[str] = (), *, control: RunControl | None = None, settled: Settled = nothing
    ) -> RunResult:
        """Work on a run that is on record, from its last checkpoint on when it was begun before.

        Args:
            symbols: the only ones to look at; empty for all of the session's.
            control: stops it between two steps of the graph when it is asked to drain. Its state is then `RUNNING` still.

        Raises:
            LedgerError: the record contradicts itself; trading must stop.
            StoreUnavailable: the ledger is out of reach. The run stands as it is on record, and goes on from there.
        """
        config: RunnableConfig = {"configurable": {"thread_id": record.id}, "recursion_limit": _MOST_STEPS}
        begun = await self._saver.aget_tuple(config) is not None
        # None goes on from the last checkpoint. A waiting approval is asked about again: the core holds the answer.
        state: CycleState | None = None if begun else {"run_id": record.id, "as_of": record.as_of}
        if state is not None and symbols:
            state["only"] = list(symbols)
        try:
            result = await self._graph.ainvoke(state, config, context=self.context, durability="sync", control=control)
        except GraphDrained:
            return RunResult(record.id, RunState.RUNNING)
        except asyncio.CancelledError:
            await self._abandon()
            raise
        except StoreUnavailable:
            raise  # no failure of the run's: what it has done is on record, and nothing more can be written now
        except LedgerError as error:
            await self._end(record, settled, RunState.FAILED, str(error))
            raise
        except AlgoTrendyError as error:
            await self._end(record, settled, RunState.FAILED, str(error))
            return RunResult(record.id, RunState.FAILED, error=str(error))
        waiting = tuple(intent for item in result.get("__interrupt__", ()) for intent in item.value["intents"])
        if waiting:
            await tell_approvals(self.context, record.id, waiting)
            await self._end(record, settled, RunState.WAITING, told={"intents": list(waiting)})
            return RunResult(record.id, RunState.WAITING, waiting)
        await self._end(record, settled, RunState.DONE, told={"orders": result.get("orders", [])})
        await self.forget(record.id)
        return RunResult(record.id, RunState.DONE)

    async def forget(self, run_id: str) -> None:
        """Drop the checkpoints of a run that is over: all of it is in the ledger, and the file would only grow."""
        await self._saver.adelete_thread(run_id)

    async def tidy(self) -> None:
        """Drop what is left of runs that are over: killed right at their end, or cancelled while they waited."""
        if not isinstance(self._saver, AsyncSqliteSaver):
            return
        await self._saver.setup()
        rows = await self._saver.conn.execute_fetchall("SELECT DISTINCT thread_id FROM checkpoints")
        async with self.context.database.reading() as uow:
            over = [run_id for (run_id,) in rows if await _is_over(uow, run_id)]
        for run_id in over:
            await self.forget(run_id)

    async def _abandon(self) -> None:
        """Let go of the checkpoint file: a write that was cancelled before its commit would keep it locked."""
        if isinstance(self._saver, AsyncSqliteSaver):
            async with self._saver.lock:  # so that it is nobody else's write
                await self._saver.conn.rollback()

    async def _end(
        self,
        record: RunRecord,
        settled: Settled,
        state: RunState,
        error: str = "",
        told: Mapping[str, object] | None = None,
    ) -> None:
        await settled()
        async with self.context.database.transaction() as uow:
            await end_run(uow, record, state, at=self.context.clock.now(), error=error, told=told)
        self.context.asker.tell(TOLD_LAST[state], record.id, error=error)


async def _is_over(uow: UnitOfWork, run_id: str) -> bool:
    """Whether nobody can take a run up again; one that failed can be, at the command line, when it was begun there."""
    record = await uow.runs.get(run_id)
    if record is None or record.state is not RunState.FAILED:
        return record is not None and record.state in ENDED_STATES
    return await uow.run_requests.get(run_id) is not None


async def tell_approvals(context: CycleContext, run_id: str, intents: Sequence[str]) -> None:
    """Tell what an operator is asked about, once."""
    async with context.database.reading() as uow:
        known = await told_about(uow, run_id, "approval_requested")
        asked = [(await uow.intents.get(key), await uow.approvals.get(key)) for key in intents if key not in known]
    for intent, approval in asked:
        context.asker.tell("approval_requested", run_id, intent=intent, approval=approval)
