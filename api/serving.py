"""`serve` behind its options: desks and doors in one process, from the first line to a clean end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from api.app import create_app, server_config
from api.channel_access import channel_access
from api.commands.served_market import Wanted, served_config
from api.commands.settings import RunChoices
from api.console.progress import Progress
from api.console.screen import errors, output, silent
from api.console.serving import Started, introduce
from api.console.text import when
from api.desk_database import desk_database, person_here, secret_providers
from api.door import bind, is_loopback, open_door, url_of
from api.endpoint import check_endpoint
from api.first_login import first_login
from api.home import program
from api.http.rate_limits import RateLimits
from api.http.settings import ApiSettings, Environment
from api.live.hub import end_followers
from api.observability.logs import logging_to
from api.observability.metrics import Metrics
from api.observability.tracing import tracing
from api.signing_keys import token_keys
from api.state import ApiState
from api.venue_access import this_process, venue_access
from graph.channels import ChannelAccess
from graph.config import SessionConfig
from graph.folders import Folders
from graph.serving import Served, ServingOptions, every_bar, serving
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Principal
from trading_core.auth.service import Auth
from trading_core.domain.clock import Clock, SystemClock
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import Trigger
from trading_core.persistence.session import Database
from trading_core.secrets.environment import environment

DONE, FAILED = 0, 1  # exit status
INTERRUPTED = 130
_ENDS_WITHIN = 30.0  # seconds from the wish to stop to the end of the process, whatever hangs
_ONE_WISH = 0.5  # seconds in which signals are one wish to stop


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of `serve`.

    Attributes:
        database: path or URL of the ledger; the desk's own file when None.
        choices: of the account to serve; None to open doors only.
    """

    home: Path
    database: str | None
    host: str
    port: int
    choices: RunChoices | None
    wanted: Wanted
    schedules: bool = True
    quiet: bool = False
    verbose: bool = False


@dataclass(slots=True)
class Stopping:
    """The wish to stop. The second one, from the keyboard or a supervisor, ends the process on the spot.

    Signals of one moment are one wish: a supervisor may signal the whole group, and `make` hands on what it got itself.
    """

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    asked_at: float = 0.0
    opening: asyncio.Task[object] | None = None

    def __call__(self, number: signal.Signals) -> None:
        loop = asyncio.get_running_loop()
        if self.asked.is_set():
            if loop.time() - self.asked_at < _ONE_WISH:
                return
            sys.stderr.write("Stopped at once. What was at work goes on at the next start.\n")
            sys.stderr.flush()
            os._exit(INTERRUPTED if number is signal.SIGINT else FAILED)
        self.asked.set()
        self.asked_at = loop.time()
        loop.call_later(_ENDS_WITHIN, _give_up)
        if self.opening is not None:
            self.opening.cancel()


def _give_up() -> None:
    sys.stderr.write(f"error: the desk did not come to an end within {_ENDS_WITHIN:.0f} s and was stopped\n")
    sys.stderr.flush()
    os._exit(FAILED)


async def serve_desk(options: ServeOptions) -> int:
    """Serve until somebody wants it stopped.

    Returns:
        The exit status: 0 after a stop that was asked for, 1 when the process had to stop.

    Raises:
        AlgoTrendyError: it cannot be served; nothing was traded.
    """
    stopping, loop = Stopping(opening=asyncio.current_task()), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # where the loop knows no signals, the interpreter's own end it
            loop.add_signal_handler(number, stopping, number)
    console = silent() if options.quiet else output()
    try:
        return await _serve(options, console, stopping)
    except asyncio.CancelledError:
        if not stopping.asked.is_set():
            raise
        return DONE  # before it had begun


async def _serve(options: ServeOptions, console: Console, stopping: Stopping) -> int:
    variables = environment(os.environ, Path(".env"))
    settings, clock = ApiSettings.read(variables), SystemClock()
    async with AsyncExitStack() as stack:
        opened = stack.enter_context(bind(options.host, options.port))
        in_production = settings.environment is Environment.PRODUCTION
        stack.enter_context(logging_to(sys.stderr, as_json=in_production, level=_level(production=in_production)))
        stack.enter_context(tracing(on=settings.tracing, content=settings.prompts_in_traces))
        database = await stack.enter_async_context(desk_database(options.home, options.database, make=True))
        configs = await _configs(options, database, clock.now())
        accounts = [Folders.of(options.home, config, options.database).account for config in configs]
        async with secret_providers() as providers:
            keys = await token_keys(options.home, providers)
        auth, who = Auth.over(database, clock, keys), await person_here(database, accounts)
        name = program(options.home, options.database)
        shown = {
            account: stack.enter_context(Progress(console, config.symbols, name, verbose=options.verbose))
            for account, config in zip(accounts, configs, strict=True)
        }
        served = await stack.enter_async_context(
            serving(
                configs,
                options.home,
                database,
                clock,
                this_process(),
                ServingOptions(
                    location=options.database,
                    access=await venue_access(configs[0]) if configs else None,
                    keys=await _channel_keys(configs),
                    schedules_kept=options.schedules,
                    listeners=shown,
                    waiting=lambda account, until: _tell_waiting(console, account, until),
                ),
            )
        )
        for account, progress in shown.items():
            if (system := served.desks.get(account)) is not None:
                progress.know((await system.desk.account(runner(account))).live_orders)
        login = await first_login(auth.users, who, accounts)
        state = ApiState(
            settings=settings,
            database=database,
            clock=clock,
            auth=auth,
            runs=served.runs,
            log=served.log,
            desks=served.desks,
            limits=RateLimits(settings),
            observer=Metrics(),
        )
        app = create_app(state)
        config = server_config(app, settings, options.host, options.port)
        door = await stack.enter_async_context(open_door(config, opened))
        stack.callback(end_followers, app)  # before the door waits for what is still open
        _warn_of_strangers(opened, settings)
        timetable = await _timetable(options, served, database, clock, who, configs, accounts)
        introduce(console, Started(name, url_of(opened), settings.shows_docs, configs, accounts, login, timetable), output())
        stopping.opening = None
        gc.collect()
        gc.freeze()  # what is there now stays: looking through all of it again and again costs requests a third of their time
        if options.schedules:
            await _first_cycles(served, who, accounts, clock)
        status = await _until_the_end(served, door, stopping)
        console.print(Text("Stopping: what is at work comes to a safe point.", style="dim"))
    console.print(Text("Stopped.", style="dim"))
    return status


async def _until_the_end(served: Served, door: asyncio.Task[None], stopping: Stopping) -> int:
    asked = asyncio.create_task(stopping.asked.wait())
    try:
        waited: tuple[asyncio.Future[Any], ...] = asked, door, served.failed
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if served.failed.done() and (error := served.failed.exception()) is not None:
        errors().print(f"error: {error}", style="red", soft_wrap=True)
        return FAILED
    if door.done() and not stopping.asked.is_set():
        errors().print("error: the HTTP server stopped by itself; the desk stops with it", style="red")
        return FAILED
    return DONE


async def _configs(options: ServeOptions, database: Database, now: datetime) -> list[SessionConfig]:
    if options.choices is None:
        return []
    config, _ = await served_config(options.choices, options.wanted, database, now)
    if config.model.provider == "openai":
        check_endpoint(config.model)
    return [config]


async def _timetable(
    options: ServeOptions,
    served: Served,
    database: Database,
    clock: Clock,
    who: Principal,
    configs: Sequence[SessionConfig],
    accounts: Sequence[str],
) -> str:
    """When cycles run, in words; with the timetable that an account starts out with, if it has none."""
    if not options.schedules or not accounts:
        return ""
    for account, config in zip(accounts, configs, strict=True):
        await every_bar(database, clock, who, account, config.bars)
    known = await served.schedules.all(who, accounts)
    told = [
        f"{schedule.name} ({schedule.cron or f'every {schedule.every_seconds} s'}, {schedule.timezone})" for schedule in known
    ]
    ticks = [tick for schedule in known for tick in served.schedules.next_ticks(schedule, 1)]
    upcoming = f", next at {min(ticks):%H:%M:%S} UTC" if ticks else ""
    return f"one now; then {', '.join(told) or 'none: the timetable is empty'}{upcoming}"


async def _first_cycles(served: Served, who: Principal, accounts: Sequence[str], clock: Clock) -> None:
    """One cycle at once, unless a person paused the account."""
    for account in accounts:
        run_id = f"start-{account}-{clock.now():%Y%m%dT%H%M%SZ}"
        try:
            await served.runs.request_cycle(who, account, run_id=run_id, trigger=Trigger.START)
        except AlgoTrendyError as error:
            errors().print(Text(f"No first cycle: {error}", style="yellow"), soft_wrap=True)


async def _channel_keys(configs: Sequence[SessionConfig]) -> ChannelAccess | None:
    return await channel_access() if any(config.channels for config in configs) else None


def _level(*, production: bool) -> int:
    """In development the progress lines tell what happens, and the log what is wrong."""
    return logging.INFO if production else logging.WARNING


def _tell_waiting(console: Console, account: str, until: datetime) -> None:
    told = f"Another process has account {account}, at the latest until {when(until)} UTC unless it goes on. Waiting."
    console.print(Text(told, style="dim"))


def _warn_of_strangers(opened: socket.socket, settings: ApiSettings) -> None:
    if is_loopback(opened) or settings.trusted_proxies:
        return
    told = (
        "Whoever reaches this machine reaches the API, and logins cross the network unencrypted. Put it behind something that "
        "speaks TLS, and name that in ALGOTRENDY_API_TRUSTED_PROXIES."
    )
    errors().print(Text(told, style="bold yellow"))
