"""`eval`: how good the desk's decisions are under a model, scenario by scenario."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.run import INTERRUPTED, AsJson, Quiet
from api.home import HomeContext, program

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.gate import GateVerdict
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
    results, scenarios = evaluation.prepare(ctx.obj, choices)
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
                    tell_estimate=console.silent if silent else console.show_estimate,
                )
            )
    except KeyboardInterrupt:
        typer.echo(f"Stopped. `{call}` goes on.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    found = console.summed_up(results, ended)
    compared = _compared(ctx.obj, results, against)
    verdict = _judged(results, thresholds, compared) if gate or thresholds or against else None
    from evals.report.files import write_reports

    write_reports(results, html=html, json=json_report, junit=junit, verdict=verdict, comparison=compared)
    if as_json:
        typer.echo(console.as_json(found, verdict))
    else:
        console.show(found, verdict, quiet=quiet)
    if ended.left:
        typer.echo(f"{ended.left} of {ended.done + ended.left} are left. `{call}` goes on.", err=True)
    if ended.left or (verdict is not None and not verdict.passed):
        raise typer.Exit(_NOT_PASSED)


def _compared(home: Path, results: Results, against: str | None) -> Comparison | None:
    from api.evaluation import run_folder
    from evals.compare import compare
    from evals.results import Results

    return None if against is None else compare(Results.open(run_folder(home, against)), results)


def _judged(results: Results, thresholds: Path | None, compared: Comparison | None) -> GateVerdict:
    from evals.gate import judge, load_thresholds

    return judge(results, load_thresholds(thresholds), compared)
