"""A process that runs one cycle and is killed (SIGKILL) as it tells of its n-th event.

usage: python -m tests.integration.killed HOME MODEL_URL N
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from graph.events import RunEvent
from graph.session import trade
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, against, config, entry_feed


async def main(home: Path, url: str, last: int) -> None:
    heard = 0

    def listen(_: RunEvent) -> None:
        nonlocal heard
        heard += 1
        if heard == last:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = config(model=against(url), start=ENTRY, cycles=1)
    async with TradingSystem.open(settings, home, feed=entry_feed(), listener=listen) as system:
        async for _ in trade(system):
            pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
