"""Schedules: when the desk runs by itself."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from api.schemas.common import Amount, Answer, Body, Instant
from api.schemas.fields import shown_as
from graph.control.budgets import Spent
from graph.schedules.plan import LONGEST_NAME, MOST_SYMBOLS, Plan
from graph.schedules.skipping import SkipReason
from graph.schedules.standing import Standing
from graph.schedules.timetable import LONGEST_CRON
from trading_core.persistence.desk_records import Budget, Misfire, Overlap, Schedule

_BUDGET: dict[str, object] = {"tokens": 200_000, "cost": None, "orders": 20}
_PLAN: dict[str, object] = {
    "name": "european mornings",
    "cron": "30 8 * * 1-5",
    "every_seconds": None,
    "timezone": "Europe/Berlin",
    "symbols": ["BTC/USDT"],
    "misfire": "catch_up_once",
    "overlap": "skip",
    "budget": _BUDGET,
}
Whole = Annotated[int, Field(ge=1, le=2**53 - 1)]


class BudgetBody(Body):
    """What may be used in a day (UTC). Null is no bound of its own."""

    model_config = Body.model_config | shown_as({**_BUDGET, "orders": None})  # an agent has no budget of orders

    tokens: Whole | None = Field(default=None, description="Of models, input and output together.")
    cost: Annotated[Amount, Field(gt=0)] | None = Field(
        default=None, description="Of models, US dollars; refused where the price of the account's model is not known."
    )
    orders: Whole | None = Field(default=None, description="Sent to the venue, protective stops apart.")

    def record(self) -> Budget:
        return Budget(self.tokens, self.cost, self.orders)


class BudgetOut(Answer):
    """What may be used in a day."""

    tokens: int | None
    cost: Amount | None
    orders: int | None

    @classmethod
    def of(cls, budget: Budget) -> BudgetOut:
        return cls(tokens=budget.tokens, cost=budget.cost, orders=budget.orders)


class UsedOut(Answer):
    """What was used today (UTC)."""

    tokens: int
    cost: Amount = Field(description="US dollars, of the models whose price is known.")
    unpriced_models: list[str] = Field(description="Models that were used and whose price is not known.")
    orders: int

    @classmethod
    def of(cls, spent: Spent) -> UsedOut:
        return cls(tokens=spent.tokens, cost=Decimal(spent.cost), unpriced_models=list(spent.unpriced), orders=spent.orders)


class SchedulePlan(Body):
    """When, on what, and within which bounds. Exactly one of `cron` and `every_seconds` is given."""

    model_config = Body.model_config | shown_as(_PLAN)

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] = Field(description="Yours; one of a kind on its account.")
    cron: Annotated[str, Field(max_length=LONGEST_CRON)] | None = Field(
        default=None, description="Five fields, read in `timezone`."
    )
    every_seconds: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="An interval, counted from when the schedule was made; at least 10."
    )
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = Field(default="UTC", description="An IANA name.")
    symbols: Annotated[list[Annotated[str, Field(max_length=41)]], Field(max_length=MOST_SYMBOLS)] = Field(
        default_factory=list, description="The only ones to look at; empty for all that the account trades."
    )
    misfire: Misfire = Field(default=Misfire.SKIP, description="What becomes of ticks that pass while nobody runs.")
    overlap: Overlap = Field(default=Overlap.SKIP, description="What becomes of a tick while the run before is not over.")
    budget: BudgetBody = Field(default_factory=BudgetBody)

    def plan(self) -> Plan:
        return Plan(
            self.name,
            self.cron,
            self.every_seconds,
            self.timezone,
            tuple(self.symbols),
            self.misfire,
            self.overlap,
            self.budget.record(),
        )


class HinderedOut(Answer):
    """Why a tick of this moment would be skipped."""

    reason: SkipReason
    detail: str


class LastRunOut(Answer):
    """The run of the last tick."""

    id: str
    state: str


class SkippedOut(Answer):
    """A tick that was skipped."""

    tick: str
    reason: str
    detail: str


class ScheduleOut(Answer):
    """A schedule, and how it stands. Its version is its ETag too."""

    model_config = Answer.model_config | shown_as(
        {
            "id": "sched-3c744e818ed7",
            "account": "practice",
            **_PLAN,
            "owner": "user:alice",
            "version": 1,
            "created_at": "2026-03-01T12:00:00Z",
            "updated_at": "2026-03-01T12:00:00Z",
            "last_tick": "2026-03-02T07:30:00Z",
            "next_ticks": ["2026-03-03T07:30:00Z"],
            "used_today": {"tokens": 0, "cost": "0", "unpriced_models": [], "orders": 1},
            "hindered": None,
            "last_run": {"id": "sched-3c744e818ed7-20260302T073000Z", "state": "done"},
            "last_skip": None,
        }
    )

    id: str
    account: str
    name: str
    owner: str = Field(description="Who answers for it: its ticks are skipped once that one may no longer submit on the account.")
    cron: str | None
    every_seconds: int | None
    timezone: str
    symbols: list[str]
    misfire: Misfire
    overlap: Overlap
    budget: BudgetOut
    version: int
    created_at: Instant
    updated_at: Instant
    last_tick: Instant | None = Field(description="Up to which its ticks are dealt with, run or skipped.")
    next_ticks: list[Instant]
    used_today: UsedOut
    hindered: HinderedOut | None
    last_run: LastRunOut | None
    last_skip: SkippedOut | None

    @classmethod
    def of(cls, schedule: Schedule, ticks: tuple[datetime, ...], standing: Standing) -> ScheduleOut:
        hindered, run, skip = standing.hindered, standing.last_run, standing.last_skip
        return cls(
            id=schedule.id,
            account=schedule.account_id,
            name=schedule.name,
            owner=schedule.owner,
            cron=schedule.cron,
            every_seconds=schedule.every_seconds,
            timezone=schedule.timezone,
            symbols=list(schedule.symbols),
            misfire=schedule.misfire,
            overlap=schedule.overlap,
            budget=BudgetOut.of(schedule.budget),
            version=schedule.version,
            created_at=schedule.created_at,
            updated_at=schedule.updated_at,
            last_tick=schedule.last_tick,
            next_ticks=list(ticks),
            used_today=UsedOut.of(standing.spent),
            hindered=None if hindered is None else HinderedOut(reason=hindered.reason, detail=hindered.detail),
            last_run=None if run is None else LastRunOut(id=run.id, state=run.state.value),
            last_skip=None
            if skip is None
            else SkippedOut(
                tick=str(skip.data.get("tick")), reason=str(skip.data.get("reason")), detail=str(skip.data.get("detail"))
            ),
        )


class TicksOut(Answer):
    """Instants at which a schedule is due."""

    model_config = Answer.model_config | shown_as({"ticks": ["2026-03-03T07:30:00Z", "2026-03-04T07:30:00Z"]})

    ticks: list[Instant]


class AskedRunOut(Answer):
    """A run that was asked for."""

    model_config = Answer.model_config | shown_as({"run_id": "cycle-93f52b223292c7167e4ff912", "state": "queued"})

    run_id: str
    state: str
