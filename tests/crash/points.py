"""Every point at which a coroutine waits, found by driving it and named by the frames of our own code."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Generator
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, coroutine
from typing import Any, TypeVar

_ROOT = Path(__file__).parents[2]
_OURS = (str(_ROOT / "trading_core"), str(_ROOT / "tests" / "crash"))
_SUSPENDED = (CoroutineType, AsyncGeneratorType, GeneratorType)
T = TypeVar("T")


class Moment(StrEnum):
    """When, at a point where a coroutine waits for something outside of it."""

    BEGUN = "begun"  # what it waits for is under way, and may or may not be done
    DONE = "done"  # what it waits for is done, and the coroutine has not seen it


@coroutine
def driven(work: Coroutine[Any, Any, T], tell: Callable[[str, Moment], None]) -> Generator[Any, Any, T]:
    """Run `work`, and tell of every point at which it waits, twice: as it begins to wait and before it goes on."""
    go_on = partial(work.send, None)
    while True:
        try:
            awaited = go_on()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        point = name_of(work)
        tell(point, Moment.BEGUN)
        try:
            go_on = partial(work.send, (yield awaited))
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            go_on = partial(work.throw, error)
        tell(point, Moment.DONE)


def name_of(work: object) -> str:
    """Our own frames of a suspended coroutine, outermost first, and the innermost one of all, whoever's it is."""
    ours: list[str] = []
    innermost, waits = "", work
    while waits is not None:
        if not isinstance(waits, _SUSPENDED):
            # `anext` and `__await__` wrap the generator or coroutine without showing it; the collector knows it.
            waits = next((held for held in gc.get_referents(waits) if isinstance(held, _SUSPENDED)), None)
            continue
        frame, code, waits = _parts(waits)
        if frame is None:
            continue
        innermost = code.co_qualname
        if code.co_filename.startswith(_OURS):
            ours.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
            innermost = ""
    return " > ".join([*ours, innermost] if innermost else ours)


def _parts(waits: Any) -> tuple[FrameType | None, CodeType, object]:
    if isinstance(waits, CoroutineType):
        return waits.cr_frame, waits.cr_code, waits.cr_await
    if isinstance(waits, AsyncGeneratorType):
        return waits.ag_frame, waits.ag_code, waits.ag_await
    return waits.gi_frame, waits.gi_code, waits.gi_yieldfrom
