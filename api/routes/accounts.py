"""The accounts that the caller may act on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.http.dependencies import OnAccount, State, allowed, on_account
from api.http.pages import Page, PageQuery
from api.schemas.accounts import AccountOut
from api.state import ApiState
from trading_core.auth.permissions import Action, Principal
from trading_core.persistence.repositories.pages import AccountRow

router = APIRouter(tags=["accounts"])

Reader = Annotated[OnAccount, on_account(Action.READ_PORTFOLIO)]


@router.get("/accounts", summary="List the accounts you may act on")
async def list_accounts(
    state: State, who: Annotated[Principal, allowed(Action.READ_PORTFOLIO)], page: PageQuery
) -> Page[AccountOut]:
    """Those of your accounts that are on record, by id. The answer says whether the process you asked runs each of them."""
    after = page.after_text() or ""
    async with state.database.reading() as uow:
        found = [row for row in await uow.pages.accounts(who.accounts) if row.id > after][: page.wanted]
        real = {one.id for one in await uow.broker_accounts.all() if one.production}
    return page.page(found, lambda row: (row.id,), lambda row: _shown(state, row, row.id in real))


@router.get("/accounts/{account}", summary="Read one account")
async def get_account(state: State, on: Reader) -> AccountOut:
    """What the account is, and whether the process you asked runs it."""
    async with state.database.reading() as uow:
        (row,) = await uow.pages.accounts([on.account_id])
        known = await uow.broker_accounts.get(on.account_id)
    return _shown(state, row, known is not None and known.production)


def _shown(state: ApiState, row: AccountRow, real_money: bool) -> AccountOut:
    system = state.desks.get(row.id)
    return AccountOut(
        id=row.id,
        venue=row.venue,
        currency=row.currency,
        deposit=row.deposit,
        opened_at=row.opened_at,
        desk_here=system is not None,
        generated_prices=None if system is None else system.feed.generated,
        real_money=real_money,
    )
