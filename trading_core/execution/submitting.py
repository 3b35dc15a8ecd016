"""From an approved intent to an order at the venue, once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from trading_core.auth.identity import user_principal
from trading_core.auth.permissions import OPERATOR, Action, Principal
from trading_core.brokers.base import Broker
from trading_core.domain.clock import Clock
from trading_core.domain.errors import BrokerError, LedgerError, OrderRefused, RunError
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict, make_client_order_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.orders import Order, OrderEvent, OrderState, Side
from trading_core.execution.book import Book
from trading_core.execution.booking import Booking
from trading_core.execution.cancelling import Cancelling
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.execution.inputs import InputsReader
from trading_core.execution.ledger import Entry, Ledger
from trading_core.execution.proposing import may_still_come, still_stands
from trading_core.execution.protection import Protection
from trading_core.persistence.records import RunState
from trading_core.risk.engine import evaluate
from trading_core.risk.limits_book import LimitsBook

_OVER = frozenset({RunState.DONE, RunState.CANCELLED})  # a run that failed may be taken up again


class Submitting:
    """Orders of one account, from intents and the core's own."""

    def __init__(
        self,
        ledger: Ledger,
        booking: Booking,
        cancelling: Cancelling,
        inputs: InputsReader,
        *,
        broker: Broker,
        feed: MarketFeed,
        clock: Clock,
        limits: LimitsBook,
        instruments: Mapping[str, Instrument],
        principals: Mapping[str, Principal],
    ) -> None:
        self._ledger, self._booking, self._cancelling, self._inputs = ledger, booking, cancelling, inputs
        self._broker, self._clock, self._limits = broker, clock, limits
        self._instruments, self._principals = instruments, principals
        self._protection = Protection(ledger, cancelling, feed, clock, limits, instruments, self.send)
        # A sync must not put back the stops that a sale has just taken away. Between processes the venue says no to the second.
        self._selling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def submit(self, principal: Principal, intent_id: str, style: WorkingStyle) -> Order | RiskDecision:
        """See `Desk.submit`."""
        principal.require(Action.SUBMIT, self._ledger.account_id)
        intent = (await self._ledger.lately()).waiting.get(intent_id) or await self._ledger.intent(intent_id)
        send = self._sell if intent.side is Side.SELL else self._submit
        return await send(principal, intent, style)

    async def protect(self, symbol: str) -> tuple[Order, ...]:
        """See to it that a holding has its stop, or is sold at its profit target; the orders that were sent for it."""
        async with self._selling[symbol]:
            stops = await self._protection.protect(symbol, await self._ledger.lately())
            return (*stops, *await self._protection.take_profit(symbol, await self._ledger.lately()))

    async def _sell(self, principal: Principal, intent: TradeIntent, style: WorkingStyle) -> Order | RiskDecision:
        """Cancel the stops that hold the base at the venue, sell no more than is then held, and stop the rest again."""
        async with self._selling[intent.symbol]:
            # Asked before the stops are touched: a sale that may not be made leaves them where they are.
            tickers = await self._inputs.tickers(intent.symbol)
            async with self._ledger.writing() as entry:
                said = await self._said(entry, intent)
                held = self._held_of(intent, entry.book)
                decision = said or await self._decide(entry, principal, intent, held, tickers)
            if not isinstance(decision, RiskDecision) or decision.verdict is not Verdict.APPROVED:
                return decision
            await self._cancelling.cancel_stops(intent.symbol, entry.book)
            try:
                result = await self._submit(principal, intent, style, only_held=True)
            except RunError:  # stopped since it was asked about
                await self._protection.protect(intent.symbol, await self._ledger.lately())
                raise
            await self._protection.protect(intent.symbol, await self._ledger.lately())
            return result

    def _held_of(self, intent: TradeIntent, book: Book) -> TradeIntent:
        """The intent, for no more than is held in whole lots."""
        held = book.portfolio.position(intent.symbol).quantity
        instrument = self._instruments.get(intent.symbol)
        return replace(intent, quantity=min(intent.quantity, instrument.floor_quantity(held))) if instrument else intent

    async def _submit(
        self, principal: Principal, intent: TradeIntent, style: WorkingStyle, *, only_held: bool = False
    ) -> Order | RiskDecision:
        """Decide once more and write the order down, in one transaction; then send it."""
        tickers = await self._inputs.tickers(intent.symbol)
        ticker = tickers.get(intent.symbol)
        async with self._ledger.writing() as entry:
            said = await self._said(entry, intent)
            if said is not None:
                return said
            sized = self._held_of(intent, entry.book) if only_held else intent
            decision = await self._decide(entry, principal, intent, sized, tickers)
            if decision.verdict is not Verdict.APPROVED:
                return decision
            request = make_request(sized, self._instruments[intent.symbol], ticker, style)
            order = make_order(intent, request, ticker, self._clock.now())
            await entry.write(order, intent.proposer, principal.name)
        return await self.send(order)

    async def _said(self, entry: Entry, intent: TradeIntent) -> Order | RiskDecision | None:
        """What became of an intent already: the order it was sent as, or its denial. None while it waits.

        Raises:
            RunError: its run was over before it was sent.
        """
        waits = intent.intent_id in entry.book.waiting
        # A buy that waits has no order, and the ledger takes no second one. A sale is looked up before its stops are touched.
        if waits and intent.side is Side.BUY:
            return None
        known = await entry.uow.orders.get(make_client_order_id(intent.intent_id))
        if known is not None or waits:
            return known and _of(intent, known)
        decisions = await entry.uow.intents.decisions_of(intent.intent_id)
        denied = next((earlier for earlier in decisions if earlier.verdict is Verdict.DENIED), None)
        run = None if denied else await entry.uow.runs.get(intent.run_id)
        if run is not None and run.state in _OVER:
            raise RunError(
                f"intent {intent.intent_id[:12]!r} was not sent, and its run is over ({run.state.value})",
                not_done="Nothing was sent",
                next_step="Propose it in a new run if it is still wanted",
            )
        return denied

    async def _decide(
        self, entry: Entry, sender: Principal, intent: TradeIntent, sized: TradeIntent, tickers: Mapping[str, Ticker]
    ) -> RiskDecision:
        """The gate's word at submission, with the proposer's own authority. `sized` is the intent, or less of it."""
        limits = self._limits.of(intent.account_id, intent.strategy)
        # No table knows the person at the machine, who sends in person what that person proposed.
        at_machine = sender if sender.role == OPERATOR and sender.name == intent.proposer else None
        known = self._principals.get(intent.proposer) or await user_principal(entry.uow, intent.proposer) or at_machine
        proposer = known or Principal(intent.proposer, frozenset(), frozenset())
        now, approval = self._clock.now(), await entry.uow.approvals.get(intent.intent_id)
        approved = still_stands(approval, intent, tickers.get(intent.symbol), now, limits)
        inputs = self._inputs.read(entry.book, proposer, tickers, has_approval=approved, but=intent.intent_id)
        decision = evaluate(sized, replace(inputs, was_asked=approval is not None), limits)
        if decision.verdict is Verdict.NEEDS_APPROVAL and not may_still_come(approval, now):
            decision = replace(decision, verdict=Verdict.DENIED)
        if decision.verdict is Verdict.DENIED:
            await entry.decide(intent, decision)
        return decision

    async def send(self, order: Order) -> Order:
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
