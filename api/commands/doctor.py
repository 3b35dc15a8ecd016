"""`doctor`: whether this installation can do its work, and what to do where it cannot."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from api.commands.settings import SHOWN_SYMBOLS, model_settings
from api.home import HomeContext
from trading_core.domain.errors import AlgoTrendyError

LEAST_PYTHON = (3, 11)
DEPENDENCIES = (
    "aiosqlite", "alembic", "ccxt", "langchain", "langchain_openai", "langgraph", "langgraph.checkpoint.sqlite",
    "numpy", "pyarrow", "pydantic", "rich", "sqlalchemy", "typer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` says what to do about a failure."""

    name: str
    passed: bool
    told: str
    advice: str = ""


def doctor(
    ctx: HomeContext,
    data: Annotated[Path | None, typer.Option(metavar="PATH", help="Also check a folder or file of bars.")] = None,
    timeframe: Annotated[str, typer.Option(help="Of the bars in --data.")] = "1h",
    model: Annotated[str, typer.Option(help="Also check a model.")] = "rules",
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Its endpoint, up to /v1.")] = None,
    venue: Annotated[str | None, typer.Option(help="Also check that a venue can be reached.")] = None,
) -> None:
    """Check the installation. Nothing goes over the network unless --model, --base-url or --venue asks for it."""
    from rich.text import Text

    from api.console.screen import output

    checks: list[Callable[[], Iterator[Finding]]] = [_python, _dependencies, lambda: _home(ctx.obj), lambda: _databases(ctx.obj)]
    checks.append(lambda: _model(model, base_url))
    if data is not None:
        checks.append(lambda: _data(data, timeframe))
    if venue is not None:
        checks.append(lambda: _venue(venue))
    console, failed = output(), False
    for check in checks:
        for finding in _caught(check):
            failed |= not finding.passed
            mark = Text("✓ ", "green") if finding.passed else Text("✗ ", "bold red")
            console.print(Text.assemble(mark, (f"{finding.name}  ", "bold"), finding.told))
            if finding.advice:
                console.print(Text(f"    {finding.advice}", style="yellow"))
    if failed:
        raise typer.Exit(1)


def _caught(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except AlgoTrendyError as error:
        yield Finding("failed", False, error.what, error.next_step)


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    least = ".".join(map(str, LEAST_PYTHON))
    fits = sys.version_info >= LEAST_PYTHON
    yield Finding("python", fits, found, "" if fits else f"Install Python {least} or newer")


def _dependencies() -> Iterator[Finding]:
    missing = []
    for name in DEPENDENCIES:
        try:
            import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    told = f"missing: {', '.join(missing)}" if missing else f"all {len(DEPENDENCIES)} import"
    yield Finding("dependencies", not missing, told, "Run `make setup`" if missing else "")


def _home(home: Path) -> Iterator[Finding]:
    """Writes nothing that stays, and makes no folder."""
    nearest = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        yield Finding("home", False, f"{home} cannot be written to: {error.strerror}", "Choose another with --home")
        return
    yield Finding("home", True, f"{home} " + ("is writable" if nearest == home else "will be made by the first run"))


def _databases(home: Path) -> Iterator[Finding]:
    from graph.folders import Folders
    from trading_core.persistence.session import Database

    async def open_each() -> list[str]:
        broken = []
        for path in paths:
            try:
                await (await Database.open(path)).close()
            except AlgoTrendyError as error:
                broken.append(f"{path}: {error.what}")
        return broken

    answers = home / "answers.db"
    paths = [*([answers] if answers.exists() else []), *(folders.ledger for folders in Folders.all_in(home))]
    broken = asyncio.run(open_each())
    for told in broken:
        yield Finding("database", False, told, "Restore it from a backup, or remove its folder if it is a simulation")
    if not broken:
        told = f"{len(paths)} open, at the current migration" if paths else "none yet"
        yield Finding("databases", True, told)


def _model(model: str, base_url: str | None) -> Iterator[Finding]:
    from api.endpoint import check_endpoint

    settings = model_settings(model, base_url)
    if settings.provider == "rules":
        yield Finding("model", True, "rules (embedded, no LLM, no network)")
        return
    key = "with a key" if settings.api_key else "without a key"
    names = check_endpoint(settings)
    yield Finding("model endpoint", True, f"{settings.endpoint} answers ({key})")
    if names is not None and settings.name not in names:
        offered = ", ".join(names[:5]) or "none"
        yield Finding("model", True, f"{settings.name!r} is not in its list", f"It lists {offered}")


def _data(data: Path, timeframe: str) -> Iterator[Finding]:
    from data_channels.market.history import HistoryFeed
    from trading_core.domain.clock import iso
    from trading_core.domain.market import Timeframe

    feed = HistoryFeed.load(data, timeframe=Timeframe(timeframe))
    spans = {symbol: feed.span(symbol) for symbol in asyncio.run(feed.instruments())}
    for symbol, (first, last) in sorted(spans.items()):
        yield Finding("data", True, f"{symbol} {timeframe} from {iso(first)} to {iso(last)}")


def _venue(venue: str) -> Iterator[Finding]:
    from data_channels.market.live import LiveFeed
    from trading_core.domain.clock import SystemClock

    async def price() -> str:
        clock = SystemClock()
        feed = LiveFeed(venue, SHOWN_SYMBOLS[:1], clock=clock)
        try:
            ticker = await feed.ticker(SHOWN_SYMBOLS[0], as_of=clock.now())
            return f"{venue} answers: {ticker.symbol} {ticker.last}"
        finally:
            await feed.close()

    yield Finding("venue", True, asyncio.run(price()))
