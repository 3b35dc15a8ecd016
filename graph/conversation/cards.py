"""Orders on cards: exactly what would be sent, what the gate says to it now, and nothing sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from pydantic import ValidationError

from graph.runs.event_data import decision_json, jsonable
from graph.runs.orders import OrderTicket, TicketType, make_intent
from graph.runs.told import told_events
from graph.system import TradingSystem
from tools.context import Facts, number
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import iso
from trading_core.domain.errors import ApprovalError, InvalidInput
from trading_core.domain.intents import RiskDecision, TradeIntent, digest
from trading_core.domain.market import Ticker
from trading_core.domain.money import plain
from trading_core.domain.orders import Side
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.proposing import is_near
from trading_core.persistence.desk_records import Proposal

LASTS = timedelta(minutes=10)
MOST_CARDS = 10  # of one answer; a model that makes more has lost its way
ORDER_OF_CARD = "order-"  # how the run of a card's order is called, before the card's id
NOTE = "nothing was sent; the operator has to confirm the card"


def order_run_id(proposal_id: str) -> str:
    """The run that places the order of a card, once confirmed: one card, one order."""
    return f"{ORDER_OF_CARD}{proposal_id}"


@dataclass(slots=True)
class Cards:
    """Makes the cards of one answer.

    Args:
        who: who asks; the card is that person's, and nobody else can confirm it.
        told: takes each card that is new.
    """

    system: TradingSystem
    who: Principal
    run_id: str
    conversation_id: str | None
    told: Callable[[Proposal], None]
    made: int = 0
    asked_for: set[str] = field(default_factory=set)

    async def make(self, wanted: Facts, reason: str, snapshot: Snapshot) -> Facts:
        """Put an order on a card. The same order asked for again in the same turn is the same card.

        Raises:
            NotPermitted: the person may not propose it on this account.
            InvalidInput: it is no order that could be placed, or there are too many cards.
        """
        ticket = _ticket(wanted, reason)
        account_id, now = self.system.desk.account_id, self.system.clock.now()
        self.who.require(ticket.proposes, account_id)
        if self.made >= MOST_CARDS:
            raise InvalidInput(
                f"{MOST_CARDS} cards were made in this answer",
                not_done="No further card was made",
                next_step="Confirm those first",
            )
        self.made += 1  # before anything is waited for: a model may ask for many at once
        key = digest([self.run_id, self.who.name, ticket.content_hash])[:16]
        is_first = key not in self.asked_for
        self.asked_for.add(key)
        intent = make_intent(
            ticket,
            self.who.name,
            order_run_id(key),
            account_id,
            ticker=(ticker := snapshot.tickers.get(ticket.symbol)),
            instrument=snapshot.instruments.get(ticket.symbol),
            position=snapshot.portfolio.position(ticket.symbol),
            now=now,
            strategy=self.system.config.strategy,
        )
        decision = await self.system.desk.preview(self.who, intent)
        proposal = Proposal(
            id=key,
            account_id=account_id,
            owner=self.who.name,
            run_id=self.run_id,
            ticket=ticket.model_dump(mode="json", exclude_none=True),
            content_hash=ticket.content_hash,
            preview={
                **decision_json(decision),
                "quantity": jsonable(intent.quantity),
                "worst_price": jsonable(intent.worst_price),
                "price": jsonable(ticker.last) if ticker is not None else None,
            },
            reason=reason,
            created_at=now,
            expires_at=now + LASTS,
            conversation_id=self.conversation_id,
        )
        async with self.system.database.transaction() as uow:
            is_new = await uow.proposals.add(proposal)
            kept = await uow.proposals.get(key) or proposal
        if is_new or (is_first and not await self._was_told(key)):
            self.told(kept)
        return _shown(kept, intent, decision, ticker)

    async def _was_told(self, card_id: str) -> bool:
        """Whether the process that made a card lived long enough to tell of it."""
        async with self.system.database.reading() as uow:
            return any(event.data.get("proposal") == card_id for event in await told_events(uow, self.run_id, "proposal_made"))


async def require_near(card: Proposal, system: TradingSystem) -> None:
    """A market buy is placed at about the price that its card showed. A sale takes risk off: it is not held back.

    Raises:
        ApprovalError: the price has moved too far since.
    """
    shown, ticket = card.preview.get("price"), OrderTicket.model_validate(card.ticket)
    if not isinstance(shown, str) or ticket.side is not Side.BUY or ticket.type is not TicketType.MARKET:
        return
    ticker, limits = await system.feed.ticker(ticket.symbol, as_of=system.clock.now()), system.desk.limits
    if ticker is not None and not is_near(Decimal(shown), ticker, limits):
        raise ApprovalError(
            f"{ticket.symbol} was at {shown} when card {card.id!r} was made and is at {plain(ticker.last)} now, a move of more"
            f" than {plain(limits.approval_drift * 100)} %",
            not_done="Nothing was sent",
            next_step="Ask for the order again, and confirm the new card",
        )


def _ticket(wanted: Mapping[str, object], reason: str) -> OrderTicket:
    try:
        return OrderTicket.model_validate({**wanted, "reason": reason})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{where}: {said}" if where else said, not_done="No card was made") from None


def _shown(proposal: Proposal, intent: TradeIntent, decision: RiskDecision, ticker: Ticker | None) -> Facts:
    """What a model may say of a card."""
    price = ticker.last if ticker is not None else None
    return {
        "card": proposal.id,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "type": str(proposal.ticket.get("type", "market")),
        "quantity": number(intent.quantity),
        "price_now": number(price),
        "worth_about": None if price is None else number(intent.quantity * price),
        "limit_price": number(intent.limit_price),
        "stop_price": number(intent.stop_price),
        "take_profit": number(intent.take_profit),
        "gate": decision.verdict.value,
        "failed": [{"code": one.code, "found": one.found, "limit": one.limit, "detail": one.detail} for one in decision.failed],
        "state": proposal.state.value,
        "expires_at": iso(proposal.expires_at),
        "note": NOTE,
    }
