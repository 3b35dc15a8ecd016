"""What streaming costs: from a frame to what a reader sees, and frames a second, beside bare ccxt.pro in the same run.

A recorded tick stream of Binance (trades and best prices of BTC/USDT) is played over a local WebSocket by another process, which
stamps each frame with when it was sent. At real speed the age of a frame is taken at the moment in which a reader sees what it
told: that is the sending, the kernel, the event loop, ccxt and the desk's own part. At saturation the frames come as fast as they
are taken, and the processor's time of this process tells how many one core reads.

Bare ccxt.pro is two loops around `watch_trades` and `watch_bids_asks`. It parses into floats, keeps the last thousand trades and
counts, orders and fills nothing.

The exit status is 1 when the target is missed. On a machine that others use, compare the two columns of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from data_channels.market.streaming.feed import StreamFeed
from data_channels.market.venue_client import open_exchange
from tests.integration.tick_replay import FILE, SYMBOL, Recording
from trading_core.domain.clock import SystemClock, from_ms

TARGET_P99_MS = 5.0
_HERE = Path(__file__).resolve().parents[1]
_DATA = Path(os.environ.get("ALGOTRENDY_DATA") or _HERE.parent / "shared" / "data")


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one reader.

    Attributes:
        frames: that were sent.
        p50, p99, worst: ms from sent to readable.
        own_p50, own_p99: of those, ms since the frame was taken from the socket; None where that was not measured.
        cpu: seconds of this process.
    """

    reader: str
    frames: int
    p50: float
    p99: float
    worst: float
    own_p50: float | None
    own_p99: float | None
    wall: float
    cpu: float

    @property
    def a_second(self) -> float:
        """On one core."""
        return self.frames / self.cpu


class RecordedClock(SystemClock):
    """The recording's time: real time, moved back to its day."""

    def __init__(self, began_ms: int) -> None:
        self._behind: timedelta = super().now() - from_ms(began_ms)

    def now(self) -> datetime:
        return super().now() - self._behind


class Ages:
    """How old each frame was when it could be read.

    Attributes:
        found: ns since it was sent.
        own: seconds since it was taken from the socket, where that is known.
    """

    def __init__(self, exchange: object) -> None:
        self.found: list[int] = []
        self.own: list[float] = []
        self._caches = vars(exchange)
        self._seen = [0, 0]

    def look(self) -> None:
        """Take the age of what is new in ccxt's caches."""
        now = time.monotonic_ns()
        best, trades = self._caches["bidsasks"].get(SYMBOL), self._caches["trades"].get(SYMBOL)
        for index, row in enumerate((best, trades[-1] if trades else None)):
            sent = row["info"].get("sent_ns", 0) if row else 0
            if sent != self._seen[index]:
                self._seen[index] = sent
                self.found.append(now - sent)


@asynccontextmanager
async def desk(base_url: str, clock: RecordedClock) -> AsyncIterator[tuple[Ages, Callable[[], bool]]]:
    """The feed of the desk."""
    jitter = random.Random(1)  # noqa: S311 - spreads reconnects
    feed = StreamFeed("binance", [SYMBOL], clock=clock, jitter=jitter, base_url=base_url)
    link, exchange = vars(feed)["_link"], vars(vars(feed)["_rest"])["_exchange"]
    ages, sockets = Ages(exchange), vars(link)["_sockets"]
    read = sockets._read

    def timed(came_at: float) -> None:
        read(came_at)
        ages.own.append(time.monotonic() - came_at)
        ages.look()

    sockets._read = timed
    feed.start()
    try:
        yield ages, lambda: feed.metrics.lost == 0
    finally:
        await feed.close()


@asynccontextmanager
async def bare(base_url: str, clock: RecordedClock) -> AsyncIterator[tuple[Ages, Callable[[], bool]]]:
    """ccxt.pro as its manual shows it."""
    import ccxt.pro as ccxt

    exchange = ccxt.binance({"options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}})
    exchange.urls["api"] = open_exchange("binance", base_url, streams=True).urls["api"]
    exchange.urls["api"]["ws"]["spot"] = f"{base_url.replace('http', 'ws')}/stream/ws"
    ages = Ages(exchange)

    async def loop(watch: Callable[[], Awaitable[object]]) -> None:
        while True:
            await watch()
            ages.look()

    await exchange.load_markets()
    loops = [
        asyncio.create_task(loop(lambda: exchange.watch_trades(SYMBOL))),
        asyncio.create_task(loop(lambda: exchange.watch_bids_asks([SYMBOL]))),
    ]
    try:
        yield ages, lambda: True
    finally:
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await exchange.close()


Reader = Callable[[str, RecordedClock], AbstractAsyncContextManager[tuple[Ages, Callable[[], bool]]]]
READERS: Mapping[str, Reader] = {"desk": desk, "bare ccxt.pro": bare}


@contextmanager
def playing(path: Path, speed: float, seconds: float) -> Iterator[Callable[[], int]]:
    """The recording in a process of its own; what it says, a number a line."""
    command = [sys.executable, "-m", "tests.integration.tick_replay", str(path), str(speed), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_HERE) as played:
        assert played.stdin is not None
        assert played.stdout is not None
        said = played.stdout
        try:
            yield lambda: int(said.readline())
        finally:
            played.stdin.close()


async def measure(reader: str, path: Path, recording: Recording, speed: float, seconds: float) -> Figures:
    """Play the recording to a reader.

    Raises:
        RuntimeError: trades were lost on the way.
    """
    with playing(path, speed, seconds) as said:
        url = f"http://127.0.0.1:{await asyncio.to_thread(said)}"
        async with READERS[reader](url, RecordedClock(recording.lines[0].at_ns // 10**6)) as (ages, is_whole):
            began, cpu = time.monotonic(), time.process_time()
            frames = await asyncio.to_thread(said)
            count = -1
            while count != len(ages.found):  # what was sent is still on its way
                count = len(ages.found)
                await asyncio.sleep(0.1)
            wall, spent = time.monotonic() - began, time.process_time() - cpu
            if not is_whole():
                raise RuntimeError("trades were lost on the way; the figures would mean nothing")
    found = [age / 1e6 for age in ages.found]
    own = [share(ages.own, part) * 1e3 if ages.own else None for part in (0.5, 0.99)]
    return Figures(reader, frames, share(found, 0.5), share(found, 0.99), max(found), *own, wall, spent)


def share(values: Sequence[float], part: float) -> float:
    """What `part` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the recording at real speed (346 is all of it)")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    args = parser.parse_args()
    path = _DATA / FILE
    if not path.exists():
        print(f"The recorded tick stream is not here ({path}); set ALGOTRENDY_DATA to the folder it is in.", file=sys.stderr)
        return 2
    recording = Recording.read(path)

    async def both(speed: float, seconds: float) -> list[Figures]:
        return [await measure(reader, path, recording, speed, seconds) for reader in READERS]

    real = asyncio.run(both(1.0, args.seconds))
    full = asyncio.run(both(0.0, 1e9))
    if args.json:
        print(json.dumps({"real": [asdict(one) for one in real], "saturation": [asdict(one) for one in full]}, indent=2))
    print(f"{platform.python_version()}, ccxt {version('ccxt')}, {os.cpu_count()} cores")
    print(f"\nAt real speed ({args.seconds:g} s of it), from sent to readable:\n")
    print("| reader | frames | p50 ms | p99 ms | worst ms | from the socket on: p50, p99 | processor |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for one in real:
        own = "–" if one.own_p99 is None else f"{one.own_p50:.2f}, {one.own_p99:.2f}"
        busy = one.cpu / one.wall
        print(f"| {one.reader} | {one.frames} | {one.p50:.2f} | {one.p99:.2f} | {one.worst:.1f} | {own} | {busy:.1%} |")
    print("\nAt saturation:\n")
    print("| reader | frames | wall s | processor s | frames a second on one core |\n| --- | --- | --- | --- | --- |")
    for one in full:
        print(f"| {one.reader} | {one.frames} | {one.wall:.2f} | {one.cpu:.2f} | {one.a_second:,.0f} |")
    p99 = real[0].p99
    print(f"\nTarget: p99 below {TARGET_P99_MS:g} ms at real speed: {p99:.2f} ms {'✓' if p99 < TARGET_P99_MS else '✗'}")
    return int(p99 >= TARGET_P99_MS)


if __name__ == "__main__":
    sys.exit(main())
