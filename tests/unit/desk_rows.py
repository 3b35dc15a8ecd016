"""An account, and the records of the desk's doors on it, for tests of what keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.desk_records import (
    AgentSettings,
    Author,
    Budget,
    Conversation,
    Message,
    Pause,
    PauseKind,
    Proposal,
    RunRequest,
    Schedule,
    Trigger,
)
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.unit_of_work import UnitOfWork

AT = datetime(2025, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = AT + 60 * SECOND


async def open_account(uow: UnitOfWork, *accounts: str) -> None:
    for account in accounts:
        await uow.portfolios.open_account(Portfolio.opened(account, "USDT", Decimal(1000)), "paper", AT)


def run(run_id: str, account: str = "a", kind: RunKind = RunKind.CYCLE, session: str | None = None) -> RunRecord:
    return RunRecord(run_id, account, kind, AT, AT, session_id=session)


def request(
    run_id: str, account: str = "a", *, at: datetime = AT, schedule: str | None = None, conversation: str | None = None
) -> RunRequest:
    payload = {"symbols": ["BTC/USDT"], "limit": "0.10"}
    return RunRequest(run_id, account, "user:olga", Trigger.OPERATOR, payload, at, schedule, conversation)


async def queue(uow: UnitOfWork, *run_ids: str, account: str = "a", schedule: str | None = None) -> None:
    """Runs that were asked for, in this order."""
    for run_id in run_ids:
        await uow.runs.queue(run(run_id, account))
        await uow.run_requests.add(request(run_id, account, schedule=schedule))


def conversation(name: str = "c", account: str = "a", owner: str = "user:olga", at: datetime = AT) -> Conversation:
    return Conversation(name, account, owner, "What is our exposure?", at, at)


def message(run_id: str, agent: str = "", content: str = "Hi", thread: str = "c", at: datetime = AT) -> Message:
    author = Author.AGENT if agent else Author.OPERATOR
    return Message(thread, 0, run_id, author, agent, content, {"grounded": True, "tools": ["get_orders"]}, at)


def proposal(name: str = "p", account: str = "a", owner: str = "user:olga", thread: str | None = "c") -> Proposal:
    ticket, preview = {"symbol": "BTC/USDT", "quantity": "0.10"}, {"verdict": "pass"}
    return Proposal(name, account, owner, "r1", ticket, "hash", preview, "trend", AT, LATER, thread)


def schedule(name: str = "s", account: str = "a") -> Schedule:
    budget = Budget(2_000_000_000_000, Decimal("1.50"), 3)
    return Schedule(name, account, name, "user:olga", ("BTC/USDT",), AT, AT, cron="0 * * * *", budget=budget)


def pause(account: str = "a", kind: PauseKind = PauseKind.SYMBOL, subject: str = "BTC/USDT") -> Pause:
    return Pause(account, kind, subject, "user:olga", "news", AT)


async def one_of_each(uow: UnitOfWork, account: str, run_id: str) -> None:
    """A row in every table of the doors that belongs to an account, about a run that is on record."""
    await uow.schedules.add(schedule(f"s-{account}", account))
    await uow.conversations.add(conversation(f"c-{account}", account))
    why = request(run_id, account, schedule=f"s-{account}", conversation=f"c-{account}")
    await uow.run_requests.add(why)
    await uow.conversations.say(message(run_id, thread=f"c-{account}"))
    await uow.proposals.add(proposal(f"p-{account}", account, thread=f"c-{account}"))
    await uow.pauses.put(pause(account))
    await uow.agent_settings.put(AgentSettings(account, "risk", "user:olga", AT))
    await uow.events.append(account, run_id, "run_queued", AT, {})
    await uow.events.append(account, "", "paused", AT, {"subject": "BTC/USDT"})
