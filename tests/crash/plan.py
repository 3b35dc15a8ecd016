"""A desk at a venue, and a plan that takes it through every kind of order. Carried out again, it goes on where it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.crash.connections import At, Connection, connected
from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUN, RUNNER, TRADER, D, buy, sell
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH
from trading_core.domain.errors import ApprovalError
from trading_core.domain.intents import TradeIntent
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

STEPS = LIMITS.model_copy(update={"approval_above_notional": D(2_000)})


@dataclass(frozen=True)
class Post:
    """A desk on a ledger file, connected to the venue."""

    desk: Desk
    ledger: Database
    venue: Connection


async def prepare(ledger: Path, at: At, now: datetime) -> None:
    """A new ledger file with the account and the run in it, begun at `now`."""
    async with await Database.open(ledger) as database, database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), at.value, now)
        await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, now, now))


@asynccontextmanager
async def posted(at: At, ledger: Path, url: str, now: datetime) -> AsyncIterator[Post]:
    """A desk that knows nothing but the ledger, on a clock that shows `now`."""
    async with await Database.open(ledger) as database:
        async with database.reading() as uow:
            began_at = await uow.portfolios.opened_at(ACCOUNT)
        assert began_at is not None
        async with connected(at, url, now, began_at) as venue:
            desk = Desk(
                account_id=ACCOUNT,
                database=database,
                broker=venue.broker,
                feed=venue.feed,
                clock=venue.clock,
                limits=LimitsBook(desk=STEPS),
                instruments=venue.instruments,
                principals={who.name: who for who in (TRADER, OPERATOR)},
            )
            yield Post(desk, database, venue)


async def carry_out(post: Post) -> None:
    """Everything a desk does with a venue. Each step is idempotent, as an intent and its order have one id each."""
    await post.desk.sync(RUNNER)
    await enter(post)
    await enter_in_parts_with_approval(post)
    await enter_and_rest(post)
    await leave_in_part(post)
    await take_back_what_rests(post)
    await settle(post)


async def enter(post: Post) -> None:
    await _send(post, buy("10", leg="enter"))
    await _wait(post, 1)


async def enter_in_parts_with_approval(post: Post) -> None:
    """30 ETH, of which the venue fills 20 at first: the stop comes in two parts."""
    intent = buy("30", leg="parts", symbol=ETH)
    await post.desk.propose(TRADER, intent)
    with suppress(ApprovalError):  # approved already
        await post.desk.decide_approval(OPERATOR, intent.intent_id, approve=True, reason="as planned")
    await post.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
    await _wait(post, 1)
    await post.venue.fill_up()
    await post.desk.sync(RUNNER)


async def enter_and_rest(post: Post) -> None:
    """A buy below the market, which does not fill."""
    await _send(post, buy("5", leg="rest", limit_price=D(95), symbol=BTC))
    await _wait(post, 1)


async def leave_in_part(post: Post) -> None:
    """Sell 4 of 10 BTC: the stop is taken back first, and the rest is stopped again."""
    await _send(post, sell("4", leg="leave"))
    await _wait(post, 1)


async def take_back_what_rests(post: Post) -> None:
    await post.desk.cancel_entries(RUNNER, but_run="a later one")


async def settle(post: Post) -> None:
    """Long enough for the venue's silence to count."""
    for _ in range(2):
        await _wait(post, ABSENT_AFTER.total_seconds() + 1)


async def _send(post: Post, intent: TradeIntent) -> None:
    await post.desk.propose(TRADER, intent)
    await post.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)


async def _wait(post: Post, seconds: float) -> None:
    await post.venue.clock.sleep(seconds)
    await post.desk.sync(RUNNER)
