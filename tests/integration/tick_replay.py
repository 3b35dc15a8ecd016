"""Binance over a recorded tick stream: the frames as they were told, over a local WebSocket, and REST beside them.

    with Replay(Recording.read(path)) as replay:
        ...                                     # a client at replay.base_url subscribes
        await replay.play(cuts={4000: 300})     # line 4000: every socket breaks, and 300 lines pass unheard

REST knows what has been played so far, as a venue does. Source of the forms:
https://developers.binance.com/docs/binance-spot-api-docs (REST: market data endpoints; WebSocket Streams).

Run as a program, `python -m tests.integration.tick_replay FILE SPEED SECONDS`, it prints its port, plays so many seconds of the
lines at that multiple of real speed (0: as fast as they are taken), each stamped with when it was sent, and prints how many.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from tests.venues.binance_market import market_row
from tests.venues.engine_types import Market

FILE = "ticks/binance_spot_BTCUSDT_20240808.gz"
SYMBOL = "BTC/USDT"
TRADES, QUOTES = "btcusdt@trade", "btcusdt@bookTicker"
MINUTE_MS = 60_000
_LINE = re.compile(r'^(\d+) \{"stream":"([^"]+)","data":(.*)\}$')
_ROOM = 200
"""Lines that may be on their way, where it is known what has arrived."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event: when it was recorded, of which stream, and its frame; the trade's fields if it is one."""

    at_ns: int
    stream: str
    frame: str
    trade: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Recording:
    """Trades and best prices of one market, in the order in which they came."""

    lines: Sequence[Line]

    @classmethod
    def read(cls, path: Path) -> Self:
        lines: list[Line] = []
        with gzip.open(path, "rt") as file:
            for text in file:
                match = _LINE.match(text)
                if match and match[2] in (TRADES, QUOTES):
                    trade = json.loads(match[3]) if match[2] == TRADES else None
                    lines.append(Line(int(match[1]), match[2], match[3], trade))
        return cls(lines)

    @property
    def trades(self) -> list[Mapping[str, object]]:
        return [line.trade for line in self.lines if line.trade is not None]


def candles(trades: Sequence[Mapping[str, object]]) -> dict[int, tuple[Decimal, ...]]:
    """Open, high, low, close and volume of each minute, by its start in ms; the trades in the order of their ids."""
    minutes: dict[int, list[tuple[Decimal, Decimal]]] = {}
    for trade in trades:
        start = int(str(trade["T"])) // MINUTE_MS * MINUTE_MS
        minutes.setdefault(start, []).append((Decimal(str(trade["p"])), Decimal(str(trade["q"]))))
    found: dict[int, tuple[Decimal, ...]] = {}
    for start, rows in minutes.items():
        prices = [price for price, _ in rows]
        found[start] = (prices[0], max(prices), min(prices), prices[-1], sum((size for _, size in rows), Decimal(0)))
    return found


class Replay:
    """The venue, on a free port of 127.0.0.1, in a thread of its own.

    Attributes:
        now_ms: the time of the last event that was played.
        asked: how often each REST path was asked.
    """

    def __init__(self, recording: Recording, *, stamps: bool = False) -> None:
        self._lines = recording.lines
        self._stamps = stamps
        self._sockets: dict[str, set[web.WebSocketResponse]] = {TRADES: set(), QUOTES: set()}
        self._transports: dict[web.WebSocketResponse, asyncio.Transport] = {}
        self._played: list[Mapping[str, object]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replay", daemon=True)
        self.now_ms = next(int(str(line.trade["E"])) for line in self._lines if line.trade)
        self.asked: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def play(
        self,
        *,
        cuts: Mapping[int, int] | None = None,
        arrived: Callable[[], int] | None = None,
        waits: Callable[[], bool] = lambda: False,
        speed: float = 0.0,
        seconds: float = float("inf"),
        lines: range | None = None,
    ) -> int:
        """Play the lines to whoever has subscribed to both streams; may be awaited on another loop.

        Args:
            cuts: lines at which every socket breaks, and how many lines pass until somebody is told again.
            arrived: how many frames the client has had; it is not left far behind then.
            waits: whether to stand still: a venue does not do a minute's business while it is asked for a page of trades.
            speed: multiple of real speed; 0 is as fast as they are taken.
            seconds: of the recording.
            lines: those to play, if not all.

        Returns:
            Lines that were sent.
        """
        playing = asyncio.run_coroutine_threadsafe(self._play(cuts or {}, arrived, waits, speed, seconds, lines), self._loop)
        return await asyncio.wrap_future(playing)

    async def _play(
        self,
        cuts: Mapping[int, int],
        arrived: Callable[[], int] | None,
        waits: Callable[[], bool],
        speed: float,
        seconds: float,
        lines: range | None,
    ) -> int:
        await self._subscribed()
        loop, sent, passing = asyncio.get_running_loop(), 0, 0
        began, first = loop.time(), self._lines[0].at_ns
        before = arrived() if arrived else 0
        for index in lines or range(len(self._lines)):
            line = self._lines[index]
            due = (line.at_ns - first) / 1e9
            if due > seconds:
                break
            if index in cuts:
                self._break()
                passing = cuts[index]
            if line.trade is not None:
                self._played.append(line.trade)
                self.now_ms = int(str(line.trade["E"]))
            if passing:
                passing -= 1
                if not passing:
                    await self._subscribed()
                    before, sent = arrived() if arrived else 0, 0
                continue
            if speed and (wait := began + due / speed - loop.time()) > 0:
                await asyncio.sleep(wait)
            frame = f'{line.frame[:-1]},"sent_ns":{time.monotonic_ns()}}}' if self._stamps else line.frame
            for socket in tuple(self._sockets[line.stream]):
                await socket.send_str(frame)
            sent += 1
            while waits() or (arrived is not None and sent - (arrived() - before) > _ROOM):  # noqa: ASYNC110 - a reader elsewhere
                await asyncio.sleep(0.001)
        return sent

    async def _subscribed(self) -> None:
        while not all(self._sockets.values()):  # noqa: ASYNC110 - clients come when they like
            await asyncio.sleep(0.002)

    def _break(self) -> None:
        for sockets in self._sockets.values():
            for socket in sockets:
                self._transports[socket].abort()
            sockets.clear()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/stream/{tail:.*}", self._stream)
        app.router.add_get("/api/v3/{path}", self._rest)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        self.base_url = f"http://127.0.0.1:{self.port}"

    async def _stop(self) -> None:
        self._break()
        await self._runner.cleanup()

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        self._transports[socket] = request.transport
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                asked = json.loads(message.data)
                await socket.send_json({"result": None, "id": asked["id"]})
                for name in asked["params"]:
                    self._sockets.get(name, set()).add(socket)
        finally:
            del self._transports[socket]
            for sockets in self._sockets.values():
                sockets.discard(socket)
        return socket

    async def _rest(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.asked[path] = self.asked.get(path, 0) + 1
        match path:
            case "exchangeInfo":
                return web.json_response(
                    {"timezone": "UTC", "serverTime": self.now_ms, "symbols": [market_row(Market("BTC", "USDT"))]}
                )
            case "trades":
                rows = self._played[-int(request.query.get("limit", "500")) :]
                return web.json_response([_trade_row(row) for row in rows])
            case "klines":
                return web.json_response(self._klines(int(request.query["startTime"]), int(request.query["limit"])))
        return web.json_response({"code": -1121, "msg": "Not played here."}, status=400)

    def _klines(self, start: int, limit: int) -> list[list[object]]:
        rows = [(at, values) for at, values in sorted(candles(self._played).items()) if at >= start][:limit]
        return [[at, *map(str, values), at + MINUTE_MS - 1, "0", 1, "0", "0", "0"] for at, values in rows]


def _trade_row(trade: Mapping[str, object]) -> dict[str, object]:
    names = {"id": "t", "price": "p", "qty": "q", "time": "T", "isBuyerMaker": "m", "isBestMatch": "M"}
    return {name: trade[letter] for name, letter in names.items()}


def main(path: str, speed: str, seconds: str) -> None:
    with Replay(Recording.read(Path(path)), stamps=True) as replay:
        print(replay.port, flush=True)
        sent = asyncio.run(replay.play(speed=float(speed), seconds=float(seconds)))
        print(sent, flush=True)
        sys.stdin.read()  # until whoever asked has taken it all


if __name__ == "__main__":
    main(*sys.argv[1:])
