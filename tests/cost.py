"""What a piece of work costs the processor, in a unit that a slow machine stretches as well."""

from __future__ import annotations

import time
from collections.abc import Callable


def cost(work: Callable[[], object]) -> float:
    """How many times longer it is than counting to a million, which takes 10 ms or so."""
    before, spent, after = _spent(_count), _spent(work), _spent(_count)
    return spent / max(before, after)


def _spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _count() -> None:
    for _ in range(1_000_000):
        pass
