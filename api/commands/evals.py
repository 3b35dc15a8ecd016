"""`eval`: how good the desk's decisions are under a model, scenario by scenario."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.options import INTERRUPTED, AsJson, Quiet
from api.home import HomeContext, program

if TYPE_CHECKING:
    from evals.results import Results

DATA_VARIABLE = "ALGOTRENDY_DATA"
_NOT_PASSED = 1  # something is left, or the gate does not pass


def evaluate(
    ctx: HomeContext,
    suite: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="all, a category, a tag, an id, or a file or folder of scenarios.")
    ] = "all",
    model: Annotated[
        str,
        typer.Option(
            help="rules (embedded, no LLM) or openai:NAME; key from OPENAI_API_KEY, or ALGOTRENDY_API_KEY with --base-url."
        ),
    ] = "rules",
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, up to /v1.")] = None,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="How often each scenario is decided.")] = 1,
    budget: Annotated[
        str | None, typer.Option(metavar="USD", help="Most that all calls may cost together; needed where they are paid for.")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(min=0, metavar="N", help="The same in tokens, in and out.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Of one answer, at most.")] = 2000,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML of US dollars per million tokens.")] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Other prompts: signal.md, shared.md, chat_risk.md and so on; --resume keeps them."),
    ] = None,
    recorded: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="Replay the answers of this run; its model is not called.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this run, or with the `last`.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", envvar=DATA_VARIABLE, help="Recorded bars; without them some scenarios are skipped."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Scenarios side by side.")] = 4,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit status 1, and the reasons, when the thresholds are not met.")
    ] = False,
    thresholds: Annotated[Path | None, typer.Option(metavar="FILE", help="Of the gate; the desk's own without.")] = None,
    against: Annotated[
        str | None, typer.Option(metavar="ID|FOLDER", help="An earlier run, which the gate compares with this one.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report to look at, whole in one file.")] = None,
    json_report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the same as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for a build server.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Judge a model's decisions. Exit status 0 when all was run, 1 when something is left or the gate does not pass."""
    from api import evaluation
    from api.console import evals as console
    from evals.compare import compare
    from evals.gate import judge, load_thresholds
    from evals.report.files import write_reports
    from evals.results import Results

    choices = evaluation.Choices(
        suite=suite,
        model=model,
        base_url=base_url,
        repeats=repeats,
        budget=budget,
        budget_tokens=budget_tokens,
        max_tokens=max_tokens,
        prices=prices,
        prompts=prompts,
        recorded=recorded,
        resume=resume,
        data=data,
        jobs=jobs,
    )
    # What it is to be judged by is looked up before anything is run, and paid for; `last` is then the run before this one.
    bounds = load_thresholds(thresholds) if gate or thresholds or against else None
    before = None if against is None else Results.open(evaluation.run_folder(ctx.obj, against))
    results, scenarios = evaluation.prepare(ctx.obj, choices)
    if before is not None:
        _check_other(before, results)
    call = f"{program(ctx.obj)} eval --resume {results.header.id}"
    silent = quiet or as_json
    try:
        with console.progress(shown=not silent) as tell:
            ended = asyncio.run(
                evaluation.evaluate(
                    ctx.obj,
                    results,
                    scenarios,
                    choices,
                    tell=tell,
                    tell_estimate=console.silent if silent else partial(console.show_estimate, listed=prices is None),
                )
            )
    except KeyboardInterrupt:
        typer.echo(f"Stopped. `{call}` goes on.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    found = console.summed_up(results, ended)
    compared = None if before is None else compare(before, results)
    verdict = None if bounds is None else judge(results, bounds, compared)
    write_reports(results, html=html, json=json_report, junit=junit, verdict=verdict, comparison=compared)
    if as_json:
        typer.echo(console.as_json(found, verdict, compared))
    else:
        console.show(found, verdict, compared, quiet=quiet)
    if ended.left:
        typer.echo(f"{ended.left} of {ended.done + ended.left} are left. `{call}` goes on.", err=True)
    if ended.left or (verdict is not None and not verdict.passed):
        raise typer.Exit(_NOT_PASSED)


def _check_other(before: Results, results: Results) -> None:
    """Raises ConfigurationError when a run would be compared with itself, which nothing could fail."""
    from trading_core.domain.errors import ConfigurationError

    if before.header.id == results.header.id:
        raise ConfigurationError(
            f"--against is the run {before.header.id} itself", not_done="Nothing was run", next_step="Give an earlier run"
        )
