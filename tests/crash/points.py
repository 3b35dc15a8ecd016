"""Every point at which a coroutine waits, found by driving it and named by the frames of our own code."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, coroutine
from typing import Any, TypeVar

_ROOT = Path(__file__).parents[2]
_OURS = (str(_ROOT / "trading_core"), str(_ROOT / "tests" / "crash"))
_SUSPENDED = (CoroutineType, AsyncGeneratorType, GeneratorType)
_WAITS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
T = TypeVar("T")
_MADE_AT: ContextVar[str] = ContextVar("made_at", default="")  # of this task: where it was created


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
            return end.value
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


def drive_tasks(loop: asyncio.AbstractEventLoop, tell: Callable[[str, Moment], None]) -> None:
    """Tell of the points of tasks that are created from now on, too. A task's points begin with where it was created."""

    async def drive(work: Coroutine[Any, Any, T], made_at: str) -> T:
        _MADE_AT.set(made_at)
        return await driven(work, lambda point, moment: tell(f"{made_at} > {point}", moment))

    def make(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
        made_at = [where for where in (_MADE_AT.get(), _stack()) if where]
        return asyncio.Task(drive(work, " > ".join(made_at)), loop=loop, **options)

    loop.set_task_factory(make)


def _stack() -> str:
    """Our own frames of what runs now, outermost first, without those that run the loop."""
    frame, ours = sys._getframe().f_back, list[str]()
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_OURS) and code.co_flags & _WAITS:
            ours.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(ours))


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
