"""Run the tests on one mutant after another, in a copy of the tree.

Cosmic Ray's own `exec` starts an interpreter for each mutant, and most of a short test run is then imports. Here one process
imports what is not mutated and forks for each mutant.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant
from tests.mutation.plan import tests_for

# What the tests import and no mutant changes: loaded once and inherited by every fork.
WARM = (
    "hypothesis",
    "hypothesis.strategies",
    "hypothesis.internal.conjecture.engine",
    "langchain.agents",
    "numpy",
    "pydantic",
    "statistics",
    "trading_core.domain.clock",
    "trading_core.domain.market",
    "trading_core.risk.limits",
)
LOG = "mutant.log"
TIMES_SLOWER, LEAST_SECONDS = 2, 10


class Broken(Exception):
    """The tests cannot judge mutants."""


def sampled(mutants: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """`size` mutants, of each module its share and at least one, in their order."""
    by_module: defaultdict[str, list[int]] = defaultdict(list)
    for index, mutant in enumerate(mutants):
        by_module[mutant.module].append(index)
    chance, chosen = random.Random(seed), []
    for indices in by_module.values():
        chosen += chance.sample(indices, min(len(indices), max(1, round(size * len(indices) / len(mutants)))))
    return [mutants[index] for index in sorted(chosen)]


def survivors(root: Path, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, bool]]:
    """Each mutant, and whether the tests passed on it all the same.

    Args:
        root: a copy of the tree; its files are changed in place.

    Raises:
        Broken: the tests fail on the copy as it is, or import something else than the copy.
    """
    for name in WARM:
        importlib.import_module(name)
    stale = [name for name in sys.modules if f"{name.replace('.', '/')}.py" in {mutant.module for mutant in mutants}]
    if stale:
        raise Broken(f"{stale} would be tested as they were before the change")
    began = time.monotonic()
    if not _passes(root, list(dict.fromkeys(test for mutant in mutants for test in tests_for(mutant.module))), 600):
        raise Broken(f"the tests fail without any mutation\n{(root / LOG).read_text(encoding='utf-8')}")
    # A change and its undoing can fall into one second and have one size, which is all that compiled files go by.
    sys.dont_write_bytecode = True
    limit = max(LEAST_SECONDS, int(TIMES_SLOWER * (time.monotonic() - began)))
    for mutant in mutants:
        path = root / mutant.module
        original = path.read_text(encoding="utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
        path.write_text(mutant.applied(original), encoding="utf-8")
        passed = _passes(root, tests_for(mutant.module), limit)
        path.write_text(original, encoding="utf-8")
        yield mutant, passed


def _passes(root: Path, tests: Sequence[str], seconds: int) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _run(root, tests, seconds)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _run(root: Path, tests: Sequence[str], seconds: int) -> int:
    """In the child. A mutant that never ends is ended by the alarm, and counts as noticed."""
    signal.alarm(seconds)
    sys.stdout.flush()
    log = os.open(root / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(root)
    # Neither the suite's configuration nor its plugins: most of a short run would be their loading.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plain = ["-c", os.devnull, "--rootdir", str(root), "--import-mode=importlib", "--noconftest", "--assert=plain"]
    code = pytest.main(["-x", "-q", *plain, "-p", "no:cacheprovider", "-p", "tests.mutation.profile", *tests])
    here = Path(importlib.import_module("trading_core").__file__ or "")
    return int(code) if root in here.parents else 99
