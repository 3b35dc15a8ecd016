"""`run` and `resume`: cycles of the desk, shown while they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.options import (
    INTERRUPTED,
    AsJson,
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
from api.commands.settings import RunChoices, session_config, stored_config
from api.home import HomeContext, Ledger, program

if TYPE_CHECKING:
    from api.console.watch import Watch


def run(
    ctx: HomeContext,
    market: Annotated[str, typer.Option(help="synthetic (generated), history (files) or live (a venue's prices).")] = "synthetic",
    data: Annotated[Path | None, typer.Option(metavar="PATH", help="Folder or file of bars, for history.")] = None,
    venue: Venue = None,
    standby: Standby = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Sources of readings: asked beside a live market (all by default), from the store else.",
        ),
    ] = None,
    symbols: Symbols = None,
    timeframe: Annotated[str, typer.Option(help="Length of a bar: 15m, 1h, 1d.")] = "1h",
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First cycle: ISO date or time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last cycle.")] = None,
    cycles: Annotated[
        int | None, typer.Option(help="Most cycles. Default: 12 synthetic, 24 history without --from, 1 live.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the generated market and of the paper exchange's luck.")] = None,
    broker: Broker = None,
    account: Annotated[str, typer.Option(metavar="AMOUNT", help="What the paper account opens with.")] = "100000",
    model: Model = "rules",
    base_url: BaseUrl = None,
    limits: Limits = None,
    limit: Limit = None,
    strategy: Strategy = "",
    rebalance_every: RebalanceEvery = 0,
    database: Ledger = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run the desk: with no options, twelve cycles of a generated market with the embedded rules model."""
    from api.venue_access import broker_account

    choices = RunChoices(
        market=market,
        data=data,
        venue=venue,
        symbols=symbols,
        timeframe=timeframe,
        start=start,
        end=end,
        cycles=cycles,
        seed=seed,
        account=account,
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
    config, _ = session_config(choices)
    from api.commands import session

    shown = session.Shown(as_json, quiet, verbose)
    _finish(program(ctx.obj, database), lambda watches: session.start(config, ctx.obj, shown, watches, database))


def resume(
    ctx: HomeContext,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, the beginning of one, or `last`.")],
    database: Ledger = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Go on with a run that waits or was cut off, and with the rest of its session."""
    from api.commands import session
    from api.ledgers import find_run

    found = asyncio.run(find_run(ctx.obj, run_id, database))
    config = stored_config(found.session.config)
    shown = session.Shown(as_json, quiet, verbose)
    _finish(program(ctx.obj, database), lambda watches: session.go_on(config, ctx.obj, shown, found.run, watches, database))


def _finish(name: str, work: Callable[[list[Watch]], Coroutine[Any, Any, int]]) -> None:
    """Run to the end, or stop cleanly when interrupted: what was begun is on record and can go on."""
    watches: list[Watch] = []
    try:
        status = asyncio.run(work(watches))
    except KeyboardInterrupt:
        last = watches[-1].last_run if watches else ""
        told = f"Stopped. `{name} resume {last}` goes on." if last else "Stopped before the first cycle."
        typer.echo(told, err=True)
        status = INTERRUPTED
    raise typer.Exit(status)
