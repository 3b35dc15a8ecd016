"""Several calls at the venue side by side, each seen to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")
AT_ONCE = 8  # under way at a time; the venue's own pace rules all the same


async def together(do: Callable[[S], Awaitable[T]], each: Iterable[S]) -> list[T]:
    """Do it for each, `AT_ONCE` at a time, and give the results in their order.

    All is seen to the end, also when one fails: what is on its way to a venue must not be left alone.

    Raises:
        Exception: the first that failed, with the others in its notes.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(one: S) -> T:
        async with turns:
            return await do(one)

    found, failed = list[T](), list[BaseException]()
    for result in await asyncio.gather(*map(in_turn, each), return_exceptions=True):
        if isinstance(result, BaseException):
            failed.append(result)
        else:
            found.append(result)
    if failed:
        first, *others = failed
        for other in others:
            first.add_note(f"{type(other).__name__}: {other}")
        raise first
    return found
