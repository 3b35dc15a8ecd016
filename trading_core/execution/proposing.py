"""From what somebody wants to what the gate says of it, and to an operator's answer where the gate asks for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock, utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.intents import Approval, ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.market import Ticker
from trading_core.domain.orders import Purpose
from trading_core.execution.inputs import InputsReader
from trading_core.execution.ledger import Entry, Ledger
from trading_core.risk.engine import GateInputs, evaluate
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook
from trading_core.risk.sizing import affordable

PROPOSES = {
    Purpose.ENTRY: Action.PROPOSE_ENTRY,
    Purpose.EXIT: Action.PROPOSE_EXIT,
    Purpose.STOP: Action.PROPOSE_STOP,
    Purpose.REBALANCE: Action.PROPOSE_REBALANCE,
}


class Proposing:
    """Proposals and approvals of one account."""

    def __init__(self, ledger: Ledger, inputs: InputsReader, clock: Clock, limits: LimitsBook) -> None:
        self._ledger, self._inputs, self._clock, self._limits = ledger, inputs, clock, limits

    async def propose(self, principal: Principal, intent: TradeIntent) -> RiskDecision:
        """See `Desk.propose`."""
        self.check(principal, intent)
        tickers = await self._inputs.tickers(intent.symbol)
        async with self._ledger.writing() as entry:
            if not await entry.uow.intents.add(intent):
                return (await entry.uow.intents.decisions_of(intent.intent_id))[0]
            inputs = self._inputs.read(entry.book, principal, tickers, has_approval=False, but=intent.intent_id)
            return await self._judge(entry, intent, inputs)

    async def propose_fitting(self, principal: Principal, wanted: TradeIntent) -> tuple[TradeIntent, RiskDecision]:
        """See `Desk.propose_fitting`."""
        self.check(principal, wanted)
        tickers = await self._inputs.tickers(wanted.symbol)
        async with self._ledger.writing() as entry:
            known = await entry.uow.intents.get(wanted.intent_id)
            if known is not None:
                return known, (await entry.uow.intents.decisions_of(wanted.intent_id))[0]
            inputs = self._inputs.read(entry.book, principal, tickers, has_approval=False, but=wanted.intent_id)
            fitting = affordable(wanted, inputs, self._limits_of(wanted))
            intent = replace(wanted, quantity=fitting) if fitting > 0 else wanted
            await entry.uow.intents.add(intent)
            return intent, await self._judge(entry, intent, inputs)

    async def affordable(self, principal: Principal, intent: TradeIntent) -> Decimal:
        """See `Desk.affordable`."""
        principal.require(PROPOSES[intent.purpose], intent.account_id)
        tickers = await self._inputs.tickers(intent.symbol)
        book = await self._ledger.book()
        inputs = self._inputs.read(book, principal, tickers, has_approval=False, but=intent.intent_id)
        return affordable(intent, inputs, self._limits_of(intent))

    async def preview(self, principal: Principal, intent: TradeIntent) -> RiskDecision:
        """See `Desk.preview`."""
        self.check(principal, intent)
        tickers = await self._inputs.tickers(intent.symbol)
        book = await self._ledger.book()
        inputs = self._inputs.read(book, principal, tickers, has_approval=False, but=intent.intent_id)
        return evaluate(intent, inputs, self._limits_of(intent))

    def check(self, principal: Principal, intent: TradeIntent) -> None:
        """Whether an intent can be put to the gate at all.

        Raises:
            NotPermitted: the principal may not propose this.
            InvalidInput: it has expired, or its time has no zone.
        """
        principal.require(PROPOSES[intent.purpose], intent.account_id)
        if intent.expires_at is not None and utc(intent.expires_at) <= self._clock.now():
            raise InvalidInput(
                f"the intent expired at {intent.expires_at}", not_done="It was not proposed", next_step="Give a later time"
            )

    async def _judge(self, entry: Entry, intent: TradeIntent, inputs: GateInputs) -> RiskDecision:
        """The gate's word on an intent that is on record, and the approval it asks for."""
        limits = self._limits_of(intent)
        decision = evaluate(intent, inputs, limits)
        await entry.decide(intent, decision)
        if decision.verdict is Verdict.NEEDS_APPROVAL:
            now, price = self._clock.now(), inputs.tickers[intent.symbol].last
            until = now + timedelta(seconds=limits.approval_lasts_seconds)
            await entry.uow.approvals.request(Approval(intent.intent_id, intent.content_hash, price, now, until))
        return decision

    def _limits_of(self, intent: TradeIntent) -> Limits:
        return self._limits.of(intent.account_id, intent.strategy)


def may_still_come(approval: Approval | None, now: datetime) -> bool:
    """Whether the operator was asked and can still answer."""
    return approval is not None and approval.state is ApprovalState.PENDING and now <= approval.expires_at


def still_stands(approval: Approval | None, intent: TradeIntent, ticker: Ticker | None, now: datetime, limits: Limits) -> bool:
    """Whether an operator said yes to exactly this, in time, and near the price it was asked at."""
    if approval is None or ticker is None or approval.state is not ApprovalState.APPROVED:
        return False
    if limits.four_eyes and approval.decided_by == intent.proposer:
        return False  # the limits are tighter than when it was given
    in_time = now <= approval.expires_at
    return approval.content_hash == intent.content_hash and in_time and is_near(approval.price, ticker, limits)


def is_near(price: Decimal, ticker: Ticker, limits: Limits) -> bool:
    """Whether the market is still where an operator saw it: a yes holds within `approval_drift` of the price that was shown."""
    return abs(ticker.last - price) / price <= limits.approval_drift
