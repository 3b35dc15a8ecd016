"""Whether an account may trade, and an operator's hand on it: halt, only exits, the kill switch, resume."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from api.http.dependencies import OnAccount, State, on_account
from api.http.pages import Page, PageQuery
from api.http.shared_route import SharedRoute
from api.schemas.risk import ChangeState, Kill, LimitUseOut, RiskChangeOut, RiskOut, RiskStateOut
from api.services.desks import clock_of, desk_here
from api.services.limits import binding_limits, cools_until, tempo_of, uses
from api.services.marks import desk_marks, marks_of
from api.state import ApiState
from trading_core.auth.permissions import Action
from trading_core.execution.control import Control
from trading_core.execution.risk_record import load_risk
from trading_core.risk.state import AccountRisk, TradingState, fraction_lost

router = APIRouter(prefix="/accounts/{account}/risk", tags=["risk"], route_class=SharedRoute)

Reader = Annotated[OnAccount, on_account(Action.READ_RISK)]
Controller = Annotated[OnAccount, on_account(Action.CONTROL_RISK)]


@router.get("", summary="Read whether an account may trade and how much of its limits is used")
async def get_risk(state: State, on: Reader) -> RiskOut:
    """The trading state, who set it and why, the losses that count, and the limits that the account is using up."""
    account_id, now = on.account_id, clock_of(state, on.account_id).now()
    async with state.database.reading() as uow:
        portfolio, live = await uow.portfolios.load(account_id), await uow.orders.live(account_id)
        risk, tempo = await load_risk(uow, account_id, now), await tempo_of(uow, account_id, now)
    held = [*portfolio.held()]
    marks = await marks_of(state.desks, state.database, account_id, held)
    bound = await binding_limits(state.desks, state.database, account_id)
    equity = marks.equity(portfolio)
    used = () if bound is None else uses(bound.limits, portfolio, live, risk, marks, tempo)
    return RiskOut(
        account=account_id,
        state=risk.trading_state,
        reason=risk.reason,
        changed_by=risk.changed_by,
        changed_at=risk.changed_at,
        withdrawal=risk.withdrawal,
        equity=equity,
        peak_equity=risk.peak_equity,
        drawdown=None if equity is None else fraction_lost(risk.peak_equity, equity),
        day=risk.day,
        day_start_equity=risk.day_start_equity,
        lost_today=None if equity is None else fraction_lost(risk.day_start_equity, equity),
        consecutive_losses=risk.consecutive_losses,
        last_loss_at=risk.last_loss_at,
        cools_until=None if bound is None else cools_until(risk, bound.limits),
        live_orders=len(live),
        limits_used=[LimitUseOut(name=one.name, unit=one.unit, used=one.used, limit=one.limit, share=one.share) for one in used],
        priced_at=marks.at,
        priced_by=marks.by,
    )


@router.get("/changes", summary="List the changes of an account's trading state")
async def list_risk_changes(state: State, on: Reader, page: PageQuery) -> Page[RiskChangeOut]:
    """Newest first, with who made each and why."""
    async with state.database.reading() as uow:
        found = await uow.pages.risk_changes(on.account_id, limit=page.wanted, before=page.after_number())
    return page.page(
        found,
        lambda row: (row[0],),
        lambda row: RiskChangeOut(
            at=row[1].at,
            from_state=TradingState(row[1].from_state),
            to_state=TradingState(row[1].to_state),
            by=row[1].actor,
            reason=row[1].reason,
        ),
    )


@router.post("/halt", summary="Stop trading")
async def halt(state: State, on: Controller, body: ChangeState) -> RiskStateOut:
    """Nothing passes the gate until somebody resumes. What works at the venue goes on; protective stops are still placed.

    It needs the ledger only, so it works whichever process runs the account, and while none does.
    """
    return await _told(state, on, await _control(state, on).halt(on.who, body.reason))


@router.post("/reduce", summary="Let only exits pass")
async def reduce(state: State, on: Controller, body: ChangeState) -> RiskStateOut:
    """Only exits pass the gate until somebody resumes."""
    return await _told(state, on, await _control(state, on).reduce(on.who, body.reason))


@router.post("/kill", summary="Halt and take every working order back")
async def kill(state: State, on: Controller, body: Kill) -> RiskStateOut:
    """Halt, and have the desk that has the venue take back every live order but the protective stops, within seconds.

    `live_orders` in the answer is how many there are yet: look again until it is what you want. While no desk runs the account
    they go on working at the venue, and are taken back first thing when one is started.
    """
    return await _told(state, on, await _control(state, on).kill(on.who, body.reason, stops_too=body.stops_too))


@router.post("/resume", summary="Trade again")
async def resume(state: State, on: Controller, body: ChangeState) -> RiskStateOut:
    """Trade again after a halt or a loss limit. Losses count anew from what the account is worth now, so its holdings must have
    prices: where there are holdings and no desk in this process, the answer is 503."""
    async with state.database.reading() as uow:
        held = list((await uow.portfolios.load(on.account_id)).held())
    prices = (await desk_marks(desk_here(state, on.account_id, "what its holdings are worth now"), held)).prices if held else {}
    return await _told(state, on, await _control(state, on).resume_trading(on.who, body.reason, prices))


def _control(state: ApiState, on: OnAccount) -> Control:
    return Control(on.account_id, state.database, clock_of(state, on.account_id))


async def _told(state: ApiState, on: OnAccount, risk: AccountRisk) -> RiskStateOut:
    """Tell whoever follows the account, and the caller."""
    told = {"state": risk.trading_state, "reason": risk.reason, "by": risk.changed_by, "withdrawal": risk.withdrawal}
    await state.log.append(on.account_id, "state_changed", told)
    async with state.database.reading() as uow:
        live = await uow.orders.live(on.account_id)
    return RiskStateOut(
        account=on.account_id,
        state=risk.trading_state,
        reason=risk.reason,
        changed_by=risk.changed_by,
        changed_at=risk.changed_at,
        withdrawal=risk.withdrawal,
        live_orders=len(live),
    )
