"""`serve`: the desk at work, and its doors open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import (
    BaseUrl,
    Broker,
    Limit,
    Limits,
    Model,
    Quiet,
    RebalanceEvery,
    Standby,
    Strategy,
    Symbols,
    Venue,
    Verbose,
)
from api.home import HomeContext, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.serving import ServeOptions


def serve(
    ctx: HomeContext,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where the API listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8000,
    market: Annotated[
        str | None,
        typer.Option(
            help="practice (generated, moves with the clock) or live; live goes without saying with --venue or --broker."
        ),
    ] = None,
    venue: Venue = None,
    standby: Standby = None,
    channels: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Sources of readings, asked beside a live market (all by default).")
    ] = None,
    symbols: Symbols = None,
    timeframe: Annotated[str | None, typer.Option(help="Length of a bar. Default: 5m on the practice market, 1h live.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the practice market and of the paper exchange's luck.")] = None,
    broker: Broker = None,
    account: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="What the paper account opens with. Default: 100000.")
    ] = None,
    model: Model = "rules",
    base_url: BaseUrl = None,
    limits: Limits = None,
    limit: Limit = None,
    strategy: Strategy = "",
    rebalance_every: RebalanceEvery = 0,
    desk: Annotated[bool, typer.Option("--desk/--no-desk", help="Run an account here, or open the doors only.")] = True,
    schedule: Annotated[
        bool, typer.Option("--schedule/--no-schedule", help="Keep the timetables, or run cycles on request only.")
    ] = True,
    database: Ledger = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Serve the desk: cycles on schedule and the API, until Ctrl-C. With no options, a paper account on a generated market."""
    from api.commands.served_market import LIVE, PRACTICE, Wanted
    from api.commands.settings import RunChoices
    from api.serving import ServeOptions
    from api.venue_access import broker_account

    choices = RunChoices(
        market=market or (LIVE if broker or venue else PRACTICE),
        data=None,
        venue=venue,
        symbols=None,
        timeframe="",
        start=None,
        end=None,
        cycles=None,
        seed=None,
        account="",
        model=model,
        base_url=base_url,
        limits=limits,
        overrides=limit or [],
        rebalance_every=rebalance_every,
        strategy=strategy,
        standby=standby,
        channels=channels,
        broker=asyncio.run(broker_account(ctx.obj, database, broker)) if broker else None,
    )
    options = ServeOptions(
        home=ctx.obj,
        database=database,
        host=host,
        port=port,
        choices=choices if desk else None,
        wanted=Wanted(symbols, timeframe, seed, account),
        schedules=schedule,
        quiet=quiet,
        verbose=verbose,
    )
    raise typer.Exit(_run(options))


def _run(options: ServeOptions) -> int:
    from api.serving import serve_desk

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve_desk(options))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop where it is there."""
    try:
        import uvloop
    except ImportError:  # not made for every system
        return None
    return uvloop.new_event_loop
