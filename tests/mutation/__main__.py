"""Mutation testing of the risk gate, sizing, the loss memory, the transition table, and the scorers of the evals.

    .venv/bin/python -m tests.mutation [--sample N --seed S] [--only MODULE …]

It works in a copy of the tree in a temporary folder. Survivors are shown as they come; exit status 1 when too many do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutation.mutants import mutants
from tests.mutation.plan import LEAST_SCORE, MODULES
from tests.mutation.runner import Broken, sampled, survivors

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("trading_core", "tests", "api", "graph", "agents", "tools", "data_channels", "evals", "pyproject.toml")
_IN_COPY, PROGRESS_EVERY = "MUTATION_COPY", 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--sample", type=int, help="so many mutants, of each module its share; all without it")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES, metavar="MODULE")
    options = parser.parse_args()
    if _IN_COPY not in os.environ:
        return _in_a_copy()
    return run(Path(os.environ[_IN_COPY]), options.only, options.sample, options.seed)


def _in_a_copy() -> int:
    """The same command, in an interpreter that sees the copy and not this tree."""
    with TemporaryDirectory(prefix="mutation-") as folder:
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder)
        environment = {**os.environ, _IN_COPY: folder, "PYTHONPATH": folder}
        command = [sys.executable, "-m", "tests.mutation", *sys.argv[1:]]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def run(root: Path, modules: tuple[str, ...], sample: int | None, seed: int) -> int:
    made = [mutant for module in modules for mutant in mutants(root, module)]
    chosen = sampled(made, sample, seed) if sample else made
    print(f"{len(chosen)} of {len(made)} mutants" + (f", seed {seed}" if sample else ""), flush=True)
    total, survived = Counter(mutant.module for mutant in chosen), Counter[str]()
    try:
        for done, (mutant, passed) in enumerate(survivors(root, chosen), 1):
            if done % PROGRESS_EVERY == 0:
                print(f"{done} of {len(chosen)}, {survived.total()} not noticed", file=sys.stderr, flush=True)
            if passed:
                survived[mutant.module] += 1
                code = (ROOT / mutant.module).read_text(encoding="utf-8")
                print(f"{mutant.module}:{mutant.line}: {mutant.operator}\n{mutant.shown(code)}", flush=True)
    except Broken as error:
        print(error, file=sys.stderr)
        return 2
    print()
    for module in modules:
        print(f"{module:40} {_score(total[module], survived[module])}")
    print(f"{'all':40} {_score(total.total(), survived.total())}")
    return 0 if survived.total() <= (1 - LEAST_SCORE) * total.total() else 1


def _score(total: int, survived: int) -> str:
    return f"{total - survived} of {total} noticed, {1 - survived / total:.1%}" if total else "no mutants"


if __name__ == "__main__":
    sys.exit(main())
