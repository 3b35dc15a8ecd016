"""`run` and `resume`: cycles of the desk, shown while they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.settings import RunChoices, session_config, stored_config
from api.home import HomeContext, Ledger, program

if TYPE_CHECKING:
    from api.console.watch import Watch

INTERRUPTED = 130

Limits = Annotated[Path | None, typer.Option("--limits", metavar="FILE", help="TOML file of risk limits.")]
Limit = Annotated[list[str] | None, typer.Option("--limit", metavar="KEY=VALUE", help="One limit; may be given again.")]
Venue = Annotated[str | None, typer.Option(help="binance, kraken, okx, … for live prices.")]
Standby = Annotated[
    str | None, typer.Option(metavar="VENUES", help="Whose prices are read while the venue's cannot be: kraken,okx.")
]
Symbols = Annotated[str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT.")]
Broker = Annotated[
    str | None, typer.Option(metavar="NAME", help="Trade on this account at a venue instead of paper; see `brokers`.")
]
Model = Annotated[
    str,
    typer.Option(help="rules (embedded, no LLM) or openai:NAME; key from OPENAI_API_KEY, or ALGOTRENDY_API_KEY with --base-url."),
]
BaseUrl = Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")]
Strategy = Annotated[str, typer.Option(metavar="NAME", help="Bind the orders by this strategy's limits, too.")]
RebalanceEvery = Annotated[int, typer.Option(metavar="N", help="Ask for rebalancing every N cycles; 0: on drift only.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show the end only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every cycle and every reason in full.")]


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
