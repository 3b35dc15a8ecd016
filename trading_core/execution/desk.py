"""The one gate to a broker: propose, decide, (approve), submit. Nothing else in the house may place an order.

An intent, its decision and its reservation commit together. An order row commits as `SUBMITTING` before the network call, so
that a process that dies in between finds it and asks the venue, and never sends it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_core.audit.entry import AuditAction, SubjectKind, recorded
from trading_core.auth.permissions import Action, Principal
from trading_core.brokers.base import Broker, OrderReport
from trading_core.domain.clock import Clock
from trading_core.domain.errors import AlgoTrendyError, InvalidInput, LedgerError
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import Approval, RiskDecision, TradeIntent
from trading_core.domain.market import MarketFeed
from trading_core.domain.orders import Fill, Order, Purpose, Side
from trading_core.domain.portfolio import Transfer
from trading_core.execution.approving import Approvals
from trading_core.execution.book import AccountView
from trading_core.execution.booking import Booking
from trading_core.execution.cancelling import Cancelling
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.inputs import InputsReader
from trading_core.execution.ledger import Ledger
from trading_core.execution.listening import Listening
from trading_core.execution.proposing import Proposing
from trading_core.execution.reconcile import Difference, Reconciler, Reconciliation
from trading_core.execution.replacing import Replacing
from trading_core.execution.submitting import Submitting
from trading_core.execution.together import together
from trading_core.execution.transfers import Transfers
from trading_core.persistence.records import RunKind
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook
from trading_core.risk.state import AccountRisk, Withdrawal


@dataclass(frozen=True, slots=True)
class Synced:
    """What reading the venue brought: fills that were new, the core's own orders that followed, the account after both, and
    the orders that the kill switch or their expiry took back, or tried to."""

    fills: tuple[Fill, ...]
    placed: tuple[Order, ...]
    view: AccountView
    withdrawn: tuple[Order, ...] = ()


class Desk:
    """One account at one broker.

    Args:
        principals: agents and others that no table of users knows, by name. At submission the gate asks again with the
            proposer's own authority as it is then.
        strategy: the one that is followed here.

    Attributes:
        limits: what binds the account and that strategy. An intent is bound by those of the strategy that it names.
    """

    def __init__(
        self,
        *,
        account_id: str,
        database: Database,
        broker: Broker,
        feed: MarketFeed,
        clock: Clock,
        limits: LimitsBook,
        instruments: Mapping[str, Instrument],
        principals: Mapping[str, Principal],
        strategy: str = "",
    ) -> None:
        self.account_id, self.limits, self.instruments = account_id, limits.of(account_id, strategy), instruments
        self._account_limits = limits.of(account_id)
        self._broker, self._clock = broker, clock
        self._ledger = Ledger(account_id, database, clock, limits)
        self._booking = Booking(self._ledger, broker, clock, instruments)
        self.inputs = InputsReader(self._ledger, self._booking, feed, clock, instruments)
        self._cancelling = Cancelling(broker, self._ledger, self._booking, clock)
        self._reconciler = Reconciler(account_id, database, broker, clock, self._cancelling)
        self._approvals = Approvals(database, clock, limits)
        self._proposing = Proposing(self._ledger, self.inputs, clock, limits)
        self._submitting = Submitting(
            self._ledger,
            self._booking,
            self._cancelling,
            self.inputs,
            broker=broker,
            feed=feed,
            clock=clock,
            limits=limits,
            instruments=instruments,
            principals=principals,
        )
        self._replacing = Replacing(self._ledger, self._cancelling, self._proposing, self._submitting, instruments)
        self._transfers = Transfers(self._ledger, self._booking, broker, feed, clock, instruments)
        self._syncing = asyncio.Lock()

    async def account(self, principal: Principal) -> AccountView:
        """Portfolio, live orders and risk state as the ledger has them.

        Raises:
            NotPermitted: the principal may not read one of the three.
        """
        for action in (Action.READ_PORTFOLIO, Action.READ_ORDERS, Action.READ_RISK):
            principal.require(action, self.account_id)
        return await self._view()

    async def _view(self) -> AccountView:
        return (await self._ledger.book()).view(self._clock.now(), self._booking.known_at)

    async def propose(self, principal: Principal, intent: TradeIntent) -> RiskDecision:
        """Ask the gate, and write down the intent, what the gate said, and the approval it needs.

        Proposing the same intent again returns the first decision.

        Raises:
            NotPermitted: the principal may not propose this.
            IntentConflict: the id is taken by another intent.
            InvalidInput: it has expired.
        """
        return await self._proposing.propose(principal, intent)

    async def propose_fitting(self, principal: Principal, wanted: TradeIntent) -> tuple[TradeIntent, RiskDecision]:
        """`propose` for as much of a wanted buy as every limit lets pass, sized and reserved in one transaction.

        What not even one lot is affordable of is judged as it was wanted, so that the record says why not.

        Returns:
            The intent that was judged, and the decision. Wanting the same again returns the first.

        Raises:
            NotPermitted: the principal may not propose this.
            InvalidInput: it has expired.
        """
        return await self._proposing.propose_fitting(principal, wanted)

    async def preview(self, principal: Principal, intent: TradeIntent) -> RiskDecision:
        """What the gate would say to an intent now. Nothing is written, and nothing is reserved.

        Raises:
            NotPermitted: the principal may not propose this.
            InvalidInput: it has expired.
        """
        return await self._proposing.preview(principal, intent)

    async def affordable(self, principal: Principal, intent: TradeIntent) -> Decimal:
        """The largest quantity up to the intent's own that every quantity-dependent check lets pass; 0 for none.

        Raises:
            NotPermitted: the principal may not propose this.
        """
        return await self._proposing.affordable(principal, intent)

    async def decide_approval(self, principal: Principal, intent_id: str, *, approve: bool, reason: str) -> Approval:
        """An operator's yes or no.

        Raises:
            NotPermitted: the principal may not approve, or proposed this and the limits ask for four eyes.
            ApprovalError: nothing was asked, it has expired, or it is decided already.
            InvalidInput: the reason is too long.
        """
        principal.require(Action.APPROVE, self.account_id)
        return await self._approvals.decide(principal, intent_id, approve=approve, reason=reason)

    async def submit(self, principal: Principal, intent_id: str, style: WorkingStyle) -> Order | RiskDecision:
        """Send an approved intent, once.

        The gate is asked again first: the market and the account may have moved. Submitting the same intent again returns
        its order and sends nothing. An intent that was denied once stays denied.

        Returns:
            The order as it stands after the venue's answer, or the decision that now refuses it or still awaits an approval.

        Raises:
            NotPermitted: the principal may not submit.
            LedgerError: the intent is not on record here.
            RunError: its run is over, and it was not sent before.
            BrokerUnavailable: a sale's stops were taken back and the venue could then not be read. The sale was not sent.
        """
        return await self._submitting.submit(principal, intent_id, style)

    async def replace(
        self, principal: Principal, client_order_id: str, wanted: TradeIntent, style: WorkingStyle
    ) -> Order | RiskDecision:
        """Take an order back and send another in its place, for what the first has not filled of `wanted`'s quantity.

        The second is proposed only when the venue has confirmed the end of the first, and passes the gate like any other.
        Asking for the same again goes on where it stopped, and sends nothing twice.

        Returns:
            The new order; the old one when it has filled all that was wanted; or the decision that refuses the new one, or still
            awaits an approval.

        Raises:
            NotPermitted: the principal may not propose this, or not submit.
            InvalidInput: the two are not of one symbol and side, the first is a stop, which the core keeps, or the second has
                expired.
            IntentConflict: the second's id is taken by another intent.
            LedgerError: the first is not on record.
            AmbiguousOutcome: whether the first still works is not known. Nothing was sent in its place.
        """
        return await self._replacing.replace(principal, client_order_id, wanted, style)

    async def sync(self, principal: Principal) -> Synced:
        """Book what the venue did, take back what was killed or has expired, then see to it that every holding has its stop.

        Raises:
            NotPermitted: the principal may not operate the desk.
            BrokerUnavailable: the venue could not be read; nothing was assumed.
            LedgerError: the venue tells of something the ledger cannot hold, such as an order of somebody else.
        """
        principal.require(Action.OPERATE, self.account_id)
        return await self._sync()

    async def _sync(self) -> Synced:
        async with self._syncing:
            return await self._attend(await self._booking.sync())

    async def _attend(self, fills: tuple[Fill, ...]) -> Synced:
        """What follows from what was booked."""
        view = await self._view()
        withdrawn = await self._cancelling.withdraw(view.live_orders, view.risk.withdrawal)
        view = await self._view() if withdrawn else view
        if view.risk.withdrawal is Withdrawal.ALL:
            return Synced(fills, (), view, withdrawn)
        orders = await self._protect(view)
        return Synced(fills, orders, await self._view() if orders else view, withdrawn)

    def listen(self, principal: Principal) -> AsyncGenerator[Synced | AlgoTrendyError, None]:
        """Book what the venue tells as it happens, and read what it does not tell whole, until the iteration is closed.

        Yields:
            What each update or reading brought, or what went wrong with it. An account of which the venue tells what the ledger
            cannot hold enters nothing until it is reconciled.

        Raises:
            NotPermitted: the principal may not operate the desk.
            BrokerUnavailable: the venue does not stream to this account.
        """
        principal.require(Action.OPERATE, self.account_id)
        return Listening(self._broker, self._clock, hear=self._hear, read=self._sync, distrust=self._distrust).brought()

    async def _hear(self, told: Sequence[Fill | OrderReport]) -> tuple[Synced | None, bool]:
        """Book what was told, and attend to what follows; whether the venue is to be read."""
        heard = await self._booking.hear(told)
        if not heard.fills and not heard.has_moved:
            return None, heard.is_behind
        async with self._syncing:
            return await self._attend(heard.fills), heard.is_behind

    def _distrust(self, error: LedgerError) -> None:
        self.inputs.disagreement = error.what

    async def _protect(self, view: AccountView) -> tuple[Order, ...]:
        protected = await together(self._submitting.protect, view.portfolio.held())
        return tuple(order for placed in protected for order in placed)

    async def agrees(self, principal: Principal) -> bool:
        """Whether the ledger's balances are the venue's, to the last digit.

        Raises:
            NotPermitted: the principal may not read the portfolio.
            BrokerUnavailable: the venue could not be read.
        """
        principal.require(Action.READ_PORTFOLIO, self.account_id)
        return not await self._reconciler.balances()

    async def reconcile(self, principal: Principal) -> tuple[Reconciliation, tuple[Synced, ...]]:
        """`sync`, compare everything with the venue, and take back orphan stops. While it does not agree, nothing is entered.

        Returns:
            What was found, and what each sync on the way brought.

        Raises:
            NotPermitted: the principal may not operate the desk.
            BrokerUnavailable: the venue could not be read; nothing was assumed.
        """
        principal.require(Action.OPERATE, self.account_id)
        synced: list[Synced] = []
        self._ledger.forget()  # what is compared is what is on record, not what this process remembers of it

        async def sync() -> None:
            synced.append(await self._sync())

        found = await self._reconciler.reconcile(sync)
        self.inputs.disagreement = found.disagreement
        return found, tuple(synced)

    async def book_transfers(self, principal: Principal, reason: str) -> tuple[Transfer, ...]:
        """Book what the venue's balances differ by from the ledger's as paid in or taken out.

        Raises:
            NotPermitted: the principal may not operate the desk, or not say what was paid in.
            BrokerUnavailable, MarketDataUnavailable: the venue, or the price of a holding, could not be read.
            LedgerError: more than balances differs, which no transfer explains. Nothing was booked.
        """
        principal.require(Action.MANAGE_BROKERS, self.account_id)
        found, _ = await self.reconcile(principal)
        if other := [row for row in found.rows if row.blocks and row.kind is not Difference.BALANCE]:
            raise LedgerError(
                f"more than balances differs: {other[0].kind.value} {other[0].subject}",
                not_done="No transfer was booked",
                next_step="`algotrendy reconcile` shows it; mend that first",
            )
        booked = await self._transfers.book(principal, reason)
        await self.reconcile(principal)
        return booked

    async def observe(self, principal: Principal, prices: Mapping[str, Decimal], view: AccountView) -> AccountRisk:
        """Let the loss limits see what the account of `view` is worth at `prices`.

        Raises:
            NotPermitted: the principal may not operate the desk.
        """
        principal.require(Action.OPERATE, self.account_id)
        equity = view.portfolio.equity(prices)
        if view.risk.observe(equity, self._clock.now(), self._account_limits) == view.risk:
            return view.risk
        async with self._ledger.writing() as entry:
            now = self._clock.now()
            after = entry.book.risk_at(now).observe(entry.book.portfolio.equity(prices), now, self._account_limits)
            entry.book = replace(entry.book, risk=after)
            return after

    async def cancel_entries(self, principal: Principal, *, but_run: str) -> tuple[Order, ...]:
        """Take back buys that earlier cycles left working: a new one decides anew. What a person ordered works on.

        Raises:
            NotPermitted: the principal may not operate the desk.
        """
        principal.require(Action.OPERATE, self.account_id)
        view = await self._view()
        stale = [order for order in view.live_orders if order.run_id != but_run and order.side is Side.BUY]
        if not stale:
            return ()
        async with self._ledger.reading() as uow:
            runs = {run_id: await uow.runs.get(run_id) for run_id in dict.fromkeys(order.run_id for order in stale)}
        ordered = {run_id for run_id, run in runs.items() if run is not None and run.kind is RunKind.ORDER}
        return tuple([await self._cancelling.cancel(order) for order in stale if order.run_id not in ordered])

    async def cancel(self, principal: Principal, client_order_id: str) -> Order:
        """Take one order back, and wait a moment for what comes of it: a fill can win the race. One that is over stays as it is.

        Raises:
            NotPermitted: the principal may not submit.
            LedgerError: the order is not on record here.
            InvalidInput: it is a protective stop, which the core would place again.
            BrokerUnavailable: the venue could not be read afterwards; the order stands as it is on record.
        """
        principal.require(Action.SUBMIT, self.account_id)
        order = await self._ledger.order(client_order_id)
        if order.purpose is Purpose.STOP:
            raise InvalidInput(
                f"order {client_order_id!r} is the protective stop of a holding",
                not_done="It was not taken back",
                next_step=f"Sell {order.symbol}, and the stop goes with it",
            )
        if not order.is_live:
            return order
        async with self._ledger.writing() as entry:
            # What the venue then does is told in its own name.
            what = recorded(order, "symbol", "side", "state", "filled")
            entry.tell(
                principal.name,
                AuditAction.ORDER_CANCEL_ASKED,
                SubjectKind.ORDER,
                client_order_id,
                None,
                what,
                run_id=order.run_id,
            )
        return await self._cancelling.cancel(order)
