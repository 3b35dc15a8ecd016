"""Measuring one configuration: a trading cycle against the model server, and the same cycle again on what is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agents.models import openai_compatible
from agents.models.spec import ModelSettings
from benchmarks.brain import asked_schema, brain, waiting
from graph import report
from graph.config import SessionConfig
from graph.system import TradingSystem
from graph.ticks import ticks
from tests.model_server import ModelServer, RecordedRequest
from trading_core.domain.clock import SimulatedClock
from trading_core.persistence.records import RunState

_BASES = ("BTC", "ETH", "SOL", "XRP", "BNB", "ADA", "DOGE", "LINK", "LTC", "AVAX", "DOT", "BCH", "TRX")
SYMBOLS = tuple(f"{base}/USDT" for base in _BASES)
# The settings make the session's id and this the orders' ids, so it names no port: the fingerprint is the same on every machine.
_NAMED_ENDPOINT = "http://127.0.0.1:9/v1"
_MODEL = "openai:benchmark"
# A desk decides while it runs: connections are open and code is compiled. In the cycle before, nothing is entered.
WARM_UP = 1
_LEVELS = {"MarketView", "Signal", "RiskPlan", "ExecutionPlan"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: the last of `cycles` cycles after the warm-up. From the second on, holdings are rebalanced."""

    symbols: int
    cycles: int = 1
    streamed: bool = False

    @property
    def rebalances(self) -> bool:
        return self.cycles > 1

    @property
    def name(self) -> str:
        extras = ", rebalancing" * self.rebalances + ", streamed" * self.streamed
        return f"{self.symbols} symbol{'s' * (self.symbols > 1)}{extras}"

    def config(self, *, longer: int = 0) -> SessionConfig:
        """The session. `longer` makes it another one (with an id and a ledger of its own) over the same bars."""
        return SessionConfig.parse(
            {
                "symbols": SYMBOLS[: self.symbols],
                "cycles": WARM_UP + self.cycles + longer,
                "rebalance_every": int(self.rebalances),
                "model": {"model": _MODEL, "base_url": _NAMED_ENDPOINT},
                "limits": {"approval_above_notional": None},  # nobody is there to approve
            }
        )


@dataclass(frozen=True, slots=True)
class Cycle:
    """One measured cycle. Times in seconds.

    Attributes:
        deep: longest chain of calls in which each began after the last had ended.
        outside: wall time in which the server had no request in flight.
        prompt_tokens: of all calls, a quarter of the characters the server was sent.
        session_calls: calls of the whole session, the cycles before the measured one included.
    """

    calls: int
    deep: int
    wall: float
    outside: float
    prompt_tokens: int
    orders: int
    session_calls: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A cycle that knows nothing, and the same cycle again: in the same session, its ledger removed; in another session.

    `other` is None for a case of several cycles: from the second on, a snapshot holds orders, and those name their session.
    """

    fresh: Cycle
    again: Cycle
    other: Cycle | None


class Broken(Exception):
    """The cycle did not do what is measured; its figures would mean nothing."""


async def sample(case: Case, server: ModelServer) -> Sample:
    """Run the case in a new folder."""
    with TemporaryDirectory(prefix="decision-") as folder:
        home = Path(folder)
        fresh = await _cycle(case, case.config(), home, server)
        levels = {asked_schema(request.body) for request in server.requests}
        expected = _LEVELS | ({"RebalancePlan"} if case.rebalances else set())
        if levels != expected or not fresh.orders:
            raise Broken(f"{case.name}: asked {sorted(levels)}, {fresh.orders} orders; expected {sorted(expected)} and some")
        shutil.rmtree(home / "simulations")
        again = await _cycle(case, case.config(), home, server)
        other = None if case.rebalances else await _cycle(case, case.config(longer=1), home, server)
    return Sample(fresh, again, other)


async def _cycle(case: Case, config: SessionConfig, home: Path, server: ModelServer) -> Cycle:
    settings = ModelSettings(model=_MODEL, base_url=server.base_url)
    server.requests.clear()
    delay = server.delay
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(openai_compatible.http_pool())
        model = openai_compatible.build(settings, pool)
        if case.streamed:
            model = model.model_copy(update={"streaming": True})
        system = await stack.enter_async_context(TradingSystem.open(config, home, model=model))
        before, began = 0, 0.0
        for number, tick in enumerate(islice(ticks(config, system.feed), WARM_UP + case.cycles)):
            assert isinstance(system.clock, SimulatedClock)
            system.clock.advance_to(max(tick, system.clock.now()))
            warming_up = number < WARM_UP
            server.brain, server.delay = (waiting, 0.0) if warming_up else (brain, delay)
            before, began = len(server.requests), time.monotonic()
            result = await system.runner.run(tick)
            if result.state is not RunState.DONE:
                raise Broken(f"{case.name}: run {result.run_id} ended {result.state.value} {result.error}")
            if warming_up:
                server.requests.clear()
        ended = time.monotonic()
        exported = await report.export(system)
    measured = server.requests[before:]
    return Cycle(
        calls=len(measured),
        deep=depth(measured),
        wall=ended - began,
        outside=ended - began - sum(end - start for start, end in in_flight(measured)),
        prompt_tokens=sum(request.prompt_tokens for request in measured),
        orders=len(exported["runs"][-1]["orders"]),
        session_calls=len(server.requests),
        fingerprint=fingerprint(exported),
    )


def depth(requests: Sequence[RecordedRequest]) -> int:
    """Longest chain of requests in which each came after the last was answered."""
    chain, free_at = 0, float("-inf")
    for end, start in sorted((_ended(request), request.received_at) for request in requests):
        if start >= free_at:
            chain, free_at = chain + 1, end
    return chain


def in_flight(requests: Sequence[RecordedRequest]) -> Iterator[tuple[float, float]]:
    """The union of the times in which at least one request was being answered, as disjoint intervals."""
    start = end = float("-inf")
    for request in sorted(requests, key=lambda request: request.received_at):
        if request.received_at > end:
            if end > start:
                yield start, end
            start = request.received_at
        end = max(end, _ended(request))
    if end > start:
        yield start, end


def _ended(request: RecordedRequest) -> float:
    if request.finished_at is None:
        raise Broken(f"request {request.number} was never answered")
    return request.finished_at


def fingerprint(exported: dict[str, Any]) -> str:
    """SHA-256 over what was decided and ordered. What only names the session or the endpoint is left out."""
    content = [
        {
            "decisions": [_without(decision, "model") for decision in run["decisions"]],
            "orders": sorted((_without(order, "id") for order in run["orders"]), key=lambda order: json.dumps(order)),
        }
        for run in exported["runs"]
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
