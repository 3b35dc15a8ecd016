"""What schedules and agents have used today, against what they may use.

A day is a day in UTC. What is used is read from the record, so it is the same for every process and after every restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from graph.control.costs import cost, price_of_session
from trading_core.domain.clock import utc
from trading_core.domain.errors import InvalidInput
from trading_core.domain.money import plain
from trading_core.persistence.desk_records import Budget, Schedule, Used
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.unit_of_work import UnitOfWork

MOST_TOKENS, MOST_COST, MOST_ORDERS = 10**12, Decimal(1_000_000), 100_000


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used since the day began.

    Attributes:
        cost: of the models whose price is known, US dollars.
        unpriced: models that were used and whose price is not known.
        orders: sent to the venue.
    """

    tokens: int
    cost: Decimal
    unpriced: tuple[str, ...]
    orders: int

    @classmethod
    def of(cls, used: Used) -> Spent:
        dollars, unpriced = cost(used.by_model)
        return cls(used.tokens, dollars, unpriced, used.orders)

    def with_more(self, other: Spent, times: int) -> Spent:
        """As it would be with something more, so many times."""
        unpriced = tuple(dict.fromkeys((*self.unpriced, *other.unpriced)))
        return Spent(
            self.tokens + times * other.tokens, self.cost + times * other.cost, unpriced, self.orders + times * other.orders
        )

    def beyond(self, budget: Budget) -> str:
        """Which part of a budget is used up, in words; empty while there is room in all of them."""
        if budget.tokens is not None and self.tokens >= budget.tokens:
            return f"{self.tokens} of {budget.tokens} tokens of the day are used"
        if budget.cost is not None and self.unpriced:
            return f"what {self.unpriced[0]} costs is not known, so no budget in dollars can be kept"
        if budget.cost is not None and self.cost >= budget.cost:
            return f"{plain(self.cost)} of {plain(budget.cost)} US dollars of the day are used"
        if budget.orders is not None and self.orders >= budget.orders:
            return f"{self.orders} of {budget.orders} orders of the day are sent"
        return ""


def day_of(now: datetime) -> datetime:
    """When the day of an instant began."""
    return datetime.combine(utc(now).date(), time(), UTC)


async def spent_by_schedule(uow: UnitOfWork, schedule_id: str, now: datetime) -> Spent:
    """What the runs of a schedule have used today."""
    return Spent.of(await uow.run_requests.used_by_schedule(schedule_id, day_of(now)))


async def spent_by_agent(uow: UnitOfWork, account_id: str, agent: str, now: datetime) -> Spent:
    """What an agent has used today in all runs of an account."""
    return Spent.of(await uow.run_requests.used_by_agent(account_id, agent, day_of(now)))


async def largest_by_agent(uow: UnitOfWork, account_id: str, agent: str, now: datetime) -> Spent:
    """The most that one decision of an agent has used today; nothing before the first."""
    return Spent.of(await uow.run_requests.largest_by_agent(account_id, agent, day_of(now)))


async def orders_left(uow: UnitOfWork, run_id: str, now: datetime) -> int | None:
    """How many orders the schedule of a run may still send today; None for no bound, or for a run of no schedule."""
    request = await uow.run_requests.get(run_id)
    schedule: Schedule | None = None
    if request is not None and request.schedule_id is not None:
        schedule = await uow.schedules.get(request.schedule_id)
    if schedule is None or schedule.budget.orders is None:
        return None
    return max(schedule.budget.orders - (await spent_by_schedule(uow, schedule.id, now)).orders, 0)


async def session_of(uow: UnitOfWork, account_id: str) -> SessionRecord | None:
    """The session that ran last on an account; None before the first."""
    session_id = await uow.pages.last_session(account_id)
    return None if session_id is None else await uow.sessions.get(session_id)


async def check_budget(uow: UnitOfWork, account_id: str, budget: Budget) -> None:
    """Whether a budget can be kept.

    Raises:
        InvalidInput: an amount is none, or nobody knows what the account's model costs.
    """
    for name, value, most in (
        ("tokens", budget.tokens, MOST_TOKENS),
        ("cost", budget.cost, MOST_COST),
        ("orders", budget.orders, MOST_ORDERS),
    ):
        if value is not None and not 0 < value <= most:
            raise InvalidInput(
                f"a budget of {value} {name} a day cannot be kept",
                not_done="Nothing was changed",
                next_step=f"Give more than 0 and at most {most}, or leave it out; to stop it altogether, pause it",
            )
    if budget.cost is not None:
        session = await session_of(uow, account_id)
        if session is None or price_of_session(session.config) is None:
            why = "no session has run there yet" if session is None else "its price is not listed"
            raise InvalidInput(
                f"what the model of account {account_id!r} costs is not known: {why}",
                not_done="No budget in dollars was set",
                next_step="Give a budget in tokens instead",
            )
