"""Cards: confirming one places its order, once; dismissing one ends it."""

from __future__ import annotations

from graph.conversation.cards import order_run_id, require_near
from graph.runs.manager import RunManager
from graph.runs.orders import OrderTicket, require_not_paused
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ApprovalError, RunError
from trading_core.persistence.desk_records import Proposal, ProposalState
from trading_core.persistence.records import RunRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork


async def confirm(
    database: Database, runs: RunManager, clock: Clock, who: Principal, proposal_id: str, content_hash: str
) -> RunRecord:
    """Place the order of a card. Confirmed again, the same run as it now stands.

    Args:
        content_hash: of the ticket that the person was shown.

    Raises:
        ApprovalError: there is no such card of this person, it is another order than was shown, it is no longer open,
            or the price of a market buy has moved too far since the card was made. Of the last the card stays open.
        NotPermitted: the person may not propose it, or not submit.
        RunError: the symbol is paused, and this is a buy. The card stays open.
    """
    run_id = order_run_id(proposal_id)
    async with database.reading() as uow:
        proposal = await _own(uow, who, proposal_id)
    if proposal.content_hash != content_hash:
        raise ApprovalError(
            f"card {proposal_id!r} is not the order that was confirmed",
            not_done="Nothing was sent",
            next_step="Look at the card again, and confirm what it says now",
        )
    if proposal.state is ProposalState.OPEN and clock.now() >= proposal.expires_at:
        async with database.transaction() as uow:
            await uow.proposals.expire(clock.now())
        raise _over(proposal_id, ProposalState.EXPIRED)
    if proposal.state not in (ProposalState.OPEN, ProposalState.CONFIRMED):
        raise _over(proposal_id, proposal.state)
    # The yes first: of a yes and a no at the same time only one stands. The run's id is the card's, so that a process that dies
    # in between is made good by confirming once more, and nothing is placed twice.
    ticket = OrderTicket.model_validate(proposal.ticket)
    who.require(ticket.proposes, proposal.account_id)
    who.require(Action.SUBMIT, proposal.account_id)
    if proposal.state is ProposalState.OPEN:
        if (system := runs.desk(proposal.account_id)) is not None:  # where another process has it, its run asks the same
            await require_near(proposal, system)
        async with database.transaction() as uow:
            await uow.claims.take(proposal.account_id)  # of two yeses at once, the second sees what the first did
            known = await _own(uow, who, proposal_id)
            if known.state is ProposalState.OPEN:
                await require_not_paused(uow, proposal.account_id, ticket)  # while it can still be left open
                await uow.proposals.decide(proposal_id, ProposalState.CONFIRMED, clock.now(), run_id)
            elif known.state is not ProposalState.CONFIRMED:
                raise _over(proposal_id, known.state)
    async with database.reading() as uow:
        begun = await uow.runs.get(run_id)
    if begun is None and clock.now() >= proposal.expires_at:
        raise _over(
            proposal_id, ProposalState.EXPIRED
        )  # a yes whose order was never asked for does not last longer than the card
    return begun or await _requested(database, runs, who, proposal.account_id, ticket, run_id)


async def dismiss(database: Database, clock: Clock, who: Principal, proposal_id: str) -> Proposal:
    """End a card without an order.

    Raises:
        ApprovalError: there is no such card of this person, or it is no longer open.
    """
    async with database.transaction() as uow:
        await _own(uow, who, proposal_id)
        return await uow.proposals.decide(proposal_id, ProposalState.DISMISSED, clock.now())


async def _requested(
    database: Database, runs: RunManager, who: Principal, account_id: str, ticket: OrderTicket, run_id: str
) -> RunRecord:
    """The order's run; of two confirmations at once, both get the one that came first."""
    try:
        return await runs.request_order(who, account_id, ticket, run_id=run_id)
    except RunError:
        async with database.reading() as uow:
            begun = await uow.runs.get(run_id)
        if begun is None:
            raise
        return begun


async def _own(uow: UnitOfWork, who: Principal, proposal_id: str) -> Proposal:
    """A card of this person. One of somebody else's looks like one that does not exist."""
    proposal = await uow.proposals.get(proposal_id)
    if proposal is None or proposal.owner != who.name:
        raise ApprovalError(
            f"{who.name!r} has no card {proposal_id!r}", not_done="Nothing was sent", next_step="List the open cards"
        )
    return proposal


def _over(proposal_id: str, state: ProposalState) -> ApprovalError:
    return ApprovalError(
        f"card {proposal_id!r} is already {state.value}",
        not_done="Nothing was sent",
        next_step="Ask for a new card if the order is still wanted",
    )
