"""Waiting for what another task, thread or process brings about and nobody tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

WITHIN = 30.0  # seconds: so generous that only what never comes is missed, on a slow machine too


async def until(
    holds: Callable[[], object], describe: Callable[[], str] = lambda: "what is waited for", within: float = WITHIN
) -> None:
    """Return when it holds. `holds` may be a coroutine function, which is awaited each time.

    Raises:
        AssertionError: it did not `within` so many seconds, with what `describe` says.
    """
    try:
        async with asyncio.timeout(within):
            while True:
                found = holds()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it did not come: {describe()}") from None
