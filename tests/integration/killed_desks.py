"""Processes of one desk, one after another, each killed (SIGKILL) while it works, until all that was asked for is done.

Each is forked from this one, which has everything imported and nothing open: a life of a desk is then short enough to take many.

usage: python -m tests.integration.killed_desks HOME SEED KILLS
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from graph.config import SessionConfig
from graph.runs.worker import Pace
from tests.integration.manned import Manned, manned
from tests.integration.worlds import config
from trading_core.domain.errors import ApprovalError
from trading_core.execution.approving import Approvals
from trading_core.persistence.records import OPEN_STATES

PACE = Pace(look=0.02, claim=0.4, drain=1.0)
_LONGEST = 60.0  # seconds of the last life


def settings() -> SessionConfig:
    """What is worth more than 1,000 needs an approval."""
    return config(limits={"approval_above_notional": "1000", "max_position": "0.3", "approval_lasts_seconds": 3_600})


async def live(home: Path, name: str, seed: int) -> None:
    """One desk, and an operator who answers what it asks: yes to what was bought of BTC/USDT, no to the rest."""
    rng = random.Random(seed)
    async with manned(home, settings(), holder=name, pace=PACE) as here, asyncio.timeout(_LONGEST):
        while await _open(here):
            await asyncio.sleep(rng.uniform(0.01, 0.2))
            async with here.database.reading() as uow:
                asked = [(one, await uow.intents.get(one.intent_id)) for one in await uow.approvals.pending(here.account)]
            for one, intent in asked:
                yes = intent is not None and intent.symbol == "BTC/USDT"
                with suppress(ApprovalError):
                    await Approvals(here.database, here.system.clock).decide(here.olga, one.intent_id, approve=yes, reason="")


async def _open(here: Manned) -> bool:
    async with here.database.reading() as uow:
        return bool(await uow.runs.in_states(here.account, *OPEN_STATES))


def main(home: Path, seed: int, kills: int) -> int:
    rng = random.Random(seed)
    for number in range(kills + 1):
        child = os.fork()
        if child == 0:
            asyncio.run(live(home, f"desk {number}", seed * 1_000 + number))
            os._exit(0)
        if number < kills:
            time.sleep(rng.uniform(0.15, 1.2))
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(number, os.waitstatus_to_exitcode(status), flush=True)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
