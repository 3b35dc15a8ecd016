"""The one gate to a broker: propose, decide, (approve), submit. Nothing else in the house may place an order.

An intent, its decision and its reservation commit together. An order row commits as `SUBMITTING` before the network call, so
that a process that dies in between finds it and asks the venue, and never sends it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.base import Broker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ApprovalError, BrokerError, LedgerError, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Approval, ApprovalState, RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.orders import Fill, Order, OrderEvent, Purpose, Side
from trading_core.execution.booking import Booking
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.inputs import AccountView, InputsReader
from trading_core.execution.protection import Protection
from trading_core.persistence.session import Database
from trading_core.risk.engine import evaluate
from trading_core.risk.limits import Limits
from trading_core.risk.sizing import affordable
from trading_core.risk.state import AccountRisk

APPROVAL_LASTS = timedelta(hours=4)
CANCEL_WAITS, CANCEL_WAIT_SECONDS = 4, 0.5
APPROVAL_DRIFT = Decimal("0.01")  # an approval dies when the price has moved further than this fraction

_PROPOSES = {
    Purpose.ENTRY: Action.PROPOSE_ENTRY,
    Purpose.EXIT: Action.PROPOSE_EXIT,
    Purpose.STOP: Action.PROPOSE_STOP,
    Purpose.REBALANCE: Action.PROPOSE_REBALANCE,
}


class Desk:
    """One account at one broker.

    Args:
        principals: who may propose, by name; at submission the gate asks again with the proposer's own authority.
    """

    def __init__(
        self,
        *,
        account_id: str,
        database: Database,
        broker: Broker,
        feed: MarketFeed,
        clock: Clock,
        limits: Limits,
        instruments: Mapping[str, Instrument],
        principals: Mapping[str, Principal],
    ) -> None:
        self.account_id, self.limits, self.instruments = account_id, limits, instruments
        self._database, self._broker, self._clock, self._principals = database, broker, clock, principals
        self._booking = Booking(account_id, database, broker, clock, limits, instruments)
        self.inputs = InputsReader(account_id, database, self._booking, feed, clock, limits, instruments)
        self._protection = Protection(account_id, database, feed, clock, instruments, self._send)

    async def account(self) -> AccountView:
        """Portfolio, live orders and risk state as the ledger has them."""
        async with self._database.reading() as uow:
            return await self.inputs.account(uow)

    async def propose(self, principal: Principal, intent: TradeIntent) -> RiskDecision:
        """Ask the gate, and write down the intent, what the gate said, and the approval it needs.

        Proposing the same intent again returns the first decision.

        Raises:
            NotPermitted: the principal may not propose this.
            IntentConflict: the id is taken by another intent.
        """
        principal.require(_PROPOSES[intent.purpose], intent.account_id)
        tickers = await self.inputs.tickers(intent.symbol)
        async with self._database.transaction() as uow:
            if not await uow.intents.add(intent):
                earlier = await uow.intents.decisions_of(intent.intent_id)
                if earlier:
                    return earlier[0]
            inputs = await self.inputs.read(uow, principal, tickers, has_approval=False, but=intent.intent_id)
            decision = evaluate(intent, inputs, self.limits)
            await uow.intents.add_decision(decision)
            if decision.verdict is Verdict.NEEDS_APPROVAL:
                now, price = self._clock.now(), tickers[intent.symbol].last
                await uow.approvals.request(Approval(intent.intent_id, intent.content_hash, price, now, now + APPROVAL_LASTS))
            return decision

    async def affordable(self, principal: Principal, intent: TradeIntent) -> Decimal:
        """The largest quantity up to the intent's own that every quantity-dependent check lets pass; 0 for none."""
        tickers = await self.inputs.tickers(intent.symbol)
        async with self._database.reading() as uow:
            inputs = await self.inputs.read(uow, principal, tickers, has_approval=False, but=intent.intent_id)
        return affordable(intent, inputs, self.limits)

    async def decide_approval(self, principal: Principal, intent_id: str, *, approve: bool, reason: str) -> Approval:
        """An operator's yes or no.

        Raises:
            NotPermitted: the principal may not approve.
            ApprovalError: nothing was asked, it has expired, or it is decided already.
        """
        principal.require(Action.APPROVE, self.account_id)
        now = self._clock.now()
        state = ApprovalState.APPROVED if approve else ApprovalState.REJECTED
        async with self._database.transaction() as uow:
            asked = await uow.approvals.get(intent_id)
            if asked is None:
                raise ApprovalError(f"no approval is asked for intent {intent_id[:12]!r}", not_done="Nothing was approved")
            if asked.state is ApprovalState.PENDING and now > asked.expires_at:
                state, reason = ApprovalState.EXPIRED, "it was not answered in time"
            decided = await uow.approvals.decide(intent_id, state, by=principal.name, at=now, reason=reason)
        if decided.state is ApprovalState.EXPIRED:
            raise ApprovalError(
                f"the approval of {intent_id[:12]!r} expired at {asked.expires_at}", not_done="Nothing was approved"
            )
        return decided

    async def submit(self, principal: Principal, intent_id: str, style: WorkingStyle) -> Order | RiskDecision:
        """Send an approved intent, once.

        The gate is asked again first: the market and the account may have moved. Submitting the same intent again returns
        its order and sends nothing.

        Returns:
            The order as it stands after the venue's answer, or the decision that now refuses it.
        """
        principal.require(Action.SUBMIT, self.account_id)
        async with self._database.reading() as uow:
            known = await uow.orders.get(make_client_order_id(intent_id))
            intent = await uow.intents.get(intent_id)
        if known is not None:
            return known
        if intent is None or intent.account_id != self.account_id:
            raise LedgerError(f"intent {intent_id[:12]!r} is not on record", not_done="Nothing was sent")
        sized = await self._make_room(intent) if intent.side is Side.SELL else intent
        decided = await self._commit(intent, sized, style)
        return decided if isinstance(decided, RiskDecision) else await self._send(decided)

    async def _commit(self, intent: TradeIntent, sized: TradeIntent, style: WorkingStyle) -> Order | RiskDecision:
        """Decide once more and write the order down, in one transaction. `sized` is the intent, or less of it."""
        tickers = await self.inputs.tickers(intent.symbol)
        now, ticker = self._clock.now(), tickers.get(intent.symbol)
        proposer = self._principals.get(intent.proposer, Principal(intent.proposer, frozenset(), frozenset()))
        async with self._database.transaction() as uow:
            approved = _still_stands(await uow.approvals.get(intent.intent_id), intent, ticker, now)
            inputs = await self.inputs.read(uow, proposer, tickers, has_approval=approved, but=intent.intent_id)
            decision = evaluate(sized, inputs, self.limits)
            if decision.verdict is not Verdict.APPROVED:
                await uow.intents.add_decision(replace(decision, verdict=Verdict.DENIED))
                return decision
            request = make_request(sized, self.instruments[intent.symbol], ticker, style)
            order = make_order(intent, request, ticker, now)
            await uow.orders.add(order)
            return order

    async def _send(self, order: Order) -> Order:
        """The network call for an order that is already written down as `SUBMITTING`."""
        try:
            report = await self._broker.place(order.request)
        except OrderRefused as error:
            return await self._booking.apply(order.client_order_id, OrderEvent.REFUSED, str(error))
        except BrokerError as error:
            # `AmbiguousOutcome`, or something an adapter must not let out of a write: either way nobody knows what was done.
            return await self._booking.apply(order.client_order_id, OrderEvent.AMBIGUOUS, str(error))
        return await self._booking.apply(order.client_order_id, OrderEvent.ACCEPTED, venue_order_id=report.venue_order_id)

    async def sync(self) -> tuple[Fill, ...]:
        """Book what the venue did, then see to it that every holding has its stop.

        Returns:
            Fills that were new.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
        """
        fills = await self._booking.sync()
        view = await self.account()
        for symbol in view.portfolio.held():
            await self._protection.protect(symbol, view)
        return fills

    async def agrees(self) -> bool:
        """Whether the ledger's balances are the venue's, to the last digit.

        Raises:
            BrokerUnavailable: the venue could not be read.
        """
        at_venue = {asset: balance.total for asset, balance in (await self._broker.balances()).items()}
        ours = {asset: amount for asset, amount in (await self.account()).portfolio.balances.items() if amount}
        return ours == at_venue

    async def observe(self, prices: Mapping[str, Decimal]) -> AccountRisk:
        """Let the loss limits see what the account is worth at `prices`."""
        async with self._database.transaction() as uow:
            portfolio = await uow.portfolios.load(self.account_id)
            before = await self._booking.risk(uow)
            after = before.observe(portfolio.equity(prices), self._clock.now(), self.limits)
            await self._booking.save_risk(uow, before, after)
            return after

    async def cancel_entries(self, *, but_run: str) -> tuple[Order, ...]:
        """Take back buys that earlier runs left working: a new run decides anew."""
        view = await self.account()
        stale = [order for order in view.live_orders if order.run_id != but_run and order.side is Side.BUY]
        return tuple([await self._cancel(order) for order in stale])

    async def _cancel(self, order: Order) -> Order:
        """Ask the venue to cancel, and wait a moment for what comes of it: a fill can win the race."""
        try:
            await self._broker.cancel(order.client_order_id, order.symbol)
        except OrderRefused:
            pass  # the venue does not know it as live: reading it tells what it is
        except BrokerError as error:
            return await self._booking.apply(order.client_order_id, OrderEvent.AMBIGUOUS, f"cancel: {error}")
        for _ in range(CANCEL_WAITS):
            await self._clock.sleep(CANCEL_WAIT_SECONDS)
            await self._booking.sync()
            async with self._database.reading() as uow:
                now = await uow.orders.get(order.client_order_id)
            if now is None or not now.is_live:
                return now or order
        return order

    async def _make_room(self, intent: TradeIntent) -> TradeIntent:
        """Before a sale: cancel the stops that hold the base at the venue, and sell no more than is then held."""
        for order in (await self.account()).live_orders:
            if order.symbol == intent.symbol and order.purpose is Purpose.STOP:
                await self._cancel(order)
        held = (await self.account()).portfolio.position(intent.symbol).quantity
        return replace(intent, quantity=min(intent.quantity, self.instruments[intent.symbol].floor_quantity(held)))


def _still_stands(approval: Approval | None, intent: TradeIntent, ticker: Ticker | None, now: datetime) -> bool:
    """Whether an operator said yes to exactly this, in time, and near the price it was asked at."""
    if approval is None or ticker is None or approval.state is not ApprovalState.APPROVED:
        return False
    drift = abs(ticker.last - approval.price) / approval.price
    return approval.content_hash == intent.content_hash and now <= approval.expires_at and drift <= APPROVAL_DRIFT
