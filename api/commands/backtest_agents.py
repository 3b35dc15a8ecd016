"""`backtest-agents`: the whole desk over a window of the past, with a report, and with the proof that nobody looked ahead."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.evals import DATA_VARIABLE
from api.commands.options import DONE, FAILED, AsJson, Limit, Limits, Quiet
from api.commands.settings import RunChoices, session_config
from api.home import HomeContext

if TYPE_CHECKING:
    from evals.backtest import Backtest
    from graph.config import SessionConfig


def backtest_agents(
    ctx: HomeContext,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", envvar=DATA_VARIABLE, help="Folder or file of bars, such as BTCUSDT_1h.csv. Needed."),
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT. Default: all that the data holds.")] = None,
    timeframe: Annotated[str, typer.Option(help="Length of a bar: 15m, 1h, 1d.")] = "1h",
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First cycle: ISO date or time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last cycle.")] = None,
    account: Annotated[str, typer.Option(metavar="AMOUNT", help="What the paper account opens with.")] = "100000",
    model: Annotated[str, typer.Option(help="rules (embedded, no LLM) or openai:NAME; its answers are kept.")] = "rules",
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")] = None,
    limits: Limits = None,
    limit: Limit = None,
    rebalance_every: Annotated[int, typer.Option(metavar="N", help="Ask for rebalancing every N cycles; 0: on drift only.")] = 0,
    checks: Annotated[
        int, typer.Option(min=0, max=20, metavar="N", help="Instants at which the future is replaced, to see if anybody looked.")
    ] = 1,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the HTML report goes; a .json beside it. Default: the home folder.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Trade a window of the past with the whole desk. Exit status 1 when a cycle failed, or a decision looked ahead."""
    from evals.report.backtest import write_backtest_html, write_backtest_json

    choices = RunChoices(
        market="history",
        data=data,
        venue=None,
        symbols=symbols,
        timeframe=timeframe,
        start=start,
        end=end,
        cycles=None,
        seed=None,
        account=account,
        model=model,
        base_url=base_url,
        limits=limits,
        overrides=limit or [],
        rebalance_every=rebalance_every,
    )
    config, _ = session_config(choices)
    home = ctx.obj / "backtests"
    found = asyncio.run(_work(config, home, checks, quiet=quiet or as_json))
    path = report or home / f"{config.session_id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_backtest_html(found, path)
    write_backtest_json(found, path.with_suffix(".json"))
    if as_json:
        typer.echo(json.dumps({"html": str(path), **json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))}))
    else:
        _show(found, path)
    raise typer.Exit(FAILED if found.failed or found.looks_ahead or not found.report.balances_agree else DONE)


async def _work(config: SessionConfig, home: Path, checks: int, *, quiet: bool) -> Backtest:
    from api.console.screen import output
    from api.console.watch import Watch
    from api.endpoint import check_endpoint
    from evals.backtest import backtest
    from evals.prices import load_prices, price_of
    from graph.events import ignore

    if config.model.provider == "openai":
        check_endpoint(config.model)
    price = price_of(config.model, load_prices())
    with nullcontext(ignore) if quiet else Watch(output(), config.symbols, cycles=None) as listener:
        return await backtest(config, home, price=price, checks=checks, listener=listener)


def _show(found: Backtest, path: Path) -> None:
    from rich.text import Text

    from api.console.screen import output
    from api.console.summary import show_summary
    from api.console.text import when

    console = output()
    show_summary(console, found.report, [trail for trail in found.trails if trail.orders])
    for check in found.checks:
        told = f"Look-ahead: everything after {when(check.after)} was replaced; of {check.runs} cycles before it "
        changed = len({line.partition(": ")[0] for line in check.differences})
        console.print(Text(f"{told}{changed or 'none'} changed.", style="bold red" if changed else "green"))
    for result in found.failed:
        console.print(Text(f"{result.run_id} failed: {result.error}", style="red"))
    console.print(f"Report: {path}")
