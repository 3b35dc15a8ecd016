"""From what stands on the command line to a run of a suite: where results lie, which model is judged, what it may spend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.models.spec import HOSTED_URL, parse
from api.commands.settings import api_key, model_settings
from api.spending import budget_of, require_budget
from evals.results import ANSWERS, Header, Results, new_header
from evals.schema import Scenario
from evals.suites import load_suite
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from evals.estimate import Estimate
    from evals.runner import Candidate, Ended, Progress

FOLDER = "evals"
LAST = "last"


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of `eval`, as they were typed; None for one that was not given."""

    suite: str
    model: str
    base_url: str | None
    repeats: int
    budget: str | None
    budget_tokens: int | None
    max_tokens: int
    prices: Path | None
    prompts: Path | None
    recorded: str | None
    resume: str | None
    data: Path | None
    jobs: int


def run_folder(home: Path, name: str) -> Path:
    """The folder of a run, by its id, the beginning of one, `last`, or a path.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    if Path(name).is_dir():
        return Path(name)
    runs = sorted(path for path in (home / FOLDER).glob("*") if path.is_dir())
    found = runs[-1:] if name == LAST else [path for path in runs if path.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    known = f"There are {', '.join(path.name for path in runs[-5:])}" if runs else "Begin one with `algotrendy eval`"
    raise ConfigurationError(
        f"{'several runs begin with' if found else 'there is no run'} {name!r}", not_done="Nothing was run", next_step=known
    )


def prepare(home: Path, choices: Choices) -> tuple[Results, list[Scenario]]:
    """The run that is to be gone on with, or a new one, and its scenarios.

    Raises:
        ConfigurationError: something on the command line cannot be used. No folder was made.
    """
    budget_of(choices.budget, choices.budget_tokens)
    if choices.resume is not None:
        results = Results.open(run_folder(home, choices.resume))
        return results, load_suite(results.header.suite)
    scenarios, replays, prompts = load_suite(choices.suite), "", choices.prompts
    if choices.recorded is not None:
        kept = Results.open(run_folder(home, choices.recorded))
        source, replays = kept.header, str(kept.folder.resolve())
        model, endpoint, most_output = source.model, source.endpoint, source.most_output
        if prompts is None and source.prompts_from:  # other prompts would be other questions, and nothing of it recorded
            prompts = Path(source.prompts_from)
    else:
        settings = model_settings(choices.model, choices.base_url)
        model, endpoint, most_output = settings.model, settings.base_url or "", choices.max_tokens
    suite = str(Path(choices.suite).resolve()) if Path(choices.suite).exists() else choices.suite
    header = new_header(
        suite,
        scenarios,
        model=model,
        endpoint=endpoint,
        repeats=choices.repeats,
        most_output=most_output,
        replays=replays,
        prompts_from=prompts,
        now=SystemClock().now(),
    )
    return Results.create(home / FOLDER / header.id, header), scenarios


async def evaluate(
    home: Path,
    results: Results,
    scenarios: list[Scenario],
    choices: Choices,
    *,
    tell: Callable[[Progress], None],
    tell_estimate: Callable[[Estimate], None],
) -> Ended:
    """Run what is left.

    Raises:
        ConfigurationError: the run cannot be gone on with, or calls that are paid for have no budget. Nothing was asked.
    """
    from evals.runner import begun  # what it takes to open a desk takes seconds to import

    budget = budget_of(choices.budget, choices.budget_tokens)
    async with AsyncExitStack() as stack:
        candidate = await _candidate(results.header, choices, stack)
        run = await stack.enter_async_context(
            begun(
                results,
                scenarios,
                candidate,
                budget=budget,
                data=choices.data,
                side_by_side=choices.jobs,
                tell=tell,
            )
        )
        await run.compare_with_rules()
        if candidate.model is not None:
            found = run.estimated()
            tell_estimate(found)
            endpoint = results.header.endpoint or HOSTED_URL
            require_budget(candidate.label, endpoint, candidate.price, budget, found, go_on=", and --resume for this run")
        return await run.run()


async def _candidate(header: Header, choices: Choices, stack: AsyncExitStack) -> Candidate:
    """The model that the header names."""
    from agents.models import openai_compatible
    from evals.prices import FREE, load_prices, price_of
    from evals.prompts import load_prompts
    from evals.runner import Candidate

    told = load_prompts(Path(header.prompts_from) if header.prompts_from else None)
    if header.model == "rules":
        return Candidate(prompts=told)
    if header.replays:
        return Candidate(header.model, None, FREE, header.most_output, replay=Path(header.replays) / ANSWERS, prompts=told)
    prices = load_prices(choices.prices)
    endpoint = header.endpoint or None
    settings = parse(
        {
            "model": header.model,
            "base_url": endpoint,
            "api_key": api_key(endpoint),
            "max_tokens": header.most_output,
            "max_retries": 0,  # every attempt is paid for, so every attempt is counted
        }
    )
    pool = await stack.enter_async_context(openai_compatible.http_pool())
    model = openai_compatible.build(settings, pool)
    return Candidate(header.model, model, price_of(settings, prices), header.most_output, prompts=told)
