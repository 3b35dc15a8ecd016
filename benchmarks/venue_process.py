"""Local venues in a process of their own, so that their time is not the desk's.

usage: python benchmarks/venue_process.py timed|six

`timed` is Binance, which notes when the last byte of each request to place an order came off its socket and when the last byte of
the answer went onto it: nanoseconds of the machine's monotonic clock, which all processes share. `six` are all venues. Either
prints its addresses, and ends with its input; `timed` then prints its notes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from tests.venues.binance import LOCAL as BINANCE
from tests.venues.engine import Exchange
from tests.venues.local import ACCOUNT, serving
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.venues.six import SIX

PRICE, DEPOSIT = Decimal(100), Decimal(10_000_000)
BARE = Key("bare", "secret", "bare")
"""Of the account that is traded on without a desk."""
_PLACE = b"POST /api/v3/order"


class _Noting:
    """A transport that notes when it was last written to while an answer is awaited."""

    def __init__(self, transport: asyncio.Transport, notes: list[list[int]]) -> None:
        self._transport, self._notes = transport, notes
        self.placing = False

    def write(self, data: bytes) -> None:
        self._transport.write(data)
        if self.placing:
            self._notes[-1][1] = time.perf_counter_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class TimedServer(VenueServer):
    """A venue that keeps the two instants of each request to place an order in `notes`."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.notes: list[list[int]] = []

    def _protocol(self) -> Any:
        plain, notes = super()._protocol(), self.notes

        class Timed(plain):
            def connection_made(self, transport: asyncio.Transport) -> None:
                self.line = _Noting(transport, notes)
                super().connection_made(self.line)

            def data_received(self, data: bytes) -> None:
                now = time.perf_counter_ns()
                if data.split(b" ", 1)[0] in (b"GET", b"POST", b"DELETE", b"PUT"):
                    self.line.placing = data.startswith(_PLACE)
                    if self.line.placing:
                        notes.append([now, 0])
                elif self.line.placing:
                    notes[-1][0] = now  # the body came by itself
                super().data_received(data)

        return Timed


def timed() -> None:
    kind = replace(BINANCE, keys=(*BINANCE.keys, BARE))
    exchange = Exchange(kind.markets, wall_clock_ms, fees=kind.fees)
    for account in (ACCOUNT, BARE.account):
        exchange.deposit(account, "USDT", DEPOSIT)
    exchange.move(kind.symbol, PRICE)
    with TimedServer(kind.stand(exchange)) as server:
        print(json.dumps({"binance": server.base_url}), flush=True)
        sys.stdin.read()
        print(json.dumps(server.notes), flush=True)


def six() -> None:
    with ExitStack() as stack:
        urls = {venue: stack.enter_context(serving(kind)).base_url for venue, kind in SIX.items()}
        print(json.dumps(urls), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    {"timed": timed, "six": six}[sys.argv[1]]()
