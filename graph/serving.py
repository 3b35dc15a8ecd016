"""Accounts at work in one process: their desks open, their runs done, their schedules kept, until it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from graph.accounts import VenueAccess
from graph.channels import ChannelAccess
from graph.config import SessionConfig
from graph.events import Listener, RunEvent, ignore
from graph.folders import Folders
from graph.markets import closing, make_feed
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.leases import LeaseTimes, LostLease, holding
from graph.runs.manager import RunManager
from graph.schedules.plan import Plan
from graph.schedules.scheduler import Scheduler
from graph.schedules.service import Schedules
from graph.system import TradingSystem
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import Timeframe
from trading_core.persistence.session import Database

_DAY, _WEEK = 1440, 10_080  # minutes


@dataclass(frozen=True, slots=True)
class Served:
    """What serves in this process.

    Attributes:
        failed: done, with an error, when this process must stop at once: another one runs one of the accounts (`LostLease`), or
            what keeps the timetables broke down.
    """

    desks: Desks
    runs: RunManager
    log: EventLog
    schedules: Schedules
    failed: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What a process serves with.

    Attributes:
        location: of the ledger, as the config's folders are to know it; None for the desk's own file.
        access, keys: to venues and sources of readings.
        schedules_kept: whether schedules are obeyed.
        listeners: told of what each account's runs do, beside the event log.
        waiting: told when another process still has an account, and until when.
    """

    location: str | None = None
    access: VenueAccess | None = None
    keys: ChannelAccess | None = None
    schedules_kept: bool = True
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    times: LeaseTimes = field(default_factory=LeaseTimes)
    waiting: Callable[[str, datetime], None] = lambda account_id, until: None


@asynccontextmanager
async def serving(
    configs: Sequence[SessionConfig], home: Path, database: Database, clock: Clock, holder: str, options: ServingOptions
) -> AsyncIterator[Served]:
    """Open each account, take the right to run it, and work on its runs and schedules until the block ends.

    Without configs nothing is run here: requests are written down for the process that has the account.

    Args:
        database: the ledger; it stays the caller's to close.
        holder: names this process; no two may share it.

    Raises:
        AlgoTrendyError: an account cannot be opened, or another process runs it; nothing was traded.
    """
    accounts = [Folders.of(home, config, options.location).account for config in configs]
    if len(set(accounts)) != len(accounts) or any(config.simulated for config in configs):
        raise ConfigurationError(
            "an account is served once, and on a market whose time is now",
            not_done="Nothing was opened",
            next_step="Use `algotrendy run` for a generated or recorded past",
        )
    desks, failed = Desks(), asyncio.get_running_loop().create_future()
    failed.add_done_callback(lambda done: done.cancelled() or done.exception())  # a process that stops anyway need not look

    def lose(error: LostLease) -> None:
        desks.remove(error.account_id)
        fail(error)

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    log = EventLog(database, clock)
    runs = RunManager(database, clock, log, desks, holder)
    schedules = Schedules(database, clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(log.open())
        for account_id, config in zip(accounts, configs, strict=True):

            def tell_waiting(until: datetime, account_id: str = account_id) -> None:
                options.waiting(account_id, until)

            held = holding(database, clock, account_id, holder, lose, options.times, waiting=tell_waiting)
            await stack.enter_async_context(held)
            listener = _both(log.listener(account_id), options.listeners.get(account_id, ignore))
            feed = await stack.enter_async_context(closing(make_feed(config, options.access, streams=True)))
            opened = TradingSystem.open(
                config,
                home,
                listener=listener,
                feed=feed,
                database=options.location,
                opened=database,
                access=options.access,
                keys=options.keys,
            )
            desks.add(await stack.enter_async_context(opened))
            async with database.transaction() as uow:  # whoever had the account is gone, whatever its claims say
                await uow.run_requests.release_others(account_id, holder)
        if failed.done():
            failed.result()  # a right was lost while the accounts were opened: nothing is begun
        if configs:
            await stack.enter_async_context(runs.working())
        if configs and options.schedules_kept:
            scheduler = Scheduler(schedules, runs, database, clock, holder)
            await stack.enter_async_context(_beside(scheduler.run(), fail))
        yield Served(desks, runs, log, schedules, failed)


async def every_bar(database: Database, clock: Clock, who: Principal, account_id: str, timeframe: Timeframe) -> bool:
    """Keep the timetable that an account starts out with: a cycle at each close of a bar. One that was removed stays removed.

    Returns:
        Whether it was added now.
    """
    schedule_id = f"bars-{account_id}"
    async with database.reading() as uow:
        if await uow.schedules.get(schedule_id) is not None or await uow.schedules.all((account_id,)):
            return False
    plan = Plan("every bar", cron=cron_of(timeframe))
    if plan.cron is None:
        plan = Plan("every bar", every_seconds=int(timeframe.length.total_seconds()))
    await Schedules(database, clock, lambda: schedule_id).add(who, account_id, plan)
    return True


def cron_of(timeframe: Timeframe) -> str | None:
    """The closes of bars as a cron expression in UTC; None where five fields cannot say it."""
    minutes = int(timeframe.length.total_seconds()) // 60
    hours = minutes // 60
    if 60 % minutes == 0:
        return {1: "* * * * *", 60: "0 * * * *"}.get(minutes, f"*/{minutes} * * * *")
    if minutes % 60 == 0 and 24 % hours == 0:
        return "0 0 * * *" if minutes == _DAY else f"0 */{hours} * * *"
    return "0 0 * * 1" if minutes == _WEEK and timeframe.code.endswith("w") else None


def _both(first: Listener, second: Listener) -> Listener:
    def hear(event: RunEvent) -> None:
        first(event)
        second(event)

    return hear


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], fail: Callable[[BaseException], None]) -> AsyncIterator[None]:
    """Something that goes on until the block ends; should it break down before, that is told."""

    def over(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            fail(error)

    task = asyncio.create_task(work, name="scheduler")
    task.add_done_callback(over)
    try:
        yield
    finally:
        task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await task
