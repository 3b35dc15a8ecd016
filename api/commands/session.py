"""Running a session from the command line, from its start or from a run that was left, and telling what came of it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.text import Text

from api.channel_access import channel_access
from api.commands.options import DONE, FAILED, WAITING
from api.commands.settings import SIMULATED
from api.console.screen import errors, output, silent
from api.console.summary import show_summary
from api.console.text import amount, exact, when
from api.console.watch import Watch
from api.endpoint import check_endpoint
from api.home import program
from api.operations import place_of
from api.venue_access import alone_at_venue, venue_access
from graph.channels import ChannelAccess
from graph.config import SessionConfig
from graph.folders import Folders
from graph.markets import make_feed
from graph.report import SessionReport, export, report
from graph.runner import RunResult
from graph.session import trade
from graph.snapshot import check_listed
from graph.system import TradingSystem
from graph.ticks import ticks
from trading_core.auth.agents import runner
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import MarketFeed
from trading_core.persistence.records import RunRecord, RunState, RunTrail
from trading_core.persistence.session import Database


@dataclass(frozen=True, slots=True)
class Shown:
    """How much is printed, and in which form."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False

    def lines(self) -> Console:
        """Where lines go while the session works."""
        if self.as_json:
            return errors() if sys.stderr.isatty() and not self.quiet else silent()
        return silent() if self.quiet else output()


async def start(config: SessionConfig, home: Path, shown: Shown, watches: list[Watch], database: str | None = None) -> int:
    """A session from its beginning. `watches` gets the one that is used, so that an interrupt can tell which run was left.

    Raises:
        AlgoTrendyError: something cannot be used; then nothing was written.
    """
    access, keys = await venue_access(config), await _channel_keys(config)
    feed = make_feed(config, access, streams=True)
    try:
        check_listed(config.symbols, await feed.instruments())
        cycles = _count(config, feed)
        if config.model.provider == "openai":
            check_endpoint(config.model)
        console = shown.lines()
        again = await _clear(Folders.of(home, config, database))
        _introduce(console, config, feed, cycles, again=again)
        with Watch(console, config.symbols, cycles=cycles, verbose=shown.verbose) as watch:
            watches.append(watch)
            async with (
                alone_at_venue(config, Folders.of(home, config, database)),
                TradingSystem.open(
                    config, home, listener=watch, feed=feed, database=database, access=access, keys=keys
                ) as system,
            ):
                results = [result async for result in trade(system)]
                return await _conclude(system, results, shown, watch, program(home, database))
    finally:
        await feed.close()


async def go_on(
    config: SessionConfig, home: Path, shown: Shown, run: RunRecord, watches: list[Watch], database: str | None = None
) -> int:
    """A session from a run that waits or was left, to its end.

    Raises:
        AlgoTrendyError: the run cannot go on.
    """
    if config.model.provider == "openai":
        check_endpoint(config.model)
    access, keys = await venue_access(config), await _channel_keys(config)
    console = shown.lines()
    if config.account is not None:
        console.print(_account_line(config))
    with Watch(console, config.symbols, cycles=None, verbose=shown.verbose) as watch:
        watches.append(watch)
        async with (
            alone_at_venue(config, Folders.of(home, config, database)),
            TradingSystem.open(config, home, listener=watch, at=run.as_of, database=database, access=access, keys=keys) as system,
        ):
            watch.know((await system.desk.account(runner(system.desk.account_id))).live_orders)
            console.print(Text(f"Going on with run {run.id}.", style="dim"))
            results = [result async for result in _rest(system, run, watch)]
            if not config.simulated:
                console.print(Text("`run` with the same options trades on.", style="dim"))
            return await _conclude(system, results, shown, watch, program(home, database))


async def _rest(system: TradingSystem, run: RunRecord, watch: Watch) -> AsyncIterator[RunResult]:
    if run.state is not RunState.DONE:
        watch.begin(run.id, run.as_of)
        result = await system.runner.resume(run.id)
        yield result
        if result.state is RunState.WAITING:
            return
    if system.config.simulated:
        async with aclosing(trade(system, after=run.as_of)) as results:
            async for result in results:
                yield result


def _count(config: SessionConfig, feed: MarketFeed) -> int | None:
    """How many cycles there will be; None when that is not known.

    Raises:
        ConfigurationError: not one.
    """
    if not config.simulated:
        return config.cycles
    cycles = sum(1 for _ in ticks(config, feed))
    if not cycles:
        raise ConfigurationError(
            "no bar closes in the time that was asked for", not_done="Nothing was run", next_step="Choose another --from or --to"
        )
    return cycles


def _introduce(console: Console, config: SessionConfig, feed: MarketFeed, cycles: int | None, *, again: bool) -> None:
    model = (
        "rules model (embedded, no LLM)"
        if config.model.provider == "rules"
        else f"{config.model.model} at {config.model.endpoint}"
    )
    console.print(Text.assemble(("AlgoTrendy  ", "bold"), f"{', '.join(config.symbols)}, {config.timeframe} bars, {model}"))
    if feed.generated:
        told = f"The market is GENERATED ({feed.name}): no price in it was ever paid, and a result says nothing about profit."
        console.print(Text(told, style="yellow"))
    elif config.account is None:
        console.print(f"Market: {feed.name}. The account is a paper account: no order leaves this machine.")
    else:
        console.print(_account_line(config))
    length = f"{cycles} cycles" if cycles and cycles > 1 else "one cycle"
    held = f", account {amount(config.deposit)} {config.currency}" if config.account is None else ""
    console.print(Text(f"{length}{held}, session {config.session_id}", style="dim"))
    if config.simulated and config.limits.desk.approval_above_notional is None:
        console.print(Text(f"No order waits for an operator ({SIMULATED}).", style="dim"))
    if again:
        told = "The earlier simulation with these settings was removed; it is done again from its start."
        console.print(Text(told, style="dim"))


async def _channel_keys(config: SessionConfig) -> ChannelAccess:
    return await channel_access() if config.channels else ChannelAccess()


def _account_line(config: SessionConfig) -> Text:
    """Where orders go; real money is not to be overlooked."""
    real = config.account is not None and config.account.production
    told = f"{place_of(config)}: orders leave this machine{' and can lose it' if real else ', no real money'}."
    return Text(told, style="bold red" if real else "yellow")


async def _clear(folders: Folders) -> bool:
    """Make room for the session. An earlier simulation of the same settings is removed: it is repeatable, and starts anew.

    Raises:
        ConfigurationError: another process is at work on it.
        OSError: the home folder cannot be written to.
    """
    again = folders.is_simulation and folders.session.exists()
    if again:
        PaperStore(folders.paper).progress()  # refuses while another process has it open
    if folders.is_simulation and folders.database is not None:
        async with await Database.open(folders.ledger) as database, database.transaction() as uow:
            again = await uow.sessions.remove(folders.session.name, folders.account) or again
    if again and folders.session.exists():
        shutil.rmtree(folders.session)
    folders.session.mkdir(parents=True, exist_ok=True)
    return again


async def _conclude(system: TradingSystem, results: list[RunResult], shown: Shown, watch: Watch, name: str) -> int:
    last = results[-1] if results else None
    watch.__exit__()
    waiting = last if last is not None and last.state is RunState.WAITING else None
    found = await report(system)
    failed = [result for result in results if result.state is RunState.FAILED]
    if shown.as_json:
        sys.stdout.write(json.dumps(await _document(system, found, waiting), indent=2) + "\n")
    else:
        show_summary(output(), found, await _trails(system))
        if not waiting:
            _advise(output(), last, name)
    if waiting:
        await _tell_waiting(errors() if shown.as_json else output(), system, waiting, name)
        return WAITING
    if failed:
        errors().print(f"error: {len(failed)} of {len(results)} runs failed; the first: {failed[0].error}", style="red")
    return FAILED if failed or not found.balances_agree else DONE


async def _document(system: TradingSystem, found: SessionReport, waiting: RunResult | None) -> dict[str, Any]:
    """The one JSON document of a session: no wall time is in it, so the same session gives the same bytes."""
    config = system.config
    return {
        "market": {"kind": config.market, "name": system.feed.name, "generated": system.feed.generated},
        "account": place_of(config),
        "model": config.model.model,
        "report": {**TypeAdapter(SessionReport).dump_python(found, mode="json"), "profit": str(found.profit)},
        "waiting": {"run": waiting.run_id, "intents": list(waiting.waiting)} if waiting else None,
        **await export(system),
    }


async def _trails(system: TradingSystem) -> list[RunTrail]:
    """The runs that sent orders."""
    async with system.database.reading() as uow:
        orders = await uow.orders.all(system.desk.account_id)
        trails = [await uow.runs.whole(run_id) for run_id in dict.fromkeys(order.run_id for order in orders)]
    return [trail for trail in trails if trail.run.session_id == system.config.session_id]


async def _tell_waiting(console: Console, system: TradingSystem, waiting: RunResult, name: str) -> None:
    async with system.database.reading() as uow:
        intents = [await uow.intents.get(intent_id) for intent_id in waiting.waiting]
        asked = [await uow.approvals.get(intent_id) for intent_id in waiting.waiting]
    console.print(Text("\nThe run waits for your approval.", style="bold yellow"))
    for intent, approval in zip(intents, asked, strict=True):
        if intent is None or approval is None:
            continue
        wish = f"{intent.side.value} {exact(intent.quantity)} {intent.symbol} near {exact(approval.price)}"
        console.print(f"  {wish}, until {when(approval.expires_at)} UTC")
        for verb in ("approve", "reject "):
            console.print(Text(f"    {name} {verb} {intent.intent_id[:12]}", style="bold"))
    console.print("then")
    console.print(Text(f"    {name} resume {waiting.run_id}", style="bold"))


def _advise(console: Console, last: RunResult | None, name: str) -> None:
    console.print(Text("\nWhat to try next", style="bold"))
    run = last.run_id if last else "last"
    advice = [
        (f"{name} show {run}", "all that the last cycle decided, and on what evidence"),
        (f"{name} runs", "every run on record"),
        (f"{name} run --market history --data FOLDER", "your own bars: files like BTCUSDT_1h.csv"),
        (f"{name} run --model openai:NAME --base-url http://127.0.0.1:8000/v1", "your own model"),
        (f"{name} run --limit max_position=0.1", f"a tighter limit; `{name} limits` lists them"),
        (f"{name} doctor", "check this installation"),
    ]
    for command, about in advice:
        console.print(Text.assemble(f"  {command}", (f"  {about}", "dim")), soft_wrap=not console.is_terminal)
