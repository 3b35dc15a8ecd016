"""The one gate to a broker: propose, decide, (approve), submit. Nothing else in the house may place an order.

An intent, its decision and its reservation commit together. An order row commits as `SUBMITTING` before the network call, so
that a process that dies in between finds it and asks the venue, and never sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.base import Broker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ApprovalError, BrokerError, LedgerError, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Approval, ApprovalState, RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.orders import Fill, Order, OrderEvent, OrderState, Purpose, Side
from trading_core.execution.booking import Booking
from trading_core.execution.cancelling import Cancelling
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.inputs import AccountView, InputsReader
from trading_core.execution.protection import Protection
from trading_core.execution.reconcile import Reconciler, Reconciliation
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork
from trading_core.risk.engine import GateInputs, evaluate
from trading_core.risk.limits import Limits
from trading_core.risk.sizing import affordable
from trading_core.risk.state import AccountRisk, Withdrawal

APPROVAL_LASTS = timedelta(hours=4)
APPROVAL_DRIFT = Decimal("0.01")  # an approval dies when the price has moved further than this fraction

_PROPOSES = {
    Purpose.ENTRY: Action.PROPOSE_ENTRY,
    Purpose.EXIT: Action.PROPOSE_EXIT,
    Purpose.STOP: Action.PROPOSE_STOP,
    Purpose.REBALANCE: Action.PROPOSE_REBALANCE,
}


@dataclass(frozen=True, slots=True)
class Synced:
    """What reading the venue brought: fills that were new, the core's own orders that followed, the account after both, and
    the orders that the kill switch took back, or tried to."""

    fills: tuple[Fill, ...]
    placed: tuple[Order, ...]
    view: AccountView
    withdrawn: tuple[Order, ...] = ()


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
        self._cancelling = Cancelling(broker, self._booking, clock)
        self._reconciler = Reconciler(account_id, database, broker, clock, self._cancelling)
        self._protection = Protection(account_id, database, feed, clock, instruments, self._send)
        # A sync must not put back the stops that a sale has just taken away. Between processes the venue says no to the second.
        self._lock = asyncio.Lock()

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
                return (await uow.intents.decisions_of(intent.intent_id))[0]
            inputs = await self.inputs.read(uow, principal, tickers, has_approval=False, but=intent.intent_id)
            return await self._judge(uow, intent, inputs)

    async def propose_fitting(self, principal: Principal, wanted: TradeIntent) -> tuple[TradeIntent, RiskDecision]:
        """`propose` for as much of a wanted buy as every limit lets pass, sized and reserved in one transaction.

        What not even one lot is affordable of is judged as it was wanted, so that the record says why not.

        Returns:
            The intent that was judged, and the decision. Wanting the same again returns the first.

        Raises:
            NotPermitted: the principal may not propose this.
        """
        principal.require(_PROPOSES[wanted.purpose], wanted.account_id)
        tickers = await self.inputs.tickers(wanted.symbol)
        async with self._database.transaction() as uow:
            known = await uow.intents.get(wanted.intent_id)
            if known is not None:
                return known, (await uow.intents.decisions_of(wanted.intent_id))[0]
            inputs = await self.inputs.read(uow, principal, tickers, has_approval=False, but=wanted.intent_id)
            fitting = affordable(wanted, inputs, self.limits)
            intent = replace(wanted, quantity=fitting) if fitting > 0 else wanted
            await uow.intents.add(intent)
            return intent, await self._judge(uow, intent, inputs)

    async def _judge(self, uow: UnitOfWork, intent: TradeIntent, inputs: GateInputs) -> RiskDecision:
        """The gate's word on an intent that is on record, and the approval it asks for."""
        decision = evaluate(intent, inputs, self.limits)
        await uow.intents.add_decision(decision)
        if decision.verdict is Verdict.NEEDS_APPROVAL:
            now, price = self._clock.now(), inputs.tickers[intent.symbol].last
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
            asked, intent = await uow.approvals.get(intent_id), await uow.intents.get(intent_id)
            if asked is None or intent is None or intent.account_id != self.account_id:
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
        its order and sends nothing. An intent that was denied once stays denied.

        Returns:
            The order as it stands after the venue's answer, or the decision that now refuses it or still awaits an approval.

        Raises:
            NotPermitted: the principal may not submit.
            LedgerError: the intent is not on record here.
            BrokerUnavailable: a sale's stops were taken back and the venue could then not be read. The sale was not sent.
        """
        principal.require(Action.SUBMIT, self.account_id)
        async with self._database.reading() as uow:
            intent = await uow.intents.get(intent_id)
            known = await uow.orders.get(make_client_order_id(intent_id))
        if intent is None or intent.account_id != self.account_id:
            raise LedgerError(f"intent {intent_id[:12]!r} is not on record", not_done="Nothing was sent")
        if known is not None:
            return _of(intent, known)
        return await (self._sell(intent, style) if intent.side is Side.SELL else self._submit(intent, style))

    async def _sell(self, intent: TradeIntent, style: WorkingStyle) -> Order | RiskDecision:
        """Cancel the stops that hold the base at the venue, sell no more than is then held, and stop the rest again."""
        async with self._lock:
            # Asked before the stops are touched: a sale that may not be made leaves them where they are.
            tickers, held = await self.inputs.tickers(intent.symbol), await self._held_of(intent)
            async with self._database.transaction() as uow:
                known = await uow.orders.get(make_client_order_id(intent.intent_id))
                if known is not None:  # sent while this submission waited for the lock
                    return _of(intent, known)
                decision = await self._decide(uow, intent, held, tickers)
            if decision.verdict is not Verdict.APPROVED:
                return decision
            for order in (await self.account()).live_orders:
                if order.symbol == intent.symbol and order.purpose is Purpose.STOP:
                    await self._cancelling.cancel(order)
            result = await self._submit(intent, style, await self._held_of(intent))
            await self._protection.protect(intent.symbol, await self.account())
            return result

    async def _held_of(self, intent: TradeIntent) -> TradeIntent:
        """The intent, for no more than is held in whole lots."""
        held = (await self.account()).portfolio.position(intent.symbol).quantity
        instrument = self.instruments.get(intent.symbol)
        return replace(intent, quantity=min(intent.quantity, instrument.floor_quantity(held))) if instrument else intent

    async def _submit(self, intent: TradeIntent, style: WorkingStyle, sized: TradeIntent | None = None) -> Order | RiskDecision:
        """Decide once more and write the order down, in one transaction; then send it. `sized` is the intent, or less of it."""
        sized = sized or intent
        tickers = await self.inputs.tickers(intent.symbol)
        ticker = tickers.get(intent.symbol)
        async with self._database.transaction() as uow:
            known = await uow.orders.get(make_client_order_id(intent.intent_id))
            if known is not None:  # sent since submit() looked: by another task, or by another process
                return _of(intent, known)
            decision = await self._decide(uow, intent, sized, tickers)
            if decision.verdict is not Verdict.APPROVED:
                return decision
            request = make_request(sized, self.instruments[intent.symbol], ticker, style)
            order = make_order(intent, request, ticker, self._clock.now())
            await uow.orders.add(order)
        return await self._send(order)

    async def _decide(
        self, uow: UnitOfWork, intent: TradeIntent, sized: TradeIntent, tickers: Mapping[str, Ticker]
    ) -> RiskDecision:
        """The gate's word at submission, with the proposer's own authority. Of an intent denied before, that denial."""
        for earlier in await uow.intents.decisions_of(intent.intent_id):
            if earlier.verdict is Verdict.DENIED:
                return earlier
        now, approval = self._clock.now(), await uow.approvals.get(intent.intent_id)
        approved = _still_stands(approval, intent, tickers.get(intent.symbol), now)
        proposer = self._principals.get(intent.proposer, Principal(intent.proposer, frozenset(), frozenset()))
        inputs = await self.inputs.read(uow, proposer, tickers, has_approval=approved, but=intent.intent_id)
        decision = evaluate(sized, inputs, self.limits)
        if decision.verdict is Verdict.NEEDS_APPROVAL and not _may_still_come(approval, now):
            decision = replace(decision, verdict=Verdict.DENIED)
        if decision.verdict is Verdict.DENIED:
            await uow.intents.add_decision(decision)
        return decision

    async def _send(self, order: Order) -> Order:
        """The network call for an order that is already written down as `SUBMITTING`."""
        key = order.client_order_id
        self._booking.in_flight.add(key)
        try:
            report = await self._broker.place(order.request)
        except OrderRefused as error:
            return await self._booking.apply(key, OrderEvent.REFUSED, str(error), when=_awaits_answer)
        except BrokerError as error:
            # `AmbiguousOutcome`, or something an adapter must not let out of a write: either way nobody knows what was done.
            return await self._booking.apply(key, OrderEvent.AMBIGUOUS, str(error), when=_awaits_answer)
        finally:
            self._booking.in_flight.discard(key)
        return await self._booking.apply(key, OrderEvent.ACCEPTED, when=_awaits_answer, venue_order_id=report.venue_order_id)

    async def sync(self) -> Synced:
        """Book what the venue did, obey the kill switch, then see to it that every holding has its stop.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something the ledger cannot hold, such as an order of somebody else.
        """
        async with self._lock:
            fills, placed = await self._booking.sync(), list[Order]()
            view = await self.account()
            withdrawn = await self._cancelling.withdraw(view.live_orders, view.risk.withdrawal)
            view = await self.account() if withdrawn else view
            if view.risk.withdrawal is not Withdrawal.ALL:
                placed = [order for symbol in view.portfolio.held() for order in await self._protection.protect(symbol, view)]
            return Synced(fills, tuple(placed), await self.account() if placed else view, withdrawn)

    async def agrees(self) -> bool:
        """Whether the ledger's balances are the venue's, to the last digit.

        Raises:
            BrokerUnavailable: the venue could not be read.
        """
        return not await self._reconciler.balances()

    async def reconcile(self) -> tuple[Reconciliation, tuple[Synced, ...]]:
        """`sync`, compare everything with the venue, and take back orphan stops. While it does not agree, nothing is entered.

        Returns:
            What was found, and what each sync on the way brought.

        Raises:
            BrokerUnavailable: the venue could not be read; nothing was assumed.
        """
        synced: list[Synced] = []

        async def sync() -> None:
            synced.append(await self.sync())

        found = await self._reconciler.reconcile(sync)
        self.inputs.disagreement = found.disagreement
        return found, tuple(synced)

    async def observe(self, prices: Mapping[str, Decimal], view: AccountView) -> AccountRisk:
        """Let the loss limits see what the account of `view` is worth at `prices`."""
        equity = view.portfolio.equity(prices)
        if view.risk.observe(equity, self._clock.now(), self.limits) == view.risk:
            return view.risk
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
        return tuple([await self._cancelling.cancel(order) for order in stale])


def _of(intent: TradeIntent, order: Order) -> Order:
    """The order, which must be the intent's: its id holds only the beginning of the intent's."""
    if order.intent_id != intent.intent_id:
        raise LedgerError(
            f"intent {intent.intent_id[:12]!r} would share its order id with another",
            not_done="Nothing was sent",
            next_step="Propose it in a new run",
        )
    return order


def _awaits_answer(order: Order) -> bool:
    return order.state is OrderState.SUBMITTING


def _may_still_come(approval: Approval | None, now: datetime) -> bool:
    """Whether the operator was asked and can still answer."""
    return approval is not None and approval.state is ApprovalState.PENDING and now <= approval.expires_at


def _still_stands(approval: Approval | None, intent: TradeIntent, ticker: Ticker | None, now: datetime) -> bool:
    """Whether an operator said yes to exactly this, in time, and near the price it was asked at."""
    if approval is None or ticker is None or approval.state is not ApprovalState.APPROVED:
        return False
    drift = abs(ticker.last - approval.price) / approval.price
    return approval.content_hash == intent.content_hash and now <= approval.expires_at and drift <= APPROVAL_DRIFT
