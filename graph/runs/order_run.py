"""A person's order as a run: intent, gate, approval, submission, and a look at what came of it.

It can be taken up again at every point and sends nothing twice: the intent's id depends on the run alone, the ledger keeps what
the gate said, and an intent that was submitted once gives back its order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from graph.conversation.cards import ORDER_OF_CARD, require_near
from graph.events import EventKind
from graph.nodes import WATCHES
from graph.runner import RunResult, tell_approvals
from graph.runs.event_data import order_json
from graph.runs.orders import OrderTicket, make_intent, require_not_paused
from graph.runs.told import ended_short, told_about
from graph.system import TradingSystem
from trading_core.auth.permissions import Principal
from trading_core.domain.errors import AlgoTrendyError, LedgerError, RunError, StoreUnavailable
from trading_core.domain.intents import (
    Approval,
    ApprovalState,
    RiskDecision,
    TradeIntent,
    Verdict,
    make_client_order_id,
    make_intent_id,
)
from trading_core.domain.orders import Order, OrderState
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunRecord, RunState

_WATCH_SECONDS = (0.25, 0.75, *(1.0,) * (WATCHES - 1))  # how far apart the venue is asked about the fresh order
STALE_AFTER = timedelta(minutes=5)
"""An order that was asked for longer ago is not sent any more: it was meant at the prices of then."""
Stop = Callable[[], bool]


async def run_order(
    system: TradingSystem, request: RunRequest, record: RunRecord, principal: Principal, stop: Stop, now: datetime
) -> RunResult:
    """Place the order that is asked for, or take one back.

    Args:
        now: by the clock on which it was asked for.
        stop: whether the run is to stop before it sends anything; its state is then `RUNNING` still.

    Raises:
        NotPermitted: the principal may not do this today.
        InvalidInput: nothing can be made of the ticket at today's prices.
        ApprovalError: it is a market buy of a card, and the price has moved too far since the card was made.
        RunError: the symbol was paused meanwhile, or it was asked for too long ago.
        LedgerError: what is to be taken back is not on record here.
    """
    wanted = request.payload.get("cancel")
    if isinstance(wanted, str):
        order = await system.desk.cancel(principal, wanted)
        if order.state is not OrderState.CANCELLED:
            return _done(record, "not_cancelled", order)  # it was over before, or nobody knows yet what the venue did
        async with system.database.reading() as uow:
            known = await told_about(uow, record.id, "order_cancelled")
        if order.client_order_id not in known:
            system.asker.tell("order_cancelled", record.id, order=order, why="was taken back by " + principal.name)
        return _done(record, "cancelled", order)
    placing = _Placing(system, record, principal, stop, asked_ago=now - request.requested_at)
    return await placing.run(OrderTicket.model_validate(request.payload["ticket"]))


class _Placing:
    def __init__(
        self, system: TradingSystem, record: RunRecord, principal: Principal, stop: Stop, *, asked_ago: timedelta
    ) -> None:
        self._system, self._record, self._principal, self._stop = system, record, principal, stop
        self._asked_ago = asked_ago
        self._desk, self._tell = system.desk, system.asker.tell

    async def run(self, ticket: OrderTicket) -> RunResult:
        run_id = self._record.id
        intent, decision, approval = await self._known(make_intent_id(run_id, ticket.purpose, ticket.symbol))
        if intent is None or decision is None:
            if self._stop():
                return RunResult(run_id, RunState.RUNNING)
            self._require_fresh()
            async with self._system.database.reading() as uow:
                await require_not_paused(uow, self._desk.account_id, ticket)
            intent = await self._make(ticket)
            decision = await self._desk.propose(self._principal, intent)
            _, _, approval = await self._known(intent.intent_id)
        if intent.intent_id not in await self._told_about("gate_decided"):
            self._tell("gate_decided", run_id, intent=intent, wanted=intent.quantity, decision=decision)
        if decision.verdict is Verdict.DENIED:
            return self._denied(intent, decision)
        if decision.verdict is Verdict.NEEDS_APPROVAL and (approval is None or approval.state is not ApprovalState.APPROVED):
            return await self._unapproved(intent, approval)
        if self._stop():
            return RunResult(run_id, RunState.RUNNING)
        if approval is None and await self._written_down(intent) is None:  # an approval has an end, and a price, of its own
            self._require_fresh()
        return await self._send(intent)

    def _require_fresh(self) -> None:
        if self._asked_ago > STALE_AFTER:
            raise RunError(
                f"the order was asked for {self._asked_ago // timedelta(minutes=1)} minutes ago, and no desk has sent it since",
                not_done="It was not sent",
                next_step="Look at the prices of now, and ask again",
            )

    async def _told_about(self, kind: EventKind) -> frozenset[str]:
        """What a process that worked on the run before has told already."""
        async with self._system.database.reading() as uow:
            return await told_about(uow, self._record.id, kind)

    async def _written_down(self, intent: TradeIntent) -> Order | None:
        """The intent's order, where there is one: it may be at the venue."""
        async with self._system.database.reading() as uow:
            return await uow.orders.get(make_client_order_id(intent.intent_id))

    async def _known(self, intent_id: str) -> tuple[TradeIntent | None, RiskDecision | None, Approval | None]:
        """What is on record of the intent: itself, the gate's first word, and an operator's."""
        async with self._system.database.reading() as uow:
            decisions = await uow.intents.decisions_of(intent_id)
            return await uow.intents.get(intent_id), next(iter(decisions), None), await uow.approvals.get(intent_id)

    async def _make(self, ticket: OrderTicket) -> TradeIntent:
        system, now = self._system, self._system.clock.now()
        view = await system.runner.context.books.account()
        async with system.database.reading() as uow:
            card = await uow.proposals.get(self._record.id.removeprefix(ORDER_OF_CARD))
        if card is not None and card.order_run_id == self._record.id:
            await require_near(card, system)
        return make_intent(
            ticket,
            self._principal.name,
            self._record.id,
            self._desk.account_id,
            ticker=await system.feed.ticker(ticket.symbol, as_of=now) if ticket.symbol in self._desk.instruments else None,
            instrument=self._desk.instruments.get(ticket.symbol),
            position=view.portfolio.position(ticket.symbol),
            now=now,
            strategy=system.config.strategy,
        )

    async def _unapproved(self, intent: TradeIntent, approval: Approval | None) -> RunResult:
        if approval is None or approval.state is ApprovalState.PENDING:
            await tell_approvals(self._system.runner.context, self._record.id, [intent.intent_id])
            return RunResult(self._record.id, RunState.WAITING, (intent.intent_id,))
        return RunResult(self._record.id, RunState.DONE, told={"outcome": approval.state.value, "intent_id": intent.intent_id})

    async def _send(self, intent: TradeIntent) -> RunResult:
        run_id, books = self._record.id, self._system.runner.context.books
        known = await self._told_about("order_sent")
        with books.following(run_id, intent):
            result = await self._submit(intent)
            if isinstance(result, RiskDecision):
                return self._denied(intent, result)
            if result.client_order_id not in known:
                self._tell("order_sent", run_id, order=result)
            order = await self._watch(result)
        async with self._system.database.reading() as uow:
            ended = await ended_short(uow, run_id, (order.client_order_id,))
        for each in ended:
            self._tell("order_ended", run_id, order=each)
        return _done(self._record, "sent", order)

    async def _submit(self, intent: TradeIntent) -> Order | RiskDecision:
        try:
            return await self._desk.submit(self._principal, intent.intent_id, WorkingStyle.NOW)
        except (LedgerError, StoreUnavailable):
            raise
        except AlgoTrendyError:
            # A sale can be out when what sees to the rest of the holding fails. A run that failed would be asked for again.
            sent = await self._written_down(intent)
            if sent is None:
                raise
            return sent

    async def _watch(self, order: Order) -> Order:
        """Follow the fresh order for a moment, so that its fill is told and its stop placed at once.

        It is at the venue by now: that the venue cannot be read does not make the run fail.
        """
        books, key = self._system.runner.context.books, order.client_order_id
        for seconds in _WATCH_SECONDS:
            if not order.is_live or self._stop():
                break
            await self._system.clock.sleep(seconds)
            try:
                await books.sync()
            except LedgerError:
                raise
            except AlgoTrendyError:
                continue
            async with self._system.database.reading() as uow:
                order = await uow.orders.get(key) or order
        return order

    def _denied(self, intent: TradeIntent, decision: RiskDecision) -> RunResult:
        self._tell("order_denied", self._record.id, intent=intent, decision=decision)
        told = {"outcome": "denied", "intent_id": intent.intent_id, "reason_codes": list(decision.reason_codes)}
        return RunResult(self._record.id, RunState.DONE, told=told)


def _done(record: RunRecord, outcome: str, order: Order) -> RunResult:
    return RunResult(record.id, RunState.DONE, told={"outcome": outcome, "order": order_json(order)})
