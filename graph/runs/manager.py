"""Runs that nobody has to wait for: asked for with a row, done by the process that has the account's desk, told in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from graph.events import FINAL
from graph.runs.cancelling import cancel_run
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.orders import OrderTicket, require_not_paused
from graph.runs.queue import queue_run
from graph.runs.waking import tell_answer
from graph.runs.worker import Pace, RunWorker
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, NotPermitted, UnknownRun
from trading_core.domain.intents import Approval
from trading_core.execution.approving import Approvals
from trading_core.persistence.desk_records import Author, Conversation, Message, RunRequest, Trigger
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

if TYPE_CHECKING:
    from graph.system import TradingSystem

LONGEST_QUESTION = 8_000  # characters of one message of an operator


class RunManager:
    """Asks for runs, cancels them, waits for them; and, inside `working()`, does those of the desks of this process.

    Args:
        holder: this process, by a name that no other has.
        pace: how many runs at once, and how long claims and drains last.
    """

    def __init__(
        self, database: Database, clock: Clock, log: EventLog, desks: Desks, holder: str, pace: Pace | None = None
    ) -> None:
        self._database, self._clock, self._log, self._desks = database, clock, log, desks
        self._worker = RunWorker(database, clock, log, desks, holder, pace or Pace())

    @property
    def accounts(self) -> tuple[str, ...]:
        """Those whose runs are done in this process."""
        return self._desks.accounts

    def desk(self, account_id: str) -> TradingSystem | None:
        """The account's system; None where another process has it, or none."""
        return self._desks.get(account_id)

    def wake(self) -> None:
        """Look at once for runs that were asked for in another way than through this, and for what they told."""
        self._log.wake()
        self._worker.wake()

    async def request_cycle(
        self,
        who: Principal,
        account_id: str,
        *,
        run_id: str,
        symbols: Sequence[str] = (),
        trigger: Trigger = Trigger.OPERATOR,
        schedule_id: str | None = None,
    ) -> RunRecord:
        """Have a cycle of the account run. Asked again, the run as it now stands.

        Args:
            symbols: the only ones to look at; empty for all of the account's session.

        Raises:
            NotPermitted: a cycle can trade, and the principal may not.
            RunError: the id belongs to another request, or everything on the account is paused.
        """
        who.require(Action.SUBMIT, account_id)
        asked = self._asked(who, account_id, run_id, {"symbols": list(symbols)}, trigger)
        return await self._queue(RunKind.CYCLE, replace(asked, schedule_id=schedule_id))

    async def request_turn(self, who: Principal, conversation: Conversation, text: str, *, run_id: str) -> RunRecord:
        """Have a question answered. It stands in the conversation from now on. Asked again, the run as it now stands.

        Raises:
            NotPermitted: the conversation is somebody else's, or the principal may not read the account.
            InvalidInput: there is no text, it is too long, or the conversation is archived.
            RunError: the id belongs to another request.
        """
        who.require(Action.READ_PORTFOLIO, conversation.account_id)
        if conversation.owner != who.name:
            raise NotPermitted(f"{who.name!r} may not write in this conversation", not_done="Nothing was asked")
        if not text.strip() or len(text) > LONGEST_QUESTION:
            raise InvalidInput(
                f"a message has 1 to {LONGEST_QUESTION} characters, not {len(text.strip())}", not_done="Nothing was asked"
            )
        if conversation.archived_at is not None:
            raise InvalidInput(
                "the conversation is archived", not_done="Nothing was asked", next_step="Begin another conversation"
            )
        # What a login or a key may do can be less than its user: an answer reads no more than whoever asked may.
        payload: dict[str, object] = {"text": text, "actions": sorted(action.value for action in who.actions)}
        asked = self._asked(who, conversation.account_id, run_id, payload, Trigger.OPERATOR)
        said = Message(conversation.id, 0, run_id, Author.OPERATOR, "", text, {}, asked.requested_at)
        return await self._queue(RunKind.CONVERSATION, replace(asked, conversation_id=conversation.id), said)

    async def request_order(self, who: Principal, account_id: str, ticket: OrderTicket, *, run_id: str) -> RunRecord:
        """Have an order placed, through the gate like any other. Asked again, the run as it now stands.

        Raises:
            NotPermitted: the principal may not propose this, or not submit.
            RunError: the id belongs to another request, or the symbol is paused and this is a buy.
        """
        who.require(ticket.proposes, account_id)
        who.require(Action.SUBMIT, account_id)
        async with self._database.reading() as uow:
            if await uow.runs.get(run_id) is None:
                await require_not_paused(uow, account_id, ticket)
        payload: dict[str, object] = {"ticket": ticket.model_dump(mode="json", exclude_none=True)}
        return await self._queue(RunKind.ORDER, self._asked(who, account_id, run_id, payload, Trigger.OPERATOR))

    async def request_cancel_order(self, who: Principal, account_id: str, client_order_id: str, *, run_id: str) -> RunRecord:
        """Have a working order taken back. Asked again, the run as it now stands.

        Raises:
            NotPermitted: the principal may not submit.
            RunError: the id belongs to another request.
        """
        who.require(Action.SUBMIT, account_id)
        asked = self._asked(who, account_id, run_id, {"cancel": client_order_id}, Trigger.OPERATOR)
        return await self._queue(RunKind.ORDER, asked)

    async def cancel(self, who: Principal, run_id: str) -> RunRecord:
        """Stop a run: at once when nobody works on it, otherwise at its next safe boundary. One that is over stays as it is.

        Raises:
            NotPermitted: the principal may neither submit on the account, nor has asked for the run.
            UnknownRun: there is no such run.
        """
        record = await cancel_run(self._database, self._clock, who, run_id)
        self._log.wake()
        self._worker.wake()
        return record

    async def decide_approval(self, who: Principal, intent_id: str, *, approve: bool, reason: str = "") -> Approval:
        """An operator's yes or no to what a run asks; the run is told of it, and goes on at once where its desk is.

        Raises:
            NotPermitted: the principal may not approve, or proposed this and the limits ask for four eyes.
            ApprovalError: nothing was asked, it has expired, or it is decided already.
            InvalidInput: the reason is too long.
        """
        try:
            approvals = Approvals(self._database, self._clock)
            return await approvals.decide(who, intent_id, approve=approve, reason=reason, also=tell_answer)
        finally:
            self._log.wake()
            self._worker.wake()

    async def wait(self, run_id: str, timeout: float) -> RunRecord:  # noqa: ASYNC109  # it is no error: the run is given as it stands
        """The run as it stands when it is over or waits for an operator, at the latest after `timeout` seconds.

        Raises:
            UnknownRun: there is no such run.
        """
        try:
            async with asyncio.timeout(timeout), aclosing(self._log.follow_run(run_id)) as events:
                async for event in events:
                    if event.kind in FINAL or (event.kind == "run_waiting" and await self._waits(run_id)):
                        break
        except TimeoutError:
            pass
        return await self._record(run_id)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Do the runs of the desks of this process until the block ends.

        Runs that a dead process left are taken up again, and so are waiting ones whose approvals are answered or expired. At the
        end nothing new is begun, each run goes on to its next boundary for as long as `Pace.drain` allows, and is left for the
        next process.
        """
        async with self._worker.working():
            yield

    def _asked(self, who: Principal, account_id: str, run_id: str, payload: Mapping[str, object], trigger: Trigger) -> RunRequest:
        return RunRequest(run_id, account_id, who.name, trigger, payload, self._clock.now())

    async def _queue(self, kind: RunKind, request: RunRequest, said: Message | None = None) -> RunRecord:
        async with self._database.transaction() as uow:
            if said is not None:
                await uow.conversations.say(said)
            record = await queue_run(uow, kind, request)
        self._log.wake()
        self._worker.wake()
        return record

    async def _waits(self, run_id: str) -> bool:
        """Whether it waits now: the log also tells of what it waited for once."""
        return (await self._record(run_id)).state.value == "waiting"

    async def _record(self, run_id: str) -> RunRecord:
        async with self._database.reading() as uow:
            record = await uow.runs.get(run_id)
        if record is None:
            raise UnknownRun(f"run {run_id!r} is not on record", not_done="Nothing was done", next_step="List the recent runs")
        return record
