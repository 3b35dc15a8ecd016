"""What waits for a person's yes or no. No venue is needed: whoever has the desk sees the answer in the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import State, allowed
from api.http.pages import Page, PageQuery, PageRequest
from api.http.problems import NotFound
from api.schemas.approvals import AnswerBody, PendingApprovalOut
from api.services.cursors import place, run_time_and_id
from api.services.desks import clock_of
from api.services.marks import Marks, marks_of
from api.services.order_views import decision_out, intent_out
from api.state import ApiState
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.intents import Approval, ApprovalState, TradeIntent

router = APIRouter(prefix="/approvals", tags=["approvals"])

Reader = Annotated[Principal, allowed(Action.READ_ORDERS)]
Approver = Annotated[Principal, allowed(Action.APPROVE)]
IntentId = Annotated[str, Path(pattern=r"^[!-~]{1,100}$", description="The id of the intent that is asked about.")]


@router.get("", summary="List approvals")
async def list_approvals(
    state: State,
    who: Reader,
    page: PageQuery,
    account: Annotated[str | None, Query(max_length=100, description="Only on this account.")] = None,
    approval_state: Annotated[
        list[ApprovalState] | None, Query(alias="state", max_length=10, description="Only in these states.")
    ] = None,
) -> Page[PendingApprovalOut]:
    """On the caller's accounts: what waits first, then what was answered, each newest first. A page can hold fewer than `limit`
    and still have a `next_cursor`."""
    accounts = who.accounts if account is None else who.accounts & {account}
    # One whose time is over is not written down as expired until the account's desk looks at it.
    wanted = set(approval_state or ())
    states = wanted | {ApprovalState.PENDING} if ApprovalState.EXPIRED in wanted else wanted
    async with state.database.reading() as uow:
        rows = await uow.approvals.page(accounts, limit=page.wanted, before=_before(page), states=tuple(states))
    shown = dict(zip((asked.intent_id for asked, _ in rows), await _shown(state, rows[: page.limit]), strict=False))
    made = page.page(
        rows,
        lambda row: (int(row[0].state is not ApprovalState.PENDING), place(row[0].requested_at), row[0].intent_id),
        lambda row: shown[row[0].intent_id],
    )
    return Page(items=[one for one in made.items if not wanted or one.state in wanted], next_cursor=made.next_cursor)


@router.get("/{intent}", summary="Read one approval")
async def get_approval(state: State, who: Reader, intent: IntentId) -> PendingApprovalOut:
    """The exact order, the price it was asked at and the price now, every check of the gate, and how long there is to answer."""
    return await _one(state, *await _known(state, who, intent))


@router.post("/{intent}/approve", summary="Approve")
async def approve(state: State, who: Approver, intent: IntentId, body: AnswerBody) -> PendingApprovalOut:
    """Say yes to exactly this order. The gate is asked again before it is sent. Where the limits ask for four eyes, whoever
    proposed it cannot."""
    return await _answer(state, who, intent, body.reason, approve=True)


@router.post("/{intent}/reject", summary="Reject")
async def reject(state: State, who: Approver, intent: IntentId, body: AnswerBody) -> PendingApprovalOut:
    """Say no. Nothing is sent."""
    return await _answer(state, who, intent, body.reason, approve=False)


async def _answer(state: ApiState, who: Principal, intent_id: str, reason: str, *, approve: bool) -> PendingApprovalOut:
    _, intent = await _known(state, who, intent_id)
    decided = await state.runs.decide_approval(who, intent_id, approve=approve, reason=reason)
    return await _one(state, decided, intent)


async def _known(state: ApiState, who: Principal, intent_id: str) -> tuple[Approval, TradeIntent]:
    async with state.database.reading() as uow:
        asked, intent = await uow.approvals.get(intent_id), await uow.intents.get(intent_id)
    if asked is None or intent is None or intent.account_id not in who.accounts:
        raise NotFound(
            f"no approval is asked for intent {intent_id[:12]!r}", not_done="Nothing was done", next_step="List the approvals"
        )
    return asked, intent


async def _one(state: ApiState, asked: Approval, intent: TradeIntent) -> PendingApprovalOut:
    (shown,) = await _shown(state, [(asked, intent)])
    return shown


async def _shown(state: ApiState, rows: Sequence[tuple[Approval, TradeIntent]]) -> list[PendingApprovalOut]:
    async with state.database.reading() as uow:
        said = await uow.pages.decisions_of([intent.intent_id for _, intent in rows])
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for asked, intent in rows:
        if asked.state is ApprovalState.PENDING:  # of the others, the price of now is nobody's business
            wanted[intent.account_id].add(intent.symbol)
    marks = {
        account: await marks_of(state.desks, state.database, account, sorted(symbols)) for account, symbols in wanted.items()
    }
    nothing = Marks({})
    made = []
    for asked, intent in rows:
        is_pending, known = asked.state is ApprovalState.PENDING, marks.get(intent.account_id, nothing)
        price = known.price(intent.symbol) if is_pending else None
        left = (asked.expires_at - clock_of(state, intent.account_id).now()).total_seconds()
        decisions = said.get(intent.intent_id, ())
        made.append(
            PendingApprovalOut(
                account=intent.account_id,
                state=asked.state if not is_pending or left >= 0 else ApprovalState.EXPIRED,
                intent=intent_out(intent, decisions, asked),
                decision=decision_out(decisions[-1]) if decisions else None,
                asked_price=asked.price,
                price_now=price,
                moved=None if price is None or not asked.price else price / asked.price - 1,
                priced_at=None if price is None else known.at,
                priced_by=None if price is None else known.by,
                requested_at=asked.requested_at,
                expires_at=asked.expires_at,
                seconds_left=round(max(0.0, left), 3) if is_pending else 0.0,
                decided_by=asked.decided_by,
                decided_at=asked.decided_at,
                reason=asked.reason,
            )
        )
    return made


def _before(page: PageRequest) -> tuple[bool, datetime, str] | None:
    found = run_time_and_id(page)
    return None if found is None else (bool(found[0]), *found[1:])
