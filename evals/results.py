"""What came of a suite, kept in a folder: a header, one line for each repeat of each scenario, and every answer of the model.

    header.json     what was run: suite, model, repeats, the scenarios with their hashes
    results.jsonl   a `Result` a line, written when the repeat has ended: a killed run goes on behind the last whole line
    rules.jsonl     the same for the embedded model, which every other is compared with
    answers.jsonl   what was asked of the model and what it said (`evals.answers`)

Results are read one at a time: a suite of any length fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from evals.lines import Lines
from evals.prompts import load_prompts
from evals.schema import Scenario
from evals.scorers.base import Score
from evals.trajectory import Trajectory
from trading_core.domain.clock import iso, utc
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.intents import digest

HEADER, RESULTS, RULES, ANSWERS = "header.json", "results.jsonl", "rules.jsonl", "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Header:
    """What a run of a suite is about. It is written once and never changes.

    Attributes:
        id: of the run; also its folder's name.
        scenarios: their ids, each with the hash of its content.
        suite: as it was named: `all`, a category, a tag, an id or a path.
        endpoint: where the model is called, when that is not its provider's own; empty for the embedded one.
        most_output: tokens that one answer may have.
        replays: folder of the run whose answers are replayed; empty when the model is called.
        prompts: hash of each agent's prompt, tools and answer schema; of those in conversation under `chat_NAME`.
        prompts_from: folder of other prompts than the desk's own; empty for those.
    """

    id: str
    suite: str
    model: str
    repeats: int
    scenarios: Mapping[str, str]
    started_at: datetime
    endpoint: str = ""
    most_output: int = 2000
    replays: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    prompts_from: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One repeat of one scenario: what the desk did, and what the scorers say of it. `skipped` is why it could not be run."""

    scenario: str
    category: str
    repeat: int
    trajectory: Trajectory | None
    scores: tuple[Score, ...] = ()
    skipped: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.scenario, self.repeat

    def score(self, scorer: str) -> Score | None:
        """What one scorer says; None when it was not asked."""
        return next((score for score in self.scores if score.scorer == scorer), None)


_HEADER = TypeAdapter(Header)
_RESULT = TypeAdapter(Result)


def new_header(
    suite: str,
    scenarios: Iterable[Scenario],
    *,
    model: str,
    repeats: int,
    now: datetime,
    endpoint: str = "",
    most_output: int = 2000,
    replays: str = "",
    prompts_from: Path | None = None,
) -> Header:
    """The header of a new run; its id says when it was begun and what of.

    Raises:
        ConfigurationError: there are no prompts in `prompts_from`, or strange ones.
    """
    hashes = {scenario.id: content_hash(scenario) for scenario in scenarios}
    token = digest([suite, model, endpoint, repeats, hashes, iso(now)])[:6]
    prompts, folder = load_prompts(prompts_from).hashes, "" if prompts_from is None else str(prompts_from.resolve())
    run_id = f"{utc(now):%Y%m%d-%H%M%S}-{token}"
    return Header(run_id, suite, model, repeats, hashes, utc(now), endpoint, most_output, replays, prompts, folder)


def content_hash(scenario: Scenario) -> str:
    """Over everything a scenario says."""
    unasked = {"question"} if scenario.question is None else None  # as it was before operators asked: earlier runs compare
    return digest(scenario.model_dump(mode="json", exclude=unasked))


class Results:
    """One run's folder. Use `create`, or `open` for one that is there."""

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header

    @classmethod
    def create(cls, folder: Path, header: Header) -> Results:
        """A new run.

        Raises:
            ConfigurationError: the folder holds another run.
        """
        if (folder / HEADER).exists():
            raise ConfigurationError(
                f"{folder} holds results already", not_done="Nothing was run", next_step=f"Go on with --resume {folder.name}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / f"{HEADER}.new"
        written.write_bytes(_HEADER.dump_json(header, indent=1))
        written.replace(folder / HEADER)  # whole or not at all
        return cls(folder, header)

    @classmethod
    def open(cls, folder: Path) -> Results:
        """A run that was begun.

        Raises:
            ConfigurationError: there is none, or it cannot be read.
        """
        try:
            return cls(folder, _HEADER.validate_json((folder / HEADER).read_bytes()))
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else "its header is not readable"
            raise ConfigurationError(
                f"{folder} holds no results: {why}", not_done="Nothing was read", next_step="Give the folder of an eval"
            ) from None

    def __iter__(self) -> Iterator[Result]:
        """Every result, in the order they were made."""
        return self._read(RESULTS)

    def rules(self) -> Iterator[Result]:
        """The embedded model's, one for each scenario."""
        return self._read(RULES)

    def done(self, name: str = RESULTS) -> set[tuple[str, int]]:
        """Scenario and repeat of every result."""
        return {result.key for result in self._read(name)}

    def writer(self, name: str = RESULTS) -> ResultWriter:
        """Adds results; close it."""
        return ResultWriter(Lines(self.folder / name))

    def _read(self, name: str) -> Iterator[Result]:
        for line in Lines.read(self.folder / name):
            yield _RESULT.validate_json(line)


class ResultWriter:
    """Adds results to a file. What was added outlives a killed process and a power cut."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def append(self, result: Result) -> None:
        self._lines.append(_RESULT.dump_json(result))

    def close(self) -> None:
        self._lines.close()
