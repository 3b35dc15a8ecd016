"""How a schedule stands: for people who ask why it runs, or does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from graph.control.budgets import Spent, spent_by_schedule
from graph.runs.ids import run_id_at
from graph.schedules.skipping import Skip, why_skip
from trading_core.persistence.desk_records import Schedule, StoredEvent
from trading_core.persistence.records import RunRecord
from trading_core.persistence.unit_of_work import UnitOfWork

TICK_SKIPPED = "tick_skipped"
_LOOKED_AT = 1_000  # of the account's last events, for the last tick that was skipped


@dataclass(frozen=True, slots=True)
class Standing:
    """How a schedule stands now.

    Attributes:
        hindered: why a tick of this moment would be skipped; None when it would run.
        spent: what its runs have used today.
        last_run: the run of its last tick, where that made one.
        last_skip: the last tick that was skipped lately, as the event log tells it.
    """

    hindered: Skip | None
    spent: Spent
    last_run: RunRecord | None
    last_skip: StoredEvent | None


async def standing(uow: UnitOfWork, schedule: Schedule, now: datetime) -> Standing:
    """How a schedule stands at `now`."""
    last_run = await uow.runs.get(run_id_at(schedule.id, schedule.last_tick)) if schedule.last_tick else None
    since = max(await uow.events.last_position() - _LOOKED_AT, 0)
    skipped = [
        event
        for event in await uow.events.after(since, (schedule.account_id,), _LOOKED_AT)
        if event.kind == TICK_SKIPPED and event.data.get("schedule") == schedule.id
    ]
    return Standing(
        hindered=await why_skip(uow, schedule, now),
        spent=await spent_by_schedule(uow, schedule.id, now),
        last_run=last_run,
        last_skip=skipped[-1] if skipped else None,
    )
