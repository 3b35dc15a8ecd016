"""Cards: orders that were proposed to the caller, to confirm or dismiss."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.http.dependencies import Caller, State, allowed
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.schemas.conversations import CardOut, Confirmation
from api.schemas.runs import RunAskedOut
from api.services.cursors import place, time_and_id
from api.services.desks import clock_of
from api.services.runs import asked
from api.state import ApiState
from graph.conversation import proposals as cards
from trading_core.auth.permissions import Action, Principal
from trading_core.persistence.desk_records import Proposal, ProposalState

router = APIRouter(prefix="/proposals", tags=["proposals"])

Reader = Annotated[Principal, allowed(Action.READ_PORTFOLIO)]  # as for the conversations that cards are of
CardId = Annotated[str, Path(pattern=r"^[!-~]{1,100}$", description="The card's id.")]


@router.get("", summary="List one's own cards")
async def list_proposals(
    state: State,
    who: Reader,
    page: PageQuery,
    card_state: Annotated[
        ProposalState, Query(alias="state", description="Those that can be confirmed, or those with another end.")
    ] = ProposalState.OPEN,
) -> Page[CardOut]:
    """Newest first. Whoever asked the desk for an order has its card; nobody else sees it. A page can hold fewer than `limit` and
    still have a `next_cursor`."""
    # One whose time is over is not written down as expired until somebody tries to confirm it.
    states = {card_state, ProposalState.OPEN} if card_state is ProposalState.EXPIRED else {card_state}
    async with state.database.reading() as uow:
        rows = await uow.proposals.page(who.name, limit=page.wanted, before=time_and_id(page), states=states)
    shown = page.page(rows, lambda row: (place(row.created_at), row.id), lambda row: _out(state, row))
    mine = [card for card in shown.items if card.account in who.accounts and card.state is card_state]
    return Page(items=mine, next_cursor=shown.next_cursor)


@router.get("/{proposal}", summary="Read one of one's own cards")
async def get_proposal(state: State, who: Reader, proposal: CardId) -> CardOut:
    """The order exactly, what the gate said to it, and how long it can be confirmed."""
    return _out(state, await _own(state, who, proposal))


@router.post("/{proposal}/confirm", summary="Confirm a card", status_code=202)
async def confirm_proposal(state: State, caller: Caller, response: Response, proposal: CardId, body: Confirmation) -> RunAskedOut:
    """Place its order, through the gate like any other. The caller needs the right to propose and to submit it. Confirmed again,
    it is the same run: one card, one order."""
    known = await _own(state, caller.principal, proposal)
    record = await cards.confirm(
        state.database, state.runs, clock_of(state, known.account_id), caller.principal, proposal, body.content_hash
    )
    response.headers["Location"] = f"/api/v1/runs/{record.id}"
    return await asked(state, record)


@router.post("/{proposal}/dismiss", summary="Dismiss a card")
async def dismiss_proposal(state: State, who: Reader, proposal: CardId) -> CardOut:
    """End it without an order."""
    known = await _own(state, who, proposal)
    clock = clock_of(state, known.account_id)
    return _out(state, await cards.dismiss(state.database, clock, who, proposal))


async def _own(state: ApiState, who: Principal, proposal: str) -> Proposal:
    async with state.database.reading() as uow:
        found = await uow.proposals.get(proposal)
    if found is None or found.owner != who.name or found.account_id not in who.accounts:
        raise NotFound(f"you have no card {proposal!r}", not_done="Nothing was sent", next_step="List your cards")
    return found


def _out(state: ApiState, card: Proposal) -> CardOut:
    left = (card.expires_at - clock_of(state, card.account_id).now()).total_seconds()
    is_open = card.state is ProposalState.OPEN and left > 0
    return CardOut(
        id=card.id,
        account=card.account_id,
        conversation=card.conversation_id,
        run_id=card.run_id,
        ticket=dict(card.ticket),
        content_hash=card.content_hash,
        preview=dict(card.preview),
        reason=card.reason,
        state=ProposalState.EXPIRED if card.state is ProposalState.OPEN and not is_open else card.state,
        created_at=card.created_at,
        expires_at=card.expires_at,
        seconds_left=round(left, 3) if is_open else 0.0,
        decided_at=card.decided_at,
        order_run_id=card.order_run_id,
    )
