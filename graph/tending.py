"""What a live session does while it waits for a model, or for its next bar: it listens to the venue, and looks for itself.

The gate needs none of this: it reads the trading state with every order, and an account that was not read lately is denied. But
stops fill, targets are reached, orders expire and the kill switch is thrown between two bars, which may be a day apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from graph.bookkeeping import Bookkeeping
from trading_core.domain.errors import AlgoTrendyError
from trading_core.risk.state import Withdrawal

_log = logging.getLogger("algotrendy.tending")


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two looks at the ledger for the kill switch, two readings of the venue, and two full comparisons."""

    look: float = 1.0
    sync: float = 5.0
    reconcile: float = 60.0


@asynccontextmanager
async def tending(books: Bookkeeping, intervals: Intervals = Intervals()) -> AsyncIterator[None]:
    """Listen, obey the kill switch, read the venue and reconcile with it, each in its time, until the block ends."""
    tasks = [asyncio.create_task(_tend(books, intervals), name="tending"), asyncio.create_task(_listen(books), name="listening")]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _listen(books: Bookkeeping) -> None:
    """Book what the venue tells as it happens. What that misses is read in its time."""
    said = ""
    try:
        async with aclosing(books.listen()) as troubles:
            async for error in troubles:
                # The same trouble is said once, not at every attempt, until it has passed.
                if error is not None and error.what != said:
                    _log.warning("what the venue tells could not be followed: %s", error)
                said = error.what if error is not None else ""
    except AlgoTrendyError as error:
        _log.warning("the account is only read from here on: %s", error)
    except Exception:
        _log.exception("the account is only read from here on")


async def _tend(books: Bookkeeping, intervals: Intervals) -> None:
    loop = asyncio.get_running_loop()
    synced = reconciled = loop.time()
    while True:
        await asyncio.sleep(intervals.look)
        now = loop.time()
        try:
            if now - reconciled >= intervals.reconcile:
                synced = reconciled = now
                await books.reconcile()
            elif now - synced >= intervals.sync or await _is_withdrawn(books):
                synced = now
                await books.sync()
        except AlgoTrendyError as error:  # tried again in its time; until it works the account grows stale and the gate denies
            _log.warning("the venue could not be attended to: %s", error)
        except Exception:  # or nobody would obey the kill switch any more, and nothing would say so
            _log.exception("the venue could not be attended to")


async def _is_withdrawn(books: Bookkeeping) -> bool:
    view = await books.account()
    return view.risk.withdrawal is not Withdrawal.NONE and bool(view.live_orders)
