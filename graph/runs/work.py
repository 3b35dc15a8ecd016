"""One run, from its beginning or from where it was left, to the state it stops in."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

from langgraph.runtime import RunControl

from graph.conversation.turn import take_turn
from graph.events import EventKind
from graph.runner import RunResult
from graph.runs.desks import Desks
from graph.runs.ending import TOLD_LAST, end_run
from graph.runs.event_log import EventLog
from graph.runs.order_run import run_order
from graph.runs.requesters import requester
from graph.system import TradingSystem
from graph.telemetry import traced
from trading_core.auth.permissions import Action
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError, InvalidInput, LedgerError, RunError, StoreUnavailable
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.session import Database

_GIVEN_UP = frozenset({RunState.FAILED, RunState.CANCELLED})  # before its end, so that checkpoints may be left of it
STALE_AFTER = timedelta(minutes=15)  # or a bar, where that is longer
_log = logging.getLogger("algotrendy.runs")


class Work:
    """What is done for one claimed run."""

    def __init__(
        self, database: Database, clock: Clock, log: EventLog, desks: Desks, request: RunRequest, record: RunRecord
    ) -> None:
        self._database, self._clock, self._log, self._desks = database, clock, log, desks
        self._request, self._record = request, record
        self._control = RunControl()
        self._is_cancelled = self._is_draining = False

    @property
    def kind(self) -> RunKind:
        return self._record.kind

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Stop at the next safe boundary: a cycle between two steps, an order before it is sent, a conversation at once."""
        if self._is_cancelled:
            return
        self._is_cancelled = True
        self._control.request_drain("cancelled")
        if self._record.kind is RunKind.CONVERSATION:
            task.cancel()

    def drain(self) -> None:
        """Stop at the next boundary where the next process can go on. A conversation is left to end."""
        self._is_draining = True
        self._control.request_drain("shutdown")

    async def run(self) -> None:
        """Work on the run until it is over, waits, or is to stop.

        Raises:
            StoreUnavailable: the ledger cannot be written; the run stands as it is on record.
        """
        system = self._desks.get(self._record.account_id)
        record = await self._start(system) if system is not None else None
        if system is None or record is None:
            return
        try:
            result = await traced(record, self._handle(system, record))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._is_cancelled or task is None:
                raise
            task.uncancel()
            result = RunResult(record.id, RunState.RUNNING)
        except StoreUnavailable:
            raise
        except AlgoTrendyError as error:
            if isinstance(error, LedgerError):
                _log.error("run %s found that the record contradicts itself: %s", record.id, error)
            result = RunResult(record.id, RunState.FAILED, error=str(error))
        except Exception as error:
            _log.exception("run %s failed", record.id)
            told = f"an error of the desk's own ({type(error).__name__}), of which its log says more"
            result = RunResult(record.id, RunState.FAILED, error=told)
        if result.state is RunState.RUNNING and self._is_cancelled:
            result = replace(result, state=RunState.CANCELLED)
        await self._end(system, record, result)

    async def _start(self, system: TradingSystem) -> RunRecord | None:
        """The run as begun; None when there is nothing left to do for it."""
        await self._log.flush()  # whoever worked on it here before has told all that it did: nothing of it is told again
        run_id, now = self._record.id, system.clock.now()
        async with self._database.transaction() as uow:
            await uow.claims.take(self._record.account_id)  # as whoever cancels it
            before, request = await uow.runs.get(run_id), await uow.run_requests.get(run_id)
            if before is None or request is None or before.ended_at is not None or before.state is RunState.WAITING:
                return None
            if request.claimed_by != self._request.claimed_by:
                return None  # taken over while it waited for its turn here
            if request.cancel_requested_by is not None:
                await end_run(uow, before, RunState.CANCELLED, at=now, by=request.cancel_requested_by)
                record = None
            else:
                record = await uow.runs.begin(run_id, now, now, session_id=system.config.session_id)
        if record is None:
            await system.runner.forget(run_id)
            self._log.wake()
            return None
        kind: EventKind = "run_started" if before.state is RunState.QUEUED else "run_resumed"
        system.asker.tell(kind, run_id, as_of=record.as_of, kind=record.kind.value)
        return record

    async def _handle(self, system: TradingSystem, record: RunRecord) -> RunResult:
        principal = await requester(self._database, self._request)
        if record.kind in (RunKind.CYCLE, RunKind.REBALANCE):
            principal.require(Action.SUBMIT, record.account_id)  # it may have waited long for a desk
            symbols = self._request.payload.get("symbols")
            chosen = tuple(map(str, symbols)) if isinstance(symbols, list) else ()
            if unknown := [symbol for symbol in chosen if symbol not in system.config.symbols]:
                raise InvalidInput(
                    f"the account's session does not look at {', '.join(unknown)}",
                    not_done="Nothing was run",
                    next_step=f"It looks at {', '.join(system.config.symbols)}",
                )
            await self._require_fresh(system, record)
            return await system.runner.go(record, chosen, control=self._control, settled=self._log.flush)
        if record.kind is RunKind.ORDER:
            now = self._clock.now()
            return await run_order(system, self._request, record, principal, lambda: self._is_cancelled or self._is_draining, now)
        return await take_turn(system, self._request, record, self._log, self._clock, principal)

    async def _require_fresh(self, system: TradingSystem, record: RunRecord) -> None:
        """A cycle cut off long ago would trade on the prices of then. One that asked an operator has the approval's own end."""
        cut_off = system.clock.now() - record.started_at
        if cut_off <= max(system.config.bars.length, STALE_AFTER):
            return
        async with self._database.reading() as uow:
            if await uow.approvals.of_run(record.id):
                return
        raise RunError(
            f"the run was cut off, and taken up again {cut_off // timedelta(minutes=1)} minutes after it had begun",
            not_done="Nothing more was decided or sent",
            next_step="The next cycle decides anew",
        )

    async def _end(self, system: TradingSystem, record: RunRecord, result: RunResult) -> None:
        """Write down how it stopped, unless whoever worked on it has."""
        if result.state is not RunState.RUNNING:
            await self._log.flush()
            now, told = system.clock.now(), dict(result.told)
            if result.waiting:
                told["intents"] = list(result.waiting)
            async with self._database.transaction() as uow:
                known, request = await uow.runs.get(record.id), await uow.run_requests.get(record.id)
                is_new = known is not None and known.state is RunState.RUNNING
                if is_new:
                    by = (request.cancel_requested_by if request is not None else None) or ""
                    await end_run(uow, record, result.state, at=now, error=result.error, told=told, by=by)
            if is_new:
                system.asker.tell(TOLD_LAST[result.state], record.id, error=result.error)
            if result.state in _GIVEN_UP:
                await system.runner.forget(record.id)
        self._log.wake()
