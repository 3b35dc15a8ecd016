"""Several calls side by side."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import until
from trading_core.execution.together import AT_ONCE, together


async def test_results_come_in_order_and_not_all_are_under_way_at_once() -> None:
    under_way, most = 0, 0

    async def double(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return 2 * number

    assert await together(double, range(3 * AT_ONCE)) == list(range(0, 6 * AT_ONCE, 2))
    assert most == AT_ONCE


async def test_all_is_seen_to_the_end_when_some_fail_and_every_failure_is_told() -> None:
    done: list[int] = []

    async def odd_ones_fail(number: int) -> None:
        await asyncio.sleep(0)
        if number % 2:
            raise ValueError(f"{number} is odd")
        done.append(number)

    with pytest.raises(ValueError, match="1 is odd") as caught:
        await together(odd_ones_fail, range(2 * AT_ONCE))
    assert done == list(range(0, 2 * AT_ONCE, 2))
    assert caught.value.__notes__ == [f"ValueError: {number} is odd" for number in range(3, 2 * AT_ONCE, 2)]


async def test_what_is_cut_off_has_begun_nothing_that_waited_for_its_turn() -> None:
    """A coroutine that was made and never awaited is a warning, and warnings are errors here."""
    begun: list[int] = []

    async def never(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    working = asyncio.create_task(together(never, range(3 * AT_ONCE)))
    await until(lambda: len(begun) == AT_ONCE)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    cut_off = asyncio.create_task(together(never, range(3 * AT_ONCE)))
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    assert begun == list(range(AT_ONCE))
