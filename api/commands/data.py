"""`data …`: the bars and readings that are kept: brought in, looked over, and let go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.channel_access import KEEP_VARIABLES
from api.commands.options import FAILED, AsJson
from api.home import STORE_VARIABLE, HomeContext
from data_channels.store.retention import MOST_DAYS

if TYPE_CHECKING:
    from data_channels.store.base import BarKey, Span
    from data_channels.store.check import BarCheck
    from data_channels.store.fetcher import Fetching
    from data_channels.store.importer import Imported
    from data_channels.store.sql import SqlStore

data = typer.Typer(name="data", no_args_is_help=True, help="Bars and readings that are kept, for backtests and replays.")

_FILE = "timeseries.duckdb"

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar=STORE_VARIABLE,
        help="Where they are kept: a path, or postgresql://… (the variable keeps a password from other users' eyes). "
        f"Default: {_FILE} in the home folder.",
    ),
]
Venue = Annotated[str | None, typer.Option(metavar="NAME", help="Of this venue only.")]
Symbol = Annotated[str | None, typer.Option(metavar="SYMBOL", help="Of this market only, such as BTC/USDT.")]
Length = Annotated[str | None, typer.Option("--timeframe", help="Of bars of this length only: 15m, 1h, 1d.")]


@data.command("import")
def import_files(
    ctx: HomeContext,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Files of bars or readings (.csv, .csv.gz, .parquet), or folders of them."),
    ],
    venue: Annotated[str | None, typer.Option(metavar="NAME", help="Whose the bars are, if the files' names do not say.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Take files over, each whole or not at all. What is there already is skipped, so a killed import goes on when repeated.

    Bars: ts,open,high,low,close,volume (ts in ms UTC), in files named like binance_BTCUSDT_1h.csv.gz. Readings:
    source,symbol,name,value,unit,observed_at,published_at and, if you like, quality,count,spread; times in ISO 8601 with a zone.
    """
    from api.console.data import import_document, importing, show_imports
    from api.console.screen import output
    from data_channels.store.importer import files_in, import_file

    async def work() -> list[Imported]:
        files = [file for path in paths for file in files_in(path)]
        async with _opened(ctx.obj, store, make=True) as opened:
            with importing(len(files), shown=not as_json) as tell:
                return [await import_file(opened, file, venue=venue, tell=tell) for file in files]

    done = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([import_document(each) for each in done], indent=2))
    else:
        show_imports(output(), done)


@data.command()
def fetch(
    ctx: HomeContext,
    venue: Annotated[str, typer.Option(metavar="NAME", help="binance, kraken, okx, … by ccxt's name.")],
    symbols: Annotated[str, typer.Option(help="Such as BTC/USDT,ETH/USDT.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="ISO date or time, UTC.")],
    timeframe: Annotated[str, typer.Option(help="Length of a bar: 15m, 1h, 1d.")] = "1h",
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Default: now.")] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Another host that speaks the venue's API.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Ask a venue for the bars that are missing. Each page is kept at once, so that a stopped fetch goes on when repeated."""
    from api.commands.settings import instant
    from api.console.data import fetch_document, fetching, show_fetched
    from api.console.screen import output
    from data_channels.market.live import LiveFeed
    from data_channels.store.base import BarKey
    from data_channels.store.fetcher import fetch_bars
    from trading_core.domain.clock import SystemClock
    from trading_core.domain.market import Timeframe

    async def work() -> list[Fetching]:
        clock, length = SystemClock(), Timeframe(timeframe)
        until = min(instant(end, "--to") or clock.now(), clock.now())
        since = instant(start, "--from") or until
        wanted = [symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()]
        feed = LiveFeed(venue, wanted, clock=clock, base_url=url)
        try:
            await feed.instruments()  # a symbol the venue does not have is told before anything is kept of the others
            async with _opened(ctx.obj, store, make=True) as opened:
                with fetching(shown=not as_json) as tell:
                    return [
                        await fetch_bars(opened, feed, BarKey(venue, symbol, length), start=since, end=until, tell=tell)
                        for symbol in dict.fromkeys(wanted)
                    ]
        finally:
            await feed.close()

    done = asyncio.run(work())
    if as_json:
        typer.echo(json.dumps([fetch_document(each) for each in done], indent=2))
    else:
        show_fetched(output(), done)


@data.command("list")
def list_series(ctx: HomeContext, store: Store = None, as_json: AsJson = False) -> None:
    """List what is kept: each series of bars and of readings, from when to when."""
    from api.console.data import list_document, show_list
    from api.console.screen import output

    async def work() -> None:
        async with _opened(ctx.obj, store) as opened:
            bars, readings, size = await opened.bar_spans(), await opened.reading_spans(), await opened.size()
        if as_json:
            typer.echo(json.dumps(list_document(opened.name, bars, readings, size), indent=2))
        else:
            show_list(output(), opened.name, bars, readings, size)

    asyncio.run(work())


@data.command()
def check(
    ctx: HomeContext,
    venue: Venue = None,
    symbol: Symbol = None,
    timeframe: Length = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Look at every bar: do they agree with themselves, and what is missing. Exit status 1 for bars that cannot be."""
    from api.console.data import check_document, show_checks
    from api.console.screen import output

    found = asyncio.run(_checked(ctx.obj, store, venue, symbol, timeframe))
    if as_json:
        typer.echo(json.dumps([check_document(each) for each in found], indent=2))
    else:
        show_checks(output(), found)
    if any(each.damaged for each in found):
        raise typer.Exit(FAILED)


@data.command()
def gaps(
    ctx: HomeContext,
    venue: Venue = None,
    symbol: Symbol = None,
    timeframe: Length = None,
    longest: Annotated[
        int | None, typer.Option("--longest", metavar="N", min=1, help="Only the N longest of each series.")
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List the bars that are missing, run by run. Venues have outages: a gap that `fetch` does not fill is one of theirs."""
    from api.console.data import gap_document, show_gaps
    from api.console.screen import output

    async def work() -> None:
        async with _opened(ctx.obj, store) as opened:
            chosen = _chosen(await opened.bar_spans(), venue, symbol, timeframe)
            found = {span.key: await opened.gaps(span.key) for span in chosen}
        if longest is not None:
            by_length = {key: sorted(each, key=lambda gap: -gap.missing)[:longest] for key, each in found.items()}
            found = {key: tuple(sorted(each, key=lambda gap: gap.start)) for key, each in by_length.items()}
        if as_json:
            typer.echo(json.dumps([gap_document(key, gap) for key, each in found.items() for gap in each], indent=2))
        else:
            show_gaps(output(), found)

    asyncio.run(work())


@data.command()
def prune(
    ctx: HomeContext,
    raw: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=1, max=MOST_DAYS, envvar=KEEP_VARIABLES["raw"], help="Every reading is kept for so long."
        ),
    ] = 30,
    hourly: Annotated[
        int,
        typer.Option(
            metavar="DAYS", min=1, max=MOST_DAYS, envvar=KEEP_VARIABLES["hourly"], help="Then one an hour, then one a day."
        ),
    ] = 365,
    readings: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", min=1, max=MOST_DAYS, envvar=KEEP_VARIABLES["readings"], help="Then none. Default: for ever."
        ),
    ] = None,
    bars: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=1, max=MOST_DAYS, envvar=KEEP_VARIABLES["bars"], help="Of bars. Default: for ever."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Sum up old readings and remove what is older than it is kept for. What is removed is gone."""
    from data_channels.store.retention import Pruned, Retention
    from trading_core.domain.clock import SystemClock

    retention = Retention.in_days(raw, hourly, readings, bars)
    question = f"Readings older than {raw} days are summed up" + "".join(
        f", {what} older than {days} days are removed"
        for what, days in (("readings", readings), ("bars", bars))
        if days is not None
    )
    if not yes and not typer.confirm(f"{question}. Go on?", err=True):
        raise typer.Exit(FAILED)

    async def work() -> tuple[Pruned, int, int]:
        async with _opened(ctx.obj, store) as opened:
            before = await opened.size()
            return await opened.prune(retention, now=SystemClock().now()), before, await opened.size()

    done, before, after = asyncio.run(work())
    if as_json:
        told = {"rows_folded": done.folded, "readings_removed": done.readings, "bars_removed": done.bars}
        typer.echo(json.dumps(told | {"bytes_before": before, "bytes_after": after}, indent=2))
        return
    from api.console.data import size_text

    typer.echo(f"summed up: {done.folded:,} rows fewer; removed: {done.readings:,} readings and {done.bars:,} bars")
    typer.echo(f"it takes {size_text(after)}, and took {size_text(before)}")


async def _checked(home: Path, store: str | None, venue: str | None, symbol: str | None, timeframe: str | None) -> list[BarCheck]:
    from data_channels.store.check import check_bars
    from trading_core.domain.clock import SystemClock

    async with _opened(home, store) as opened:
        now = SystemClock().now()
        return [await check_bars(opened, span, now=now) for span in _chosen(await opened.bar_spans(), venue, symbol, timeframe)]


def _chosen(spans: Iterable[Span[BarKey]], venue: str | None, symbol: str | None, timeframe: str | None) -> list[Span[BarKey]]:
    from trading_core.domain.errors import ConfigurationError

    spans = list(spans)
    asked = (venue, symbol and symbol.upper(), timeframe)
    chosen = [
        span
        for span in spans
        if all(
            want in (None, has)
            for want, has in zip(asked, (span.key.venue, span.key.symbol, span.key.timeframe.code), strict=True)
        )
    ]
    if not chosen:
        raise ConfigurationError(
            "no such bars are kept" if spans else "no bars are kept yet",
            not_done="Nothing was looked at",
            next_step="`data list` shows what there is" if spans else "`data import` or `data fetch` brings some",
        )
    return chosen


@asynccontextmanager
async def _opened(home: Path, location: str | None, *, make: bool = False) -> AsyncIterator[SqlStore]:
    """The store. A file that is not there is made only where something goes into it."""
    from data_channels.store.open import open_store
    from trading_core.domain.errors import ConfigurationError

    where = location or str(home / _FILE)
    if not make and "://" not in where and not await asyncio.to_thread(Path(where).is_file):
        raise ConfigurationError(
            f"there are no time series in {where!r}",
            not_done="Nothing was looked at",
            next_step="`data import` or `data fetch` brings some, and --store names another place",
        )
    async with await open_store(where) as store:
        yield store
