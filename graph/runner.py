"""Running a cycle, and taking a killed or waiting one up again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from graph.context import CycleContext
from graph.events import EventKind
from graph.state import CycleState
from trading_core.domain.clock import utc
from trading_core.domain.errors import AlgoTrendyError, LedgerError, RunError
from trading_core.persistence.records import RunKind, RunRecord, RunState

_MOST_STEPS = 30  # the cycle has nine nodes; more supersteps than this would be a loop
_ENDS: dict[RunState, EventKind] = {RunState.WAITING: "run_waiting", RunState.DONE: "run_done"}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, or that it waits; `waiting` are the intents an operator is asked about."""

    run_id: str
    state: RunState
    waiting: tuple[str, ...] = ()
    error: str = ""


class Runner:
    """Runs of one session, one at a time."""

    def __init__(
        self,
        *,
        graph: CompiledStateGraph[CycleState, CycleContext, CycleState, CycleState],
        saver: BaseCheckpointSaver[Any],
        context: CycleContext,
        session_id: str,
        account_id: str,
    ) -> None:
        self._graph, self._saver, self._context = graph, saver, context
        self._session_id, self._account_id = session_id, account_id

    def run_id(self, as_of: datetime) -> str:
        """The id of the cycle at a tick: the same session and tick always make the same run."""
        return f"{self._session_id}-{utc(as_of):%Y%m%dT%H%M%SZ}"

    async def run(self, as_of: datetime) -> RunResult:
        """The cycle at this instant. One that is done is not run again; one that was begun goes on.

        Raises:
            LedgerError: the record contradicts itself; trading must stop.
        """
        run_id = self.run_id(as_of)
        async with self._context.database.transaction() as uow:
            record = await uow.runs.start(
                RunRecord(
                    id=run_id,
                    account_id=self._account_id,
                    kind=RunKind.CYCLE,
                    as_of=as_of,
                    started_at=self._context.clock.now(),
                    session_id=self._session_id,
                )
            )
        if record.state in (RunState.DONE, RunState.FAILED):
            return RunResult(run_id, record.state, error=record.error)
        self._context.asker.tell("run_started", run_id, as_of=as_of)
        return await self._go_on(record)

    async def resume(self, run_id: str) -> RunResult:
        """Take a run up where its last checkpoint left it.

        Raises:
            RunError: there is no such run, or what it knew is no longer to be had.
        """
        async with self._context.database.reading() as uow:
            record = await uow.runs.get(run_id)
        if record is None:
            raise RunError(
                f"there is no run {run_id!r}", not_done="Nothing was resumed", next_step="`algotrendy runs` lists them"
            )
        if record.state is RunState.DONE:
            return RunResult(run_id, record.state)
        return await self._go_on(record)

    async def _go_on(self, record: RunRecord) -> RunResult:
        config: RunnableConfig = {"configurable": {"thread_id": record.id}, "recursion_limit": _MOST_STEPS}
        begun = await self._saver.aget_tuple(config) is not None
        # None goes on from the last checkpoint. A waiting approval is asked about again: the core holds the answer.
        state: CycleState | None = None if begun else {"run_id": record.id, "as_of": record.as_of}
        try:
            result = await self._graph.ainvoke(state, config, context=self._context, durability="sync")
        except LedgerError as error:
            await self._end(record.id, RunState.FAILED, str(error))
            raise
        except AlgoTrendyError as error:
            await self._end(record.id, RunState.FAILED, str(error))
            return RunResult(record.id, RunState.FAILED, error=str(error))
        waiting = tuple(intent for item in result.get("__interrupt__", ()) for intent in item.value["intents"])
        if waiting:
            await self._end(record.id, RunState.WAITING)
            return RunResult(record.id, RunState.WAITING, waiting)
        await self._end(record.id, RunState.DONE)
        # All of a finished run is in the ledger; its checkpoints would only make the file grow.
        await self._saver.adelete_thread(record.id)
        return RunResult(record.id, RunState.DONE)

    async def _end(self, run_id: str, state: RunState, error: str = "") -> None:
        async with self._context.database.transaction() as uow:
            await uow.runs.set_state(run_id, state, at=self._context.clock.now(), error=error)
        self._context.asker.tell(_ENDS.get(state, "run_failed"), run_id, error=error)
