"""What the eval harness costs: scenarios a second with the rules, memory over a long suite, and time beside a bare Inspect task.

    python benchmarks/evals.py [--scenarios 1000] [--calls 60] [--repeats 3]

Overhead is wall time in which the model server has no request in flight, for each call of the model, one call at a time. The
server answers at once and runs in this process, for both sides alike. A bare Inspect task sends the texts of the very requests
that the desk made before, and does nothing with what comes back: no tools, no ledger, no market, no scores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests` and `benchmarks`, which are not installed

from agents.models import openai_compatible
from agents.models.spec import parse
from benchmarks.measure import in_flight
from evals.prices import FREE
from evals.results import Results, new_header
from evals.runner import Candidate, Ended, Progress, begun, ignore
from evals.schema import Scenario
from evals.suites import load_suite
from tests.model_server import Body, ModelServer, Reply, say
from tests.rules_brain import rules_brain

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PACKAGES = ("inspect-ai", "langgraph", "langchain", "langchain-openai", "sqlalchemy")
_SETTLED = 0.1  # share of a suite after which all code is loaded and all caches are full
GROWTH_MB = 64.0  # what the rest of a suite may add to the process, however long it is


@dataclass(frozen=True, slots=True)
class Suite:
    """The rules over many scenarios. Memory is the most that the process ever held, in MB."""

    scenarios: int
    seconds: float
    settled_mb: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds outside the model server over `calls` calls."""

    calls: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        return 1000 * self.seconds / self.calls


def scenarios(wanted: int) -> list[Scenario]:
    """The desk's own generated scenarios, again and again with other seeds."""
    own = [one for one in load_suite("all") if not any(market.recorded for market in one.markets)]
    turns = (turn for turn in count() for _ in own)
    return [
        one.model_copy(update={"id": f"{one.id}-{turn}"[:61], "seed": one.seed + turn})
        for one, turn in islice(zip(cycle(own), turns, strict=False), wanted)
    ]


async def run(
    folder: Path, suite: Sequence[Scenario], candidate: Candidate, *, jobs: int, tell: Callable[[Progress], None] = ignore
) -> Ended:
    """A whole run of a suite in a new folder."""
    results = Results.create(folder, new_header("benchmark", suite, model=candidate.label, repeats=1, now=_NOW))
    async with begun(results, suite, candidate, side_by_side=jobs, tell=tell) as running:
        return await running.run()


def with_rules(wanted: int) -> Suite:
    """Every scenario under the embedded model, a few side by side, and every scorer on each."""
    suite, seen = scenarios(wanted), dict[int, float]()

    def watch(now: Progress) -> None:
        seen[now.done] = _peak_mb()

    with TemporaryDirectory(prefix="evals-") as home:
        began = time.perf_counter()
        ended = asyncio.run(run(Path(home) / "rules", suite, Candidate(), jobs=4, tell=watch))
        seconds = time.perf_counter() - began
    if ended.done != wanted or ended.left:
        raise RuntimeError(f"{ended.done} of {wanted} scenarios were run")
    return Suite(wanted, seconds, seen[max(1, int(wanted * _SETTLED))], _peak_mb())


def of_the_desk(server: ModelServer, suite: Sequence[Scenario]) -> Overhead:
    """The harness over HTTP, one call at a time."""
    server.requests.clear()

    async def work(home: str) -> Ended:
        async with openai_compatible.http_pool() as pool:
            settings = parse({"model": "openai:benchmark", "base_url": server.base_url, "max_retries": 0})
            candidate = Candidate("openai:benchmark", openai_compatible.build(settings, pool), FREE)
            return await run(Path(home) / "desk", suite, candidate, jobs=1)

    with TemporaryDirectory(prefix="evals-") as home:
        began = time.perf_counter()
        asyncio.run(work(home))
        return _overhead(server, time.perf_counter() - began)


def of_inspect(server: ModelServer, texts: Sequence[str]) -> Overhead:
    """A bare task of the same number of calls with the same texts."""
    from inspect_ai import Task
    from inspect_ai import eval as run_task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import get_model
    from inspect_ai.solver import generate

    server.requests.clear()
    model = get_model("openai-api/local/benchmark", base_url=server.base_url, api_key="none")
    dataset = [Sample(input=text, id=number) for number, text in enumerate(texts)]
    with TemporaryDirectory(prefix="inspect-") as logs:
        began = time.perf_counter()
        (log,) = run_task(
            Task(dataset=dataset, solver=generate()), model=model, display="none", log_dir=logs, max_connections=1, max_samples=1
        )
        seconds = time.perf_counter() - began
    if log.status != "success" or len(server.requests) != len(texts):
        raise RuntimeError(f"Inspect ended with {log.status} after {len(server.requests)} calls")
    return _overhead(server, seconds)


def _overhead(server: ModelServer, seconds: float) -> Overhead:
    inside = sum(end - start for start, end in in_flight(server.requests))
    return Overhead(len(server.requests), seconds - inside)


def _brain(body: Body) -> Reply:
    """The rules for the desk, and a word for everybody else."""
    return rules_brain(body) if "response_format" in body else say("hold")


def _peak_mb() -> float:
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1000, help="of the long suite under the rules")
    parser.add_argument("--calls", type=int, default=60, help="of the model on each side, about")
    parser.add_argument("--repeats", type=int, default=3, help="of the comparison")
    options = parser.parse_args()
    print(f"machine: {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start")
    print(f"python: {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    long = with_rules(options.scenarios)
    grown = long.peak_mb - long.settled_mb
    met = grown <= GROWTH_MB
    print(f"rules: {long.scenarios} scenarios in {long.seconds:.0f} s, {long.scenarios / long.seconds:.2f} a second")
    print(
        f"  {'✓' if met else '✗'} memory: {long.settled_mb:.0f} MB after a tenth, {long.peak_mb:.0f} MB at most "
        f"(may grow by {GROWTH_MB:g})"
    )
    suite = scenarios(max(1, options.calls // 3))
    with ModelServer(brain=_brain) as server:
        of_the_desk(server, suite[:2])  # loads the modules of both
        of_inspect(server, ["hold"])
        desk, bare = list[Overhead](), list[Overhead]()
        for _ in range(options.repeats):
            desk.append(of_the_desk(server, suite))
            texts = [json.dumps(request.body["messages"]) for request in server.requests]
            bare.append(of_inspect(server, texts))
    for name, found in (("harness", desk), ("bare Inspect task", bare)):
        times = sorted(one.milliseconds for one in found)
        print(
            f"{name}: {median(times):.1f} ms a decision outside the model ({times[0]:.1f}–{times[-1]:.1f}), "
            f"{found[0].calls} calls"
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
