"""Runs of the record as they are answered."""

from __future__ import annotations

import secrets

from api.live.access import RunFacts, no_such_run, require_seen
from api.schemas.intents import IntentDetailOut
from api.schemas.runs import AgentDecisionOut, EvidenceOut, RunAskedOut, RunOut, RunTrailOut, WorthOut
from api.services.desks import Worker, worker_of
from api.services.order_views import decision_out, intent_out, order_detail
from api.state import ApiState
from graph.runs.ids import run_id_of
from trading_core.auth.permissions import Principal
from trading_core.persistence.desk_records import RunRequest
from trading_core.persistence.records import RunKind, RunRecord, RunTrail

NOBODY_THERE = "No desk runs this account now: the run waits until one is started."


def events_url(run_id: str) -> str:
    """Where a run's events can be followed."""
    return f"/api/v1/runs/{run_id}/events"


def new_run_id(kind: RunKind, who: Principal, key: str | None) -> str:
    """The id of a run that is asked for now: under a key of the caller's own, always the same."""
    return f"{kind.value}-{secrets.token_hex(12)}" if key is None else run_id_of(kind, who.name, key)


async def asked(state: ApiState, record: RunRecord) -> RunAskedOut:
    """The answer to asking for a run."""
    worker = await worker_of(state, record.account_id)
    return RunAskedOut(
        run_id=record.id,
        account=record.account_id,
        kind=record.kind,
        state=record.state,
        worked_on_by=worker,
        note=NOBODY_THERE if worker is Worker.NOBODY else "",
        events=events_url(record.id),
    )


async def seen_run(state: ApiState, who: Principal, run_id: str) -> tuple[RunRecord, RunRequest | None]:
    """A run that the caller may see.

    Raises:
        NotFound: there is none for this caller.
        NotPermitted: the caller may know of it, and not read it.
    """
    async with state.database.reading() as uow:
        record, request = await uow.runs.get(run_id), await uow.run_requests.get(run_id)
    if record is None:
        raise no_such_run(run_id)
    require_seen(who, RunFacts.of(record, request))
    return record, request


def run_out(record: RunRecord, request: RunRequest | None) -> RunOut:
    """A run with why it is there."""
    return RunOut(
        id=record.id,
        account=record.account_id,
        kind=record.kind,
        state=record.state,
        as_of=record.as_of,
        started_at=record.started_at,
        ended_at=record.ended_at,
        error=record.error,
        trigger=None if request is None else request.trigger,
        requested_by=None if request is None else request.requested_by,
        requested_at=None if request is None else request.requested_at,
        schedule=None if request is None else request.schedule_id,
        conversation=None if request is None else request.conversation_id,
        cancel_requested_by=None if request is None else request.cancel_requested_by,
    )


def trail_out(trail: RunTrail, request: RunRequest | None) -> RunTrailOut:
    """All that is on record about a run."""
    orders = [item.order for item in trail.orders]
    return RunTrailOut(
        run=run_out(trail.run, request),
        snapshot=trail.run.snapshot_hash,
        decisions=[AgentDecisionOut.model_validate(decision) for decision in trail.decisions],
        evidence=[EvidenceOut.model_validate(one) for one in trail.evidence],
        intents=[
            IntentDetailOut(
                intent=intent_out(item.intent, item.decisions, item.approval),
                decisions=[decision_out(decision) for decision in item.decisions],
                orders=[order.client_order_id for order in orders if order.intent_id == item.intent.intent_id],
            )
            for item in trail.intents
        ],
        orders=[order_detail(item.order, item.events, item.fills) for item in trail.orders],
        worth=None if trail.portfolio is None else WorthOut.model_validate(trail.portfolio),
    )
