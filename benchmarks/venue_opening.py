"""What a process costs that opens accounts at venues: it does so, and prints seconds and memory.

usage: python benchmarks/venue_opening.py LEDGER [VENUE...]

It opens the ledger, and at each venue the account of the same name through the desk's own factory, markets loaded.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for where it is not installed

from graph.accounts import VenueAccess
from trading_core.auth.agents import runner
from trading_core.brokers.accounts import BrokerAccounts
from trading_core.domain.clock import SystemClock
from trading_core.persistence.session import Database
from trading_core.secrets.sealing import KeyRing

MASTER = b"k" * 32
SYMBOLS = {"coinbase": "BTC/USD", "kraken": "BTC/USD", "cryptocom": "BTC/USD"}


async def open_all(ledger: str, venues: list[str]) -> None:
    """Open the ledger and the accounts, and tell what that took."""
    async with AsyncExitStack() as stack:
        database, clock = await stack.enter_async_context(await Database.open(Path(ledger))), SystemClock()
        factory, accounts = VenueAccess(KeyRing(MASTER)).factory(database, clock), BrokerAccounts(database, clock)
        began = time.perf_counter()
        for venue in venues:
            account, symbols = await accounts.get(venue), [SYMBOLS.get(venue, "BTC/USDT")]
            made = await factory.open(runner(venue), account, symbols, history_from=clock.now())
            stack.push_async_callback(made.broker.close)
        seconds = time.perf_counter() - began
        print(json.dumps({"open": seconds, "megabytes": _resident()}), flush=True)


def _resident() -> float:
    """Resident set of this process, in megabytes (Linux, proc(5))."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    asyncio.run(open_all(sys.argv[1], sys.argv[2:]))
