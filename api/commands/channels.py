"""`channels`: the sources of readings: which live, how old their newest reading is, and what each still wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import FAILED, AsJson

if TYPE_CHECKING:
    from data_channels.hub import ChannelHub
    from data_channels.status import SourceStatus

channels = typer.Typer(name="channels", help="Sources of readings beside the market.")

Names = Annotated[str | None, typer.Option("--sources", metavar="NAMES", help="Some of them; all when none is named.")]
Venue = Annotated[str | None, typer.Option(metavar="VENUE", help="Hold their prices against this venue's: binance, kraken, …")]
_DEFAULT_SYMBOLS = "BTC/USDT,ETH/USDT"
_WITHIN = 20.0  # seconds that a look waits for the first answers


@channels.callback(invoke_without_command=True)
def show(
    ctx: typer.Context,
    symbols: Annotated[str, typer.Option(help="What they are asked about.")] = _DEFAULT_SYMBOLS,
    sources: Names = None,
    venue: Venue = None,
    as_json: AsJson = False,
) -> None:
    """Ask every source once, and show how each stands. Exit status 1 when one that is on has failed."""
    from api.console.channels import show_sources, status_document
    from api.console.screen import output

    if ctx.invoked_subcommand is not None:
        return

    async def look() -> tuple[SourceStatus, ...]:
        async with _hub(symbols, sources, venue) as hub:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WITHIN):
                    await hub.asked()
            return hub.statuses()

    found = asyncio.run(look())
    if as_json:
        typer.echo(json.dumps([status_document(one) for one in found], indent=2))
    else:
        show_sources(output(), found)
    if any(one.last_error for one in found):
        raise typer.Exit(FAILED)


@channels.command()
def watch(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC/USDT.")],
    sources: Names = None,
    venue: Venue = None,
    seconds: Annotated[float | None, typer.Option(metavar="N", help="Stop after so long; Ctrl-C stops at any time.")] = None,
) -> None:
    """Watch what the sources say of one symbol, as it comes."""
    from api.console.channels import watching
    from api.console.screen import output

    async def look() -> None:
        async with _hub(symbol, sources, venue) as hub:
            await watching(output(), hub, symbol.strip().upper(), seconds)

    asyncio.run(look())


@asynccontextmanager
async def _hub(symbols: str, sources: str | None, venue: str | None) -> AsyncIterator[ChannelHub]:
    from api.channel_access import channel_access
    from data_channels.market.live import LiveFeed
    from graph.channels import SOURCES, open_hub
    from trading_core.domain.clock import SystemClock

    clock = SystemClock()
    wanted = [symbol.strip().upper() for symbol in symbols.split(",")]
    names = [name.strip() for name in sources.split(",")] if sources else list(SOURCES)
    feed = LiveFeed(venue, wanted, clock=clock) if venue else None
    try:
        async with open_hub(names, wanted, await channel_access(), clock=clock, feeds=[feed] if feed else ()) as hub:
            yield hub
    finally:
        if feed is not None:
            await feed.close()
