"""The paper exchange in a process of its own, behind HTTP, over a line that can be made to fail.

usage: python -m tests.crash.paper_venue FOLDER

It prints the port it listens on and serves any number of accounts, each under a path of its own, with its own file in FOLDER
and its own simulated clock. A request moves that clock to the instant in its `x-now` header. The process is told of its
owner's end by the end of its standard input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import uvicorn
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.unit.feeds import BarFeed, flat
from tests.unit.paper_exchange import BTC, DEPOSIT, ETH, PLAIN, at, instrument
from trading_core.brokers.base import Balance, OrderReport
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock, iso
from trading_core.domain.errors import BrokerError, OrderRefused
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Timeframe
from trading_core.domain.orders import Fill, OrderRequest

ACCOUNT = "paper-1"
BALANCES, FILLS = TypeAdapter(dict[str, Balance]), TypeAdapter(list[Fill])
INSTRUMENTS, REQUEST = TypeAdapter(dict[str, Instrument]), TypeAdapter(OrderRequest)
REPORT, REPORTS = TypeAdapter(OrderReport), TypeAdapter(list[OrderReport])
ANSWER_SECONDS = 0.003
SLOW_SECONDS = 3.0  # longer than the client waits for an answer to a write


class LinkFault(StrEnum):
    """What can go wrong between an order and the answer to it."""

    REPLY_LOST = "the reply is lost after execution"
    SLOW = "the reply comes after the client gave up"
    ERROR_AFTER = "500 after execution"
    ERROR_BEFORE = "500 before execution"
    BROKEN_BODY = "the body breaks off after execution"
    RESET = "the connection is reset before execution"

    @property
    def executes(self) -> bool:
        return self not in (LinkFault.ERROR_BEFORE, LinkFault.RESET)


def market() -> BarFeed:
    """A market that stands at 100. BTC is deep; an account may take 20 ETH in an hour."""
    volumes = {BTC: "100000", ETH: "200"}
    bars = {symbol: [flat(hour, volume=volume) for hour in range(100)] for symbol, volume in volumes.items()}
    return BarFeed([instrument(symbol) for symbol in bars], bars)


@dataclass
class Account:
    """One account, and what the venue remembers of the requests that reached it.

    Attributes:
        received: requests to place an order, by client order id, whatever became of them.
        executed: client order ids of the orders that were taken.
        faults: of the next calls to `place` and to `cancel`; None and calls beyond them go well.
    """

    broker: PaperBroker
    clock: SimulatedClock
    received: Counter[str] = field(default_factory=Counter)
    executed: list[str] = field(default_factory=list)
    faults: dict[str, list[LinkFault | None]] = field(default_factory=dict)

    def next_fault(self, call: str) -> LinkFault | None:
        waiting = self.faults.get(call)
        return waiting.pop(0) if waiting else None


class PaperVenue:
    """The accounts, and the routes to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._feed = market()
        self._accounts: dict[str, Account] = {}
        self.transports: dict[object, asyncio.Transport] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/{account}", self.open_account, methods=["POST"]),
            Route("/{account}/faults", self.set_faults, methods=["POST"]),
            Route("/{account}/audit", self.audit),
            Route("/{account}/instruments", self.instruments),
            Route("/{account}/balances", self.balances),
            Route("/{account}/fills", self.fills),
            Route("/{account}/orders", self.open_orders),
            Route("/{account}/orders", self.place, methods=["POST"]),
            Route("/{account}/orders/{key}", self.order),
            Route("/{account}/orders/{key}", self.cancel, methods=["DELETE"]),
        ]

    # For the test

    async def open_account(self, request: Request) -> Response:
        name, clock = request.path_params["account"], SimulatedClock(at(1))
        store = PaperStore(self._folder / f"{name}.venue.db")
        hour = Timeframe("1h")
        broker = PaperBroker(self._feed, clock, hour, account_id=ACCOUNT, deposit=DEPOSIT, store=store, rules=PLAIN)
        await broker.open()
        self._accounts[name] = Account(broker, clock)
        return Response(status_code=201)

    async def set_faults(self, request: Request) -> Response:
        account, given = self._account(request), await request.json()
        account.faults = {call: [fault and LinkFault(fault) for fault in faults] for call, faults in given.items()}
        return Response(status_code=204)

    async def audit(self, request: Request) -> Response:
        account = self._account(request)
        return JSONResponse({"now": iso(account.clock.now()), "received": account.received, "executed": account.executed})

    # For the desk

    async def instruments(self, request: Request) -> Response:
        return _json(INSTRUMENTS.dump_json(dict(await self._account(request).broker.instruments())))

    async def balances(self, request: Request) -> Response:
        return _json(BALANCES.dump_json(dict(await self._account(request).broker.balances())))

    async def fills(self, request: Request) -> Response:
        since = datetime.fromisoformat(request.query_params["since"])
        return _json(FILLS.dump_json(list(await self._account(request).broker.fills(since=since))))

    async def open_orders(self, request: Request) -> Response:
        return _json(REPORTS.dump_json(list(await self._account(request).broker.open_orders())))

    async def order(self, request: Request) -> Response:
        key, symbol = request.path_params["key"], request.query_params["symbol"]
        report = await self._account(request).broker.order(key, symbol)
        return JSONResponse({"unknown": key}, 404) if report is None else _json(REPORT.dump_json(report))

    async def place(self, request: Request) -> Response:
        account = self._account(request)
        order = REQUEST.validate_json(await request.body())
        account.received[order.client_order_id] += 1
        fault = account.next_fault("place")
        answer: Response = JSONResponse({"error": "nothing was done"}, 500)
        if fault is None or fault.executes:
            try:
                answer = _json(REPORT.dump_json(await account.broker.place(order)))
                account.executed.append(order.client_order_id)
            except OrderRefused as error:
                answer = JSONResponse({"refused": error.what}, 422)
        return await self._over_the_line(request, answer, fault)

    async def cancel(self, request: Request) -> Response:
        account = self._account(request)
        fault = account.next_fault("cancel")
        answer: Response = JSONResponse({"error": "nothing was done"}, 500)
        if fault is None or fault.executes:
            try:
                report = await account.broker.cancel(request.path_params["key"], request.query_params["symbol"])
                answer = _json(REPORT.dump_json(report))
            except OrderRefused as error:
                answer = JSONResponse({"refused": error.what}, 422)
        return await self._over_the_line(request, answer, fault)

    async def _over_the_line(self, request: Request, answer: Response, fault: LinkFault | None) -> Response:
        """What the client gets to see of an answer, and never at once: it always has to wait, so that it can die waiting."""
        await asyncio.sleep(ANSWER_SECONDS)
        transport = self.transports[request.scope["client"]]
        match fault:
            case LinkFault.REPLY_LOST:
                transport.abort()
            case LinkFault.RESET:
                # A close with data or not, and no time to linger, is a reset (RST) instead of an end (FIN).
                line = transport.get_extra_info("socket")
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            case LinkFault.SLOW:
                await asyncio.sleep(SLOW_SECONDS)
            case LinkFault.ERROR_AFTER | LinkFault.ERROR_BEFORE:
                return JSONResponse({"error": "internal error"}, 500)
            case LinkFault.BROKEN_BODY:
                return _json(bytes(answer.body)[: len(answer.body) // 2])
        return answer

    def _account(self, request: Request) -> Account:
        """The account of the path, with its clock at the request's instant."""
        account = self._accounts[request.path_params["account"]]
        if stamp := request.headers.get("x-now"):
            account.clock.advance_to(max(account.clock.now(), datetime.fromisoformat(stamp)))
        return account


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _broker_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503)


async def main(folder: Path) -> None:
    venue = PaperVenue(folder)

    class Line(H11Protocol):
        """Keeps the transports by peer, so that a fault can break one."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            venue.transports[transport.get_extra_info("peername")] = transport

    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=venue.routes(), exception_handlers={BrokerError: _broker_error})
    config = uvicorn.Config(
        app, http=Line, loop="asyncio", ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    serving = asyncio.create_task(server.serve([listener]))
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
