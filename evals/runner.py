"""Running a suite: side by side, kept as it goes, taken up again after a kill, and never beyond its budget."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.language_models import BaseChatModel

from agents.models.rules import RULES_MODEL_NAME, RulesModel
from evals.answers import Answers, Turns
from evals.bars import RecordingMissing
from evals.estimate import Estimate, TallyingModel, estimate, tally
from evals.lock import only_one
from evals.meter import Budget, Meter, Spent, check_priced
from evals.play import play
from evals.prices import FREE, Price
from evals.prompts import OWN, Prompts
from evals.recorded_model import RecordedModel
from evals.results import ANSWERS, RESULTS, RULES, Result, Results, content_hash
from evals.schema import Scenario
from evals.scorers.base import Scorer
from evals.scorers.registry import ALL
from evals.trajectory import Trajectory
from evals.world import empty_ledger
from trading_core.domain.errors import ConfigurationError

SIDE_BY_SIDE = 4
SCRATCH = "scratch"
Task = tuple[Scenario, int]
"""One repeat of a scenario."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model that is judged.

    Attributes:
        model: None for the embedded rules, and where `replay` holds all its answers.
        price: of its tokens; None when it is not known.
        most_output: tokens of one answer, at most; the endpoint must have been told so.
        replay: answers of an earlier run; the model is then not called.
        prompts: what the agents are told; the rules, which it is compared with, are told the desk's own.
    """

    label: str = RULES_MODEL_NAME
    model: BaseChatModel | None = None
    price: Price | None = FREE
    most_output: int = 2000
    replay: Path | None = None
    prompts: Prompts = OWN

    @property
    def is_rules(self) -> bool:
        return self.model is None and self.replay is None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. `stage` is `rules` while the embedded model is run for comparison, then `model`."""

    stage: str
    done: int
    total: int
    spent: Spent
    last: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        done: repeats with a result, those of earlier runs included; `skipped` of them could not be run.
        left: repeats that the budget, or the recording, did not reach.
        price: that the dollars are counted at; None when it is not known.
    """

    done: int
    skipped: int
    left: int
    spent: Spent
    price: Price | None = FREE


def ignore(_: Progress) -> None:
    """Nobody looks."""


class SuiteRun:
    """One run of a suite over a folder of results. Use `begun`."""

    def __init__(
        self,
        results: Results,
        scenarios: Sequence[Scenario],
        candidate: Candidate,
        *,
        answers: Answers | None,
        meter: Meter,
        scratch: Path,
        ledger: Path,
        scorers: Sequence[Scorer],
        data: Path | None,
        side_by_side: int,
        tell: Callable[[Progress], None],
    ) -> None:
        self.results, self.scenarios, self.candidate, self.meter = results, scenarios, candidate, meter
        self._answers, self._scratch, self._ledger, self._data = answers, scratch, ledger, data
        self._scorers, self._side_by_side, self._tell = scorers, side_by_side, tell
        self._tallies: dict[str, Spent] = {}
        self._outcomes: dict[str, float] = {}

    async def compare_with_rules(self) -> None:
        """Run the embedded model over every scenario, once: what others are compared with, and what their cost is told from."""
        if self.candidate.is_rules:
            return
        for result in self.results.rules():
            self._note(result)
        todo = [(scenario, 0) for scenario in self.scenarios if scenario.id not in self._tallies]
        await self._all(todo, RULES, self._rules_in)

    def estimated(self) -> Estimate:
        """What is left to pay for. It is known after `compare_with_rules`."""
        left = Counter(scenario.id for scenario, _ in self._todo())
        return estimate(self._tallies, left, self.candidate.price, self.candidate.most_output)

    async def run(self) -> Ended:
        """Every repeat that has no result yet.

        Raises:
            AlgoTrendyError: a scenario makes no world.
        """
        await self._all(self._todo(), RESULTS, self._candidate_in)
        done = skipped = 0
        for result in self.results:
            done, skipped = done + 1, skipped + bool(result.skipped)
        total = len(self.scenarios) * self.results.header.repeats
        return Ended(done, skipped, total - done, self.meter.spent, self.candidate.price)

    def _todo(self) -> list[Task]:
        """Repeat after repeat: a run that is cut short has seen as many scenarios as it could."""
        done = self.results.done()
        every = ((scenario, repeat) for repeat in range(self.results.header.repeats) for scenario in self.scenarios)
        return [(scenario, repeat) for scenario, repeat in every if (scenario.id, repeat) not in done]

    async def _all(self, todo: Sequence[Task], name: str, one: Callable[[Task, Path], Awaitable[Trajectory | None]]) -> None:
        """Play every task, a few side by side, and keep each result as it comes."""
        stage = "rules" if name == RULES else "model"
        waiting, writer, done = iter(todo), self.results.writer(name), 0

        async def work() -> None:
            nonlocal done
            for task in waiting:
                if self.meter.is_empty:
                    return
                result = await self._result(task, one)
                done += 1
                if result is not None:
                    writer.append(result)
                    if name == RULES:
                        self._note(result)
                self._tell(Progress(stage, done, len(todo), self.meter.spent, task[0].id))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._side_by_side, len(todo))):
                    group.create_task(work())
        except* Exception as errors:
            raise errors.exceptions[0] from None
        finally:
            writer.close()

    async def _result(self, task: Task, one: Callable[[Task, Path], Awaitable[Trajectory | None]]) -> Result | None:
        scenario, repeat = task
        try:
            with TemporaryDirectory(dir=self._scratch) as folder:
                trajectory = await one(task, Path(folder))
        except RecordingMissing as error:
            return Result(scenario.id, scenario.category, repeat, None, skipped=error.what)
        if trajectory is None:
            return None
        scores = tuple(scorer(trajectory) for scorer in self._scorers)
        return Result(scenario.id, scenario.category, repeat, trajectory, scores)

    async def _rules_in(self, task: Task, folder: Path) -> Trajectory:
        model = TallyingModel(inner=RulesModel())
        return await play(task[0], folder, model=model, price=FREE, data=self._data, ledger=self._ledger)

    async def _candidate_in(self, task: Task, folder: Path) -> Trajectory | None:
        """None when an answer was missing: what the desk then did says nothing of the model."""
        (scenario, repeat), candidate = task, self.candidate
        model = None
        if self._answers is not None:
            model = RecordedModel(
                inner=candidate.model or RulesModel(),
                label=candidate.label,
                answers=self._answers,
                meter=self.meter,
                turns=Turns(scenario.id, repeat),
                most_output=candidate.most_output,
                replays=candidate.replay is not None,
            )
        trajectory = await play(
            scenario,
            folder,
            model=model,
            label=candidate.label,
            prompts=candidate.prompts,
            price=candidate.price,
            repeat=repeat,
            data=self._data,
            ledger=self._ledger,
            rules=self._outcomes.get(scenario.id),
        )
        if model is not None and not candidate.replay:
            model.keep_given_up()
        return None if model is not None and model.is_short else trajectory

    def _note(self, result: Result) -> None:
        """Of the rules' trajectory only what is needed is kept in memory."""
        trajectory = result.trajectory
        self._tallies[result.scenario] = Spent() if trajectory is None else tally(trajectory)
        if trajectory is not None and trajectory.aftermath is not None:
            self._outcomes[result.scenario] = trajectory.aftermath.desk


@asynccontextmanager
async def begun(
    results: Results,
    scenarios: Sequence[Scenario],
    candidate: Candidate,
    *,
    budget: Budget | None = None,
    scorers: Sequence[Scorer] = ALL,
    data: Path | None = None,
    side_by_side: int = SIDE_BY_SIDE,
    tell: Callable[[Progress], None] = ignore,
) -> AsyncIterator[SuiteRun]:
    """Open a run, new or taken up again.

    Args:
        budget: of all of the run, what was spent before it was taken up again included.
        scorers: asked of every trajectory, in their order.
        data: where recorded bars lie.
        side_by_side: how many worlds are alive at a time.

    Raises:
        ConfigurationError: the scenarios, the model or the prompts are not those that the results are of, another process is
            at work on them, or a budget in dollars is given for a model without a price.
    """
    budget = budget or Budget()
    _check(results, scenarios, candidate, budget)
    with only_one(results.folder):  # two would ask, and pay for, the same answers
        async with _begun(results, scenarios, candidate, budget, scorers, data, side_by_side, tell) as run:
            yield run


@asynccontextmanager
async def _begun(
    results: Results,
    scenarios: Sequence[Scenario],
    candidate: Candidate,
    budget: Budget,
    scorers: Sequence[Scorer],
    data: Path | None,
    side_by_side: int,
    tell: Callable[[Progress], None],
) -> AsyncIterator[SuiteRun]:
    answers = None
    if candidate.replay is not None:
        answers = Answers(candidate.replay, read_only=True)
    elif candidate.model is not None:
        answers = Answers(results.folder / ANSWERS)
    spent = Spent() if answers is None or candidate.replay is not None else answers.spent
    meter = Meter(candidate.price, budget, spent if candidate.price is not None else replace(spent, dollars=None))
    try:
        with _scratch(results.folder / SCRATCH) as scratch:
            yield SuiteRun(
                results,
                scenarios,
                candidate,
                answers=answers,
                meter=meter,
                scratch=scratch,
                ledger=await empty_ledger(scratch / "empty.db"),
                scorers=scorers,
                data=data,
                side_by_side=side_by_side,
                tell=tell,
            )
    finally:
        if answers is not None:
            answers.close()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Where worlds live while they are played. In the run's own folder, so that what a killed process left is found again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check(results: Results, scenarios: Sequence[Scenario], candidate: Candidate, budget: Budget) -> None:
    header, now = results.header, {scenario.id: content_hash(scenario) for scenario in scenarios}
    if header.model != candidate.label:
        raise _other(results, f"they are of {header.model!r}, not of {candidate.label!r}")
    changed = sorted(name for name in {*now, *header.scenarios} if now.get(name) != header.scenarios.get(name))
    if changed:
        raise _other(results, f"scenario {changed[0]!r} is not what it was")
    if any(candidate.prompts.hashes.get(name) != prompt for name, prompt in header.prompts.items()):
        raise _other(results, "the agents' prompts are not what they were")
    check_priced(candidate.label, candidate.price, budget)


def _other(results: Results, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the results in {results.folder.name} cannot be gone on with: {why}",
        not_done="Nothing was run",
        next_step="Begin a new run",
    )
