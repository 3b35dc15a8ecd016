"""What agents and people wanted of an account, and what the gate said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import OnAccount, State, on_account
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.http.shared_route import SharedRoute
from api.schemas.intents import IntentDetailOut, IntentOut
from api.services.cursors import place, run_time_and_id
from api.services.order_views import decision_out, intent_out
from trading_core.auth.permissions import Action

router = APIRouter(prefix="/accounts/{account}", tags=["intents"], route_class=SharedRoute)

# What was wanted and denied is part of the orders' story; why an agent wanted it is the record's, and is read with its run.
Reader = Annotated[OnAccount, on_account(Action.READ_ORDERS)]


@router.get("/intents", summary="List what was wanted of an account")
async def list_intents(
    state: State,
    on: Reader,
    page: PageQuery,
    symbol: Annotated[str | None, Query(max_length=41, description="Only of this symbol.", examples=["BTC/USDT"])] = None,
) -> Page[IntentOut]:
    """The newest run's first, each with the gate's last word and its approval."""
    async with state.database.reading() as uow:
        found = await uow.pages.intents(on.account_id, limit=page.wanted, before=run_time_and_id(page), symbol=symbol)
        ids = [intent.intent_id for _, intent in found]
        said, approvals = await uow.pages.decisions_of(ids), await uow.pages.approvals_of(ids)
    return page.page(
        found,
        lambda row: (row[0], place(row[1].created_at), row[1].intent_id),
        lambda row: intent_out(row[1], said.get(row[1].intent_id, ()), approvals.get(row[1].intent_id)),
    )


@router.get("/intents/{intent}", summary="Read one intent with every check of the gate")
async def get_intent(
    state: State, on: Reader, intent: Annotated[str, Path(min_length=1, max_length=100, description="The intent's id.")]
) -> IntentDetailOut:
    """What was wanted, every answer of the gate with all its checks, the approval, and the orders it led to."""
    async with state.database.reading() as uow:
        found = await uow.intents.get(intent)
        if found is None or found.account_id != on.account_id:
            raise NotFound(
                f"account {on.account_id!r} has no intent {intent!r}", not_done="Nothing was read", next_step="List its intents"
            )
        decisions = await uow.intents.decisions_of(intent)
        approval, orders = await uow.approvals.get(intent), await uow.orders.of_intent(intent)
    return IntentDetailOut(
        intent=intent_out(found, decisions, approval),
        decisions=[decision_out(decision) for decision in decisions],
        orders=[order.client_order_id for order in orders],
    )
