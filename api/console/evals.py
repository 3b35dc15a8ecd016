"""What `eval` shows: how far it is, what it will cost, and what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.console.comparison import show_comparison
from api.console.screen import errors, output, table
from api.console.text import clean
from evals import runner
from evals.compare import Comparison
from evals.estimate import Estimate
from evals.gate import GateVerdict
from evals.meter import Spent
from evals.prices import LISTED, Price
from evals.report.machine import compared as without_answers
from evals.results import Header, Results
from evals.schema import Category
from evals.scorers.bootstrap import Mean
from evals.scorers.reading import Act
from evals.scorers.suite import Judgement, Suite, summarise

_STAGES = {"rules": "rules, for comparison", "model": "scenarios"}
_MOST_FAILURES = 20  # shown to people; --json has them all


@dataclass(frozen=True, slots=True)
class Failure:
    """A scorer that one repeat of a scenario did not pass."""

    scenario: str
    repeat: int
    scorer: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summed:
    """A run in numbers.

    Attributes:
        judged: repeats with a score, by category.
        skipped: scenarios that could not be run, and why.
    """

    header: Header
    ended: runner.Ended
    suite: Suite
    judged: Mapping[Category, int]
    failures: tuple[Failure, ...]
    skipped: Mapping[str, str]
    folder: str


def summed_up(results: Results, ended: runner.Ended) -> Summed:
    """Read a run once, and keep what is shown of it."""
    judgements, failures, skipped, judged = list[Judgement](), list[Failure](), dict[str, str](), Counter[Category]()
    for result in results:
        if result.trajectory is None:
            skipped[result.scenario] = result.skipped
            continue
        judgements.append(Judgement.of(result.trajectory, result.scores))
        judged[result.trajectory.scenario.category] += 1
        failures += [
            Failure(result.scenario, result.repeat, score.scorer, score.reasons)
            for score in result.scores
            if score.passed is False
        ]
    counts = {category: judged[category] for category in sorted(judged)}
    return Summed(results.header, ended, summarise(judgements), counts, tuple(failures), skipped, str(results.folder))


@contextmanager
def progress(*, shown: bool) -> Iterator[Callable[[runner.Progress], None]]:
    """A bar on a terminal's standard error, and nothing elsewhere."""
    console = errors()
    if not shown or not console.is_terminal:
        yield runner.ignore
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[spent]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        tasks = {stage: bar.add_task(text, total=None, visible=False, spent="") for stage, text in _STAGES.items()}

        def tell(now: runner.Progress) -> None:
            bar.update(tasks[now.stage], completed=now.done, total=now.total, visible=True, spent=spent(now.spent))

        yield tell


def silent(_: Estimate) -> None:
    """Nobody wants to know."""


def show_estimate(found: Estimate, *, listed: bool, unit: str = "repeat") -> None:
    """What is left to pay for, on standard error.

    Args:
        listed: the price is from the table that comes with the desk.
        unit: what is decided one after another.
    """
    if not found.repeats:
        return
    told, price = errors(), found.price
    told.print(
        f"About {found.expected.calls:,} calls for {found.repeats} {unit}{'' if found.repeats == 1 else 's'}: "
        f"{spent(found.expected)}; each call is paid for in advance at its most, {spent(found.most)} in all."
    )
    if price is not None and not price.is_free:
        source = f", as listed in {LISTED}: --prices FILE gives today's" if listed else ""
        told.print(f"Counted at ${price.input} in and ${price.output} out a million tokens{source}.")


def spent(amount: Spent) -> str:
    """Tokens, and dollars where they are known."""
    if not amount.calls:
        return "nothing spent"
    dollars = "price unknown" if amount.dollars is None else f"${amount.dollars:,.4f}"
    return f"{amount.input_tokens:,} + {amount.output_tokens:,} tokens, {dollars}"


def show(found: Summed, verdict: GateVerdict | None, compared: Comparison | None, *, quiet: bool) -> None:
    """For people: scores by category and scorer, the distribution of actions, what failed, what changed, and the gate."""
    console, header = output(), found.header
    console.print(f"{header.model} on {clean(header.suite)}: {found.ended.done} repeats of {len(header.scenarios)} scenarios")
    if not quiet:
        judges = [summary for summary in found.suite.summaries if summary.passed is not None]
        scores = table(
            "Judged: share that is right, 0 to 1", "category", "runs", *(one.scorer for one in judges), right=("runs",)
        )
        scores.columns[0].no_wrap = True
        for category, count in found.judged.items():
            scores.add_row(category, str(count), *(_value(one.by_category.get(category)) for one in judges))
        scores.add_row("all", str(sum(found.judged.values())), *(_value(one.value) for one in judges), style="bold")
        scores.add_row("passed", "", *("–" if one.passed is None else f"{one.passed.value:.0%}" for one in judges))
        scores.add_row("of", "", *("–" if one.passed is None else str(one.passed.count) for one in judges))
        console.print(scores)
        measures = table(
            "Measured: mean and 95 % interval over scenarios", "measure", "mean", "low", "high", "of", right=("mean", "of")
        )
        for one in found.suite.summaries:
            if one.passed is None and one.value is not None:
                mean = one.value
                measures.add_row(one.scorer, *(f"{number:,.4g}" for number in (mean.value, mean.low, mean.high)), str(mean.count))
        console.print(measures)
    if found.suite.distribution.said:  # an answer to an operator is none
        console.print(f"Actions said: {_actions(found.suite.distribution.said)}")
        console.print(f"Actions done: {_actions(found.suite.distribution.did)}")
    if found.suite.distribution.one_sided is not None:
        console.print(
            f"Nearly every word is {found.suite.distribution.one_sided.value}: this model hardly decides.", style="yellow"
        )
    if found.suite.agreement is not None:
        console.print(f"Agreement over repeats: {_value(found.suite.agreement.observed)}")
    if found.skipped:
        console.print(f"Skipped: {len(found.skipped)}, the first because {clean(next(iter(found.skipped.values())))}")
    if not quiet:
        _show_failures(found.failures)
    if compared is not None:
        show_comparison(console, compared, quiet=quiet)
    console.print(f"Spent: {spent(found.ended.spent)}. Results: {found.folder}")
    if verdict is not None:
        console.print("Gate: passed" if verdict.passed else "Gate: not passed", style="green" if verdict.passed else "red")
        for reason in verdict.reasons:
            console.print(f"  {clean(reason)}")


def as_json(found: Summed, verdict: GateVerdict | None, compared: Comparison | None) -> str:
    """The same as one JSON document, with every failure."""
    suite, ended = found.suite, found.ended
    content: dict[str, Any] = {
        "id": found.header.id,
        "folder": found.folder,
        "suite": found.header.suite,
        "model": found.header.model,
        "repeats": found.header.repeats,
        "scenarios": len(found.header.scenarios),
        "done": ended.done,
        "skipped": dict(found.skipped),
        "left": ended.left,
        "spent": spent_document(ended.spent),
        "price": price_document(ended.price),
        "scorers": {
            one.scorer: {
                "value": _told(one.value),
                "passed": _told(one.passed),
                "by_category": {category.value: _told(mean) for category, mean in one.by_category.items()},
            }
            for one in suite.summaries
        },
        "actions": {
            "said": _counts(suite.distribution.said),
            "did": _counts(suite.distribution.did),
            "by_category": {name.value: _counts(acts) for name, acts in suite.distribution.by_category.items()},
        },
        "agreement": None if suite.agreement is None else asdict(suite.agreement),
        "calibration": None if suite.calibration is None else asdict(suite.calibration),
        "failures": [asdict(failure) for failure in found.failures],
        "comparison": None if compared is None else without_answers(compared),
        "gate": None if verdict is None else {"passed": verdict.passed, "reasons": list(verdict.reasons)},
    }
    return json.dumps(content, indent=2)


def spent_document(amount: Spent) -> dict[str, int | str | None]:
    """As JSON holds it."""
    return {**asdict(amount), "dollars": None if amount.dollars is None else str(amount.dollars)}


def price_document(price: Price | None) -> dict[str, str] | None:
    """US dollars per million tokens, as JSON holds them."""
    return None if price is None else {"input": str(price.input), "output": str(price.output)}


def _show_failures(failures: tuple[Failure, ...]) -> None:
    if not failures:
        return
    listed = table(f"Not passed: {len(failures)}", "scenario", "scorer", "why")
    for one in failures[:_MOST_FAILURES]:
        listed.add_row(f"{one.scenario} #{one.repeat + 1}", one.scorer, clean(one.reasons[0]) if one.reasons else "")
    output().print(listed)
    if len(failures) > _MOST_FAILURES:
        output().print(f"… and {len(failures) - _MOST_FAILURES} more; --json lists them all")


def _value(mean: Mean | None) -> str:
    return "–" if mean is None else f"{mean.value:.3f}"


def _actions(counts: Mapping[Act, int]) -> str:
    total = sum(counts.values())
    return ", ".join(
        f"{act.value} {count} ({count / total:.0%})" for act, count in sorted(counts.items(), key=lambda one: -one[1])
    )


def _counts(counts: Mapping[Act, int]) -> dict[str, int]:
    return {act.value: count for act, count in sorted(counts.items())}


def _told(mean: Mean | None) -> dict[str, float | int] | None:
    return None if mean is None else asdict(mean)
