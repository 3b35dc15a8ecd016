"""When an account runs by itself: its schedules, their ticks, and a run beside them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.http.dependencies import IdempotencyKey, OnAccount, State, on_account
from api.http.etags import IfMatch, etag_of, require_match, stale
from api.http.pages import Page, PageQuery
from api.schemas.agents import PauseIn, PauseOut
from api.schemas.schedules import AskedRunOut, ScheduleOut, SchedulePlan, TicksOut
from api.state import ApiState
from graph.schedules.service import Schedules, unknown_schedule
from trading_core.auth.permissions import Action
from trading_core.domain.errors import LedgerError
from trading_core.persistence.desk_records import Schedule

router = APIRouter(prefix="/accounts/{account}/schedules", tags=["schedules"])

Reader = Annotated[OnAccount, on_account(Action.READ_RISK)]
Submitter = Annotated[OnAccount, on_account(Action.SUBMIT)]
Controller = Annotated[OnAccount, on_account(Action.CONTROL_RISK)]
ScheduleId = Annotated[str, Path(min_length=1, max_length=100, description="The schedule's id.", examples=["sched-3c744e818ed7"])]


@router.get("", summary="List an account's schedules")
async def list_schedules(state: State, on: Reader, page: PageQuery) -> Page[ScheduleOut]:
    """By name, each with how it stands: its next tick, its last one, what it has used today, and what hinders it."""
    service = _service(state)
    after = page.after(str, str)
    found = [each for each in await service.all(on.who, (on.account_id,)) if after is None or _place(each) > after]
    shown = {each.id: await _shown(service, on, each) for each in found[: page.limit]}
    return page.page(found[: page.wanted], _place, lambda each: shown[each.id])


@router.post("", summary="Add a schedule", status_code=201)
async def add_schedule(state: State, response: Response, on: Submitter, body: SchedulePlan) -> ScheduleOut:
    """A cycle runs at each tick from now on, with the rights of the desk's agents. You answer for it: once you may no longer
    submit on the account, its ticks are skipped."""
    service = _service(state)
    return await _told(service, on, response, await service.add(on.who, on.account_id, body.plan()))


@router.get("/{schedule_id}", summary="Read a schedule")
async def get_schedule(state: State, response: Response, on: Reader, schedule_id: ScheduleId) -> ScheduleOut:
    """With how it stands now."""
    service = _service(state)
    return await _told(service, on, response, await _known(service, on, schedule_id))


@router.put("/{schedule_id}", summary="Change a schedule")
async def change_schedule(
    state: State, response: Response, on: Submitter, schedule_id: ScheduleId, body: SchedulePlan, if_match: IfMatch = None
) -> ScheduleOut:
    """Put this plan in the place of the one there is; you answer for it from now on. Where its timing changes, ticks that were
    still open are over."""
    service = _service(state)
    version = await _matched(service, on, schedule_id, if_match)
    with _unchanged_since(if_match):
        changed = await service.change(on.who, schedule_id, body.plan(), version)
    return await _told(service, on, response, changed)


@router.delete("/{schedule_id}", summary="Remove a schedule", status_code=204)
async def remove_schedule(state: State, on: Submitter, schedule_id: ScheduleId, if_match: IfMatch = None) -> None:
    """It has no more ticks. Runs that it asked for go on."""
    service = _service(state)
    version = await _matched(service, on, schedule_id, if_match)
    with _unchanged_since(if_match):
        await service.remove(on.who, schedule_id, None if if_match is None else version)


@router.get("/{schedule_id}/ticks", summary="List a schedule's next ticks")
async def list_ticks(
    state: State,
    on: Reader,
    schedule_id: ScheduleId,
    count: Annotated[int, Query(ge=1, le=100, description="How many.")] = 10,
) -> TicksOut:
    """In UTC, the next one first."""
    service = _service(state)
    return TicksOut(ticks=list(service.next_ticks(await _known(service, on, schedule_id), count)))


@router.post("/{schedule_id}/pause", summary="Pause a schedule")
async def pause_schedule(state: State, on: Controller, schedule_id: ScheduleId, body: PauseIn) -> PauseOut:
    """Its ticks are skipped until it is resumed."""
    service = _service(state)
    await _known(service, on, schedule_id)
    return PauseOut.of(await service.pause(on.who, schedule_id, body.reason))


@router.post("/{schedule_id}/resume", summary="Resume a schedule")
async def resume_schedule(state: State, on: Controller, schedule_id: ScheduleId) -> PauseOut:
    """From its next tick on; those that fell into the pause are over. The answer is the pause that was lifted."""
    service = _service(state)
    await _known(service, on, schedule_id)
    return PauseOut.of(await service.resume(on.who, schedule_id))


@router.post("/{schedule_id}/run", summary="Ask for a schedule's run now", status_code=202)
async def run_schedule(state: State, on: Submitter, schedule_id: ScheduleId, key: IdempotencyKey = None) -> AskedRunOut:
    """Beside its ticks. What the run uses counts for the schedule. It starts as soon as a process runs the account."""
    service = _service(state)
    await _known(service, on, schedule_id)
    record = await service.ask_now(on.who, schedule_id, key or secrets.token_hex(16))
    state.runs.wake()
    return AskedRunOut(run_id=record.id, state=record.state.value)


def _service(state: ApiState) -> Schedules:
    return Schedules(state.database, state.clock)


async def _known(service: Schedules, on: OnAccount, schedule_id: str) -> Schedule:
    found = await service.get(on.who, schedule_id)
    if found.account_id != on.account_id:
        raise unknown_schedule(schedule_id)
    return found


async def _matched(service: Schedules, on: OnAccount, schedule_id: str, if_match: str | None) -> int:
    """The version that the caller wants to change."""
    version = (await _known(service, on, schedule_id)).version
    require_match(if_match, etag_of(version))
    return version


@contextmanager
def _unchanged_since(if_match: str | None) -> Iterator[None]:
    """Somebody may have come between the look at the version and the change."""
    try:
        yield
    except LedgerError:
        if if_match is None:
            raise
        raise stale() from None


async def _shown(service: Schedules, on: OnAccount, schedule: Schedule) -> ScheduleOut:
    return ScheduleOut.of(schedule, service.next_ticks(schedule, 1), await service.standing(on.who, schedule))


async def _told(service: Schedules, on: OnAccount, response: Response, schedule: Schedule) -> ScheduleOut:
    response.headers["ETag"] = etag_of(schedule.version)
    return await _shown(service, on, schedule)


def _place(schedule: Schedule) -> tuple[str, str]:
    return schedule.name, schedule.id
