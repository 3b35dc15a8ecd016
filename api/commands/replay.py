"""`replay`: recorded runs decided again under another model, other prompts or other limits. The ledger is only read."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import FAILED, AsJson, Limit, Limits
from api.commands.settings import instant
from api.home import HomeContext, Ledger

if TYPE_CHECKING:
    from api.replaying import Ended


def replay(
    ctx: HomeContext,
    run_id: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Id of a run, the beginning of one, or `last`; or give --since.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Every run from then on of the session whose run decided last.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Another model: rules or openai:NAME. Default: the session's own.")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="Most that all calls may cost together; needed where they are paid for.")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=0, metavar="N", help="The same in tokens, in and out.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of one answer, at most. Default: the session's, else 2000.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML of US dollars per million tokens.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Other prompts: signal.md, risk.md, shared.md and so on.")
    ] = None,
    limits: Limits = None,
    limit: Limit = None,
    horizon: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Tell what followed over so many bars.")] = 24,
    database: Ledger = None,
    as_json: AsJson = False,
) -> None:
    """Decide recorded runs again from what they knew, and tell what would have been different. Nothing on record is touched.

    Exit status 1 when the budget did not reach all of them.
    """
    from api import replaying
    from api.console import evals as console
    from api.console.replay import show_replay
    from api.console.screen import output
    from trading_core.domain.errors import InvalidInput

    if (run_id is None) is (since is None):
        raise InvalidInput("give either a run or --since", not_done="Nothing was replayed")
    choices = replaying.Choices(
        run_id=run_id,
        since=instant(since, "--since"),
        model=model,
        base_url=base_url,
        budget=budget,
        budget_tokens=budget_tokens,
        max_tokens=max_tokens,
        prices=prices,
        prompts=prompts,
        limits=limits,
        overrides=limit or [],
        horizon=horizon,
    )
    tell = console.silent if as_json else partial(console.show_estimate, listed=prices is None, unit="run")
    ended = asyncio.run(replaying.replay_runs(ctx.obj, database, choices, tell_estimate=tell))
    if as_json:
        typer.echo(json.dumps(_document(ended), indent=2))
    elif ended.runs or not ended.left:
        show_replay(output(), ended.runs, horizon)
    if ended.spent.calls and not as_json:
        output().print(f"Spent: {console.spent(ended.spent)}.")
    if ended.left:
        total = ended.left + len(ended.runs)
        typer.echo(f"{ended.left} of {total} runs are left. A larger budget goes on; no kept answer is paid for twice.", err=True)
        raise typer.Exit(FAILED)


def _document(ended: Ended) -> dict[str, object]:
    from pydantic import TypeAdapter

    from api.console.evals import price_document, spent_document
    from evals.replay import Replayed

    rows = TypeAdapter(list[Replayed]).dump_python(ended.runs, mode="json")
    return {
        "runs": [{**row, "differs": one.differs} for row, one in zip(rows, ended.runs, strict=True)],
        "left": ended.left,
        "spent": spent_document(ended.spent),
        "price": price_document(ended.price),
    }
