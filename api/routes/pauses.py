"""What a person has stopped on an account until it is lifted. It is no halt: what works at the venue goes on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.http.dependencies import OnAccount, State, on_account
from api.schemas.agents import PauseIn, PauseOut, PausesOut
from graph.control.pauses import Pauses
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import PauseKind

router = APIRouter(prefix="/accounts/{account}/pauses", tags=["pauses"])

Reader = Annotated[OnAccount, on_account(Action.READ_RISK)]
Controller = Annotated[OnAccount, on_account(Action.CONTROL_RISK)]
Kind = Annotated[PauseKind, Path(description="What kind of thing.")]
Subject = Annotated[
    str,
    Query(
        max_length=100, description="The agent, the symbol or the schedule's id; left out for `everything`.", examples=["signal"]
    ),
]


@router.get("", summary="List what is paused on an account")
async def list_pauses(state: State, on: Reader) -> PausesOut:
    """By kind and subject, with who paused each and why."""
    found = await Pauses(state.database, state.clock).all(on.who, on.account_id)
    return PausesOut(items=[PauseOut.of(pause) for pause in found])


@router.put("/{kind}", summary="Pause an agent, a symbol, a schedule or everything")
async def put_pause(state: State, on: Controller, kind: Kind, body: PauseIn, subject: Subject = "") -> PauseOut:
    """A paused agent abstains; a paused symbol is not looked at and not bought; a paused schedule skips its ticks; with
    everything paused no cycle begins. What is paused already stays so, under its first reason."""
    pause = await Pauses(state.database, state.clock).put(on.who, on.account_id, kind, subject, body.reason)
    state.runs.wake()
    return PauseOut.of(pause)


@router.delete("/{kind}", summary="Lift a pause")
async def lift_pause(state: State, on: Controller, kind: Kind, subject: Subject = "") -> PauseOut:
    """Ticks of schedules that fell into the pause are not made up for. The answer is the pause that was lifted."""
    pause = await Pauses(state.database, state.clock).lift(on.who, on.account_id, kind, subject)
    state.runs.wake()
    return PauseOut.of(pause)
