"""What a decision costs: model calls, calls deep, wall time, time outside the model, tokens. See README.md beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests` and `benchmarks`, which are not installed

from benchmarks.brain import brain
from benchmarks.measure import SYMBOLS, Broken, Case, Cycle, Sample, sample
from tests.model_server import ModelServer

_PACKAGES = ("langgraph", "langchain", "langchain-openai", "openai", "sqlalchemy", "pydantic")
_LEVELS = 4


@dataclass(frozen=True, slots=True)
class Target:
    """A promise of the desk, and what was measured."""

    text: str
    measured: float
    met: bool


@dataclass(frozen=True, slots=True)
class Result:
    """The repeats of one case."""

    case: Case
    samples: tuple[Sample, ...]

    def of_fresh(self, value: Callable[[Cycle], float]) -> list[float]:
        return [value(one.fresh) for one in self.samples]

    @property
    def reused_calls(self) -> int:
        """Most calls that any repetition on an unchanged snapshot made."""
        return max(again.session_calls for one in self.samples for again in (one.again, one.other) if again)

    @property
    def fingerprints(self) -> list[str]:
        """Of all repeats; of the repetitions on stored answers too. There must be one."""
        same_session = {cycle.fingerprint for one in self.samples for cycle in (one.fresh, one.again)}
        return sorted(same_session)


async def run(cases: Iterable[Case], repeats: int, delay: float, tell: Callable[[str], None]) -> list[Result]:
    """Measure every case, after a warm-up without delay that loads the modules."""
    with ModelServer(brain=brain) as server:
        tell("warm-up")
        for streamed in (False, True):
            await sample(Case(1, streamed=streamed), server)
        server.delay = delay
        results = []
        for case in cases:
            tell(f"{case.name}, {repeats} repeats")
            results.append(Result(case, tuple([await sample(case, server) for _ in range(repeats)])))
    return results


def targets(results: Sequence[Result], delay: float) -> list[Target]:
    """What is promised, for the cases that were measured."""

    def at_most(text: str, measured: float, limit: float) -> Target:
        return Target(f"{text} ≤ {limit:g}", measured, measured <= limit)

    def below(text: str, measured: float, limit: float) -> Target:
        return Target(f"{text} < {limit:,g}", measured, measured < limit)

    found = [
        at_most("calls deep, every case", max(max(result.of_fresh(lambda c: c.deep)) for result in results), _LEVELS),
        at_most("calls on an unchanged snapshot, every case", max(result.reused_calls for result in results), 0),
    ]
    for result in results:
        wall = median(result.of_fresh(lambda c: c.wall))
        if result.case == Case(1):
            found += [
                at_most("1 symbol, wall seconds", wall, round(_LEVELS * delay + 0.4, 3)),
                below("1 symbol, seconds outside the model", median(result.of_fresh(lambda c: c.outside)), 0.15),
                below("1 symbol, prompt tokens", max(result.of_fresh(lambda c: c.prompt_tokens)), 10_000),
            ]
        elif result.case == Case(10):
            found.append(at_most("10 symbols, wall seconds", wall, round(_LEVELS * delay + 1.0, 3)))
    found.append(Target("decisions and orders the same in every repeat", 0, all(len(r.fingerprints) == 1 for r in results)))
    return found


def environment() -> dict[str, str]:
    """Where the figures come from."""
    load = os.getloadavg()[0]
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f} at the start",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def table(results: Sequence[Result], found: Sequence[Target]) -> str:
    """For people."""
    rows = [("", "calls", "deep", "orders", "wall s", "outside s", "prompt tokens", "again: calls", "again: s", "fingerprint")]
    for result in results:
        first = result.samples[0].fresh
        rows.append(
            (
                result.case.name,
                f"{first.calls}",
                f"{max(result.of_fresh(lambda c: c.deep)):g}",
                f"{first.orders}",
                _spread(result.of_fresh(lambda c: c.wall)),
                _spread(result.of_fresh(lambda c: c.outside)),
                f"{first.prompt_tokens:,}",
                f"{result.reused_calls}",
                _spread([one.again.wall for one in result.samples]),
                " ≠ ".join(print_[:12] for print_ in result.fingerprints),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    marks = [f"{'✓' if target.met else '✗'} {target.text}: {_shown(target)}" for target in found]
    return "\n".join([*lines, "", *marks])


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _shown(target: Target) -> str:
    if target.text.startswith("decisions"):
        return "yes" if target.met else "no"
    return f"{target.measured:,.3f}" if "seconds" in target.text else f"{target.measured:,g}"


def main() -> int:
    options = _options()
    tell = (lambda line: None) if options.json else (lambda line: print(f"… {line}", flush=True))
    head = environment() | {"delay": f"{options.delay:g} s a call", "repeats": f"{options.repeats}, medians (min–max)"}
    if not options.json:
        print("\n".join(f"{name}: {value}" for name, value in head.items()))
    cases = [Case(symbols) for symbols in options.symbols]
    cases += [Case(3, cycles=2), Case(1, streamed=True)]
    try:
        results = asyncio.run(run(cases, options.repeats, options.delay, tell))
    except Broken as error:
        print(f"the cycle did not do what is measured: {error}", file=sys.stderr)
        return 1
    found = targets(results, options.delay)
    if options.json:
        content = {
            "environment": head,
            "cases": [{"name": r.case.name} | asdict(r) | {"fingerprints": r.fingerprints} for r in results],
            "targets": [asdict(target) for target in found],
        }
        print(json.dumps(content, indent=1, ensure_ascii=False))
    else:
        print(f"\n{table(results, found)}")
    return 0 if all(target.met for target in found) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=_sizes, default=[1, 3, 10], help="how many symbols, such as 1,3,10")
    parser.add_argument("--delay", type=float, default=0.3, help="seconds the model takes for an answer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print every figure as JSON instead of a table")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    sizes = [int(part) for part in text.split(",")]
    if not all(1 <= size <= len(SYMBOLS) for size in sizes):
        raise argparse.ArgumentTypeError(f"sizes lie between 1 and {len(SYMBOLS)}")
    return sizes


if __name__ == "__main__":
    sys.exit(main())
