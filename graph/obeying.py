"""Doing what the kill switch asks while a session waits for a model, or for its next bar.

The gate needs none of this: it reads the trading state with every order. But orders that work at the venue are taken back by
whoever has the venue, and a live session may not look at it for an hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from trading_core.auth.permissions import Principal
from trading_core.domain.errors import AlgoTrendyError
from trading_core.execution.desk import Desk
from trading_core.risk.state import Withdrawal

EVERY_SECONDS = 1.0
_log = logging.getLogger("algotrendy.obeying")


@asynccontextmanager
async def obeying(desk: Desk, who: Principal, every: float = EVERY_SECONDS) -> AsyncIterator[None]:
    """Look at the ledger `every` so many seconds, and take orders back when the kill switch says so, until the block ends."""
    task = asyncio.create_task(_obey(desk, who, every), name="obeying")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _obey(desk: Desk, who: Principal, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            view = await desk.account(who)
            if view.risk.withdrawal is not Withdrawal.NONE and view.live_orders:
                await desk.sync(who)
        except AlgoTrendyError as error:  # tried again in a moment, for as long as the state says so
            _log.warning("the kill switch could not be obeyed yet: %s", error)
