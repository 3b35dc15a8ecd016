"""Taking an order back and sending another in its place: never both at once, whatever the venue does meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import AmbiguousOutcome, IntentConflict, InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.domain.money import positive
from trading_core.domain.orders import Order, Purpose
from trading_core.execution.cancelling import Cancelling
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.ledger import Ledger
from trading_core.execution.proposing import Proposing
from trading_core.execution.submitting import Submitting


class Replacing:
    """Replacements of one account's orders."""

    def __init__(
        self,
        ledger: Ledger,
        cancelling: Cancelling,
        proposing: Proposing,
        submitting: Submitting,
        instruments: Mapping[str, Instrument],
    ) -> None:
        self._ledger, self._cancelling, self._instruments = ledger, cancelling, instruments
        self._proposing, self._submitting = proposing, submitting

    async def replace(
        self, principal: Principal, client_order_id: str, wanted: TradeIntent, style: WorkingStyle
    ) -> Order | RiskDecision:
        """See `Desk.replace`."""
        # Whatever can be refused is refused before the order that works is touched.
        principal.require(Action.SUBMIT, self._ledger.account_id)
        self._proposing.check(principal, wanted)
        order = await self._ledger.order(client_order_id)
        _check_kind(order, wanted)
        known = await self._ledger.find_intent(wanted.intent_id)
        if known is not None:
            _check_same(order, known, wanted)
        if order.is_live:
            order = await self._cancelling.cancel(order)
        if order.is_live:
            raise AmbiguousOutcome(
                f"order {client_order_id!r} may still work",
                not_done="Nothing was sent in its place",
                next_step="Ask again when the venue has told",
            )
        if known is None:
            # The end of an order counts only when every fill before it is booked: nothing of what is left can still trade.
            instrument, left = self._instruments.get(order.symbol), wanted.quantity - order.filled
            left = left if instrument is None else instrument.floor_quantity(left)
            if left <= 0:
                return order
            decision = await self._proposing.propose(principal, replace(wanted, quantity=left))
            if decision.verdict is Verdict.DENIED:
                return decision
        return await self._submitting.submit(principal, wanted.intent_id, style)


def _check_kind(order: Order, wanted: TradeIntent) -> None:
    positive(wanted.quantity, name="quantity")
    if order.purpose is Purpose.STOP or (order.symbol, order.side) != (wanted.symbol, wanted.side):
        raise InvalidInput(
            f"order {order.client_order_id!r} ({order.purpose.value}, {order.side.value} {order.symbol}) cannot become"
            f" {wanted.side.value} {wanted.symbol}",
            not_done="Nothing was changed",
            next_step="Replace an entry or an exit by one of the same symbol and side",
        )


def _check_same(order: Order, known: TradeIntent, wanted: TradeIntent) -> None:
    """An intent on record is what was asked for in place of the order before, for what was left of it then."""
    same = replace(known, quantity=wanted.quantity).content_hash == wanted.content_hash
    if not same or known.quantity > wanted.quantity or known.intent_id == order.intent_id:
        raise IntentConflict(
            f"intent {wanted.intent_id!r} is on record with another content",
            not_done="Nothing was changed",
            next_step="Use a new run or leg for a new intent",
        )
