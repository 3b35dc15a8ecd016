"""Runs: asked for, looked at, followed and stopped."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.http.dependencies import Caller, IdempotencyKey, OnAccount, State, no_such_account, on_account
from api.http.pages import Page, PageQuery
from api.live.access import RunFacts
from api.live.hub import hub_of
from api.live.logins import token_of
from api.live.sse import MEDIA_TYPE, EventStream, read_run
from api.schemas.events import EventOut, EventsOut
from api.schemas.runs import CycleBody, RunAskedOut, RunDetailOut, RunOut, RunTrailOut
from api.services.desks import worker_of
from api.services.order_views import intent_out
from api.services.run_list import run_list
from api.services.runs import asked, events_url, new_run_id, run_out, seen_run, trail_out
from trading_core.auth.permissions import Action
from trading_core.domain.intents import ApprovalState
from trading_core.persistence.desk_records import StoredEvent
from trading_core.persistence.records import RunKind, RunState

router = APIRouter(tags=["runs"])

_EVENTS = 500

Trader = Annotated[OnAccount, on_account(Action.SUBMIT)]
RunId = Annotated[str, Path(pattern=r"^[!-~]{1,200}$", description="The run's id.", examples=["cycle-0f1e2d3c4b5a69788796a5b4"])]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream of events, or a page of them where `Accept` is `application/json`.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string", "description": "`id` is the sequence, `event` the kind, `data` an event as JSON."},
                "example": 'id: 1\nevent: run_queued\ndata: {"sequence":1,"kind":"run_queued"}\n\n',
            }
        },
    },
    204: {"description": "The run is over, and there is nothing behind `Last-Event-ID`: do not come back."},
}


@router.get("/runs", summary="List runs", response_model=Page[RunOut])
async def list_runs(
    state: State,
    caller: Caller,
    page: PageQuery,
    account: Annotated[str | None, Query(max_length=100, description="Only on this account.")] = None,
    kind: Annotated[list[RunKind] | None, Query(max_length=10, description="Only of these kinds.")] = None,
    run_state: Annotated[list[RunState] | None, Query(alias="state", max_length=10, description="Only in these states.")] = None,
    conversation: Annotated[str | None, Query(max_length=100, description="Only turns of this conversation.")] = None,
) -> Response:
    """Newest first: those that the caller asked for, and with `record:read` all others but conversations.

    A page can hold fewer than `limit` and still have a `next_cursor`: the rest of what was looked at is not the caller's to see.
    """
    who = caller.principal
    if account is not None and account not in who.accounts:
        raise no_such_account(account)
    accounts = who.accounts if account is None else {account}
    found = await run_list(state, who, page, accounts, tuple(kind or ()), tuple(run_state or ()), conversation)
    return Response(found, media_type="application/json")


@router.post("/accounts/{account}/runs", summary="Have a cycle run now", status_code=202)
async def run_cycle(state: State, on: Trader, response: Response, body: CycleBody, key: IdempotencyKey = None) -> RunAskedOut:
    """Queue a cycle for the account's desk: look at the market, decide, and trade within the limits. `Location` is the run."""
    run_id = new_run_id(RunKind.CYCLE, on.who, key)
    record = await state.runs.request_cycle(on.who, on.account_id, run_id=run_id, symbols=tuple(dict.fromkeys(body.symbols)))
    response.headers["Location"] = f"/api/v1/runs/{run_id}"
    return await asked(state, record)


@router.get("/runs/{run}", summary="Read a run")
async def get_run(state: State, caller: Caller, run: RunId) -> RunDetailOut:
    """How it stands, what it waits for and what it came to. For whoever asked for it and, but for conversations, whoever may
    read the record."""
    record, request = await seen_run(state, caller.principal, run)
    async with state.database.reading() as uow:
        last = await uow.events.last_of_run(run)
        pending = [one for one in await uow.approvals.of_run(run) if one.state is ApprovalState.PENDING]
        waiting = [
            intent_out(intent, await uow.intents.decisions_of(one.intent_id), one)
            for one in pending
            if (intent := await uow.intents.get(one.intent_id)) is not None
        ]
    return RunDetailOut(
        run=run_out(record, request),
        request={} if request is None else dict(request.payload),
        waiting=waiting,
        result=dict(last.data) if last is not None and record.ended_at is not None else None,
        last_event=0 if last is None else last.sequence,
        worked_on_by=await worker_of(state, record.account_id),
        events=events_url(run),
    )


@router.get("/runs/{run}/trail", summary="Read all that is on record about a run")
async def get_run_trail(state: State, caller: Caller, run: RunId) -> RunTrailOut:
    """Every agent's answer with its evidence, what was wanted, every check of the gate, orders with their steps, and fills."""
    _, request = await seen_run(state, caller.principal, run)
    async with state.database.reading() as uow:
        trail = await uow.runs.whole(run)
    return trail_out(trail, request)


@router.post("/runs/{run}/cancel", summary="Stop a run", status_code=202)
async def cancel_run(state: State, caller: Caller, run: RunId) -> RunOut:
    """At once when nobody works on it, otherwise at its next safe boundary; one that is over stays as it is. For those who may
    submit on the account; a conversation's turn is stopped by whoever asked."""
    known, _ = await seen_run(state, caller.principal, run)
    if known.kind is not RunKind.CONVERSATION:  # a key that only reads stops nothing that its user asked for
        caller.principal.require(Action.SUBMIT, known.account_id)
    record = await state.runs.cancel(caller.principal, run)
    async with state.database.reading() as uow:
        return run_out(record, await uow.run_requests.get(run))


@router.get("/runs/{run}/events", summary="Follow a run's events", response_model=EventsOut, responses=_STREAM)
async def follow_run(
    request: Request,
    state: State,
    caller: Caller,
    run: RunId,
    after: Annotated[int | None, Query(ge=0, lt=2**31, description="Only events behind this sequence.")] = None,
    limit: Annotated[int, Query(ge=1, le=_EVENTS, description="Most events of a JSON page; a stream has no such bound.")] = 100,
    last_event_id: Annotated[
        str | None,
        Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,9}$", description="As `after`, sent by clients that come back."),
    ] = None,
) -> EventsOut | Response:
    """A stream of server-sent events until the run is over, from the first on, or from behind `Last-Event-ID` or `after`. It ends
    behind the run's last event; when it ends before, come back with `Last-Event-ID`.

    With `Accept: application/json` it is one page of what there is now.
    """
    start = int(last_event_id) if last_event_id is not None else after or 0
    record, asked_by = await seen_run(state, caller.principal, run)
    if _wants_json(request):
        page, is_over = await read_run(state.database, run, start, limit)
        items = [_event_out(event) for event in page]
        return EventsOut(items=items, next_after=items[-1].sequence if items else start, is_over=is_over)
    first, is_over = await read_run(state.database, run, start, _EVENTS)
    if is_over and not first and last_event_id is not None:
        return Response(status_code=204)  # a browser's EventSource comes back after every end, but for this one
    facts, name = RunFacts.of(record, asked_by), caller.principal.name
    return EventStream(hub_of(request.app), facts, name, token_of(request), start, first, is_over=is_over)


def _wants_json(request: Request) -> bool:
    accepts = request.headers.get("accept", "")
    return "application/json" in accepts and MEDIA_TYPE not in accepts


def _event_out(event: StoredEvent) -> EventOut:
    return EventOut(
        sequence=event.sequence,
        position=event.position,
        account=event.account_id,
        run_id=event.run_id,
        kind=event.kind,
        at=event.at,
        data=dict(event.data),
    )
