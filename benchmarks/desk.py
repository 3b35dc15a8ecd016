"""What an order costs: the gate's latency, and orders a second through the whole desk on a durable ledger.

The gate decides on one buy in a busy account, with nothing read: `evaluate` alone. The desk buys and sells each symbol in turn:
propose, submit, accepted, fill booked, and a sync after each. A buy gets its stop from the core and a sale takes it back, so that
each turn makes three orders, all of them counted. The symbols of a case go at once, as the branches of a cycle do; their sales
stand in line. Commits wait for the disk (`synchronous = FULL`). The paper exchange answers from memory and its clock is
simulated, so no time is spent on a network.

The targets stand beside the figures: that of orders a second is for symbols that are traded at once, whose commits go to the disk
together. The exit status is 1 when one is missed or when repeats end with another portfolio. On a
machine that others use the processor's time says more than the wall's.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `tests`, which is not installed

from tests.unit import risk_cases
from tests.unit.desk_cases import ACCOUNT, LIMITS, RUN, RUNNER, TRADER, buy, sell
from tests.unit.feeds import BarFeed, flat
from tests.unit.paper_exchange import DEPOSIT, PLAIN, at, instrument
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.intents import TradeIntent, Verdict
from trading_core.domain.market import Timeframe
from trading_core.domain.money import plain
from trading_core.domain.orders import Order, OrderState, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.engine import GateInputs, evaluate
from trading_core.risk.limits_book import LimitsBook

_LIMITS = LIMITS.model_copy(update={"max_positions": 50})
_PACKAGES = ("sqlalchemy", "aiosqlite", "pydantic")
POSITIONS, OPEN_ORDERS = 20, 50
GATE_MICROSECONDS, ORDERS_A_SECOND = 100.0, 300.0


class Broken(Exception):
    """The desk did not do what is measured."""


@dataclass
class Trading:
    """Milliseconds of every step of one case, and what came of it. `cpu_seconds` are of all threads of this process."""

    symbols: int
    orders: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: dict[str, list[float]] = field(
        default_factory=lambda: {"propose": [], "submit buy": [], "submit sale": [], "sync": []}
    )
    fingerprint: str = ""

    @property
    def orders_a_second(self) -> float:
        return self.orders / self.seconds


def gate_inputs() -> GateInputs:
    """A busy account: 20 positions under stops, and 30 buys that work."""
    names = [f"C{number:02}/USDT" for number in range(POSITIONS)]
    stops = [risk_cases.live(Side.SELL, 10, name, client_order_id=f"s{name}") for name in names]
    buys = [risk_cases.live(Side.BUY, 1, names[n % POSITIONS], client_order_id=f"b{n}") for n in range(OPEN_ORDERS - POSITIONS)]
    held = {name.partition("/")[0]: 10 for name in names}
    return risk_cases.inputs(
        portfolio=risk_cases.holding(100_000, **held),
        open_orders=(*stops, *buys),
        instruments={name: risk_cases.instrument(name) for name in (*names, risk_cases.BTC)},
        tickers={name: risk_cases.ticker(name) for name in (*names, risk_cases.BTC)},
        recent_orders=tuple(risk_cases.recent(300 + n, intent_id=f"r{n}") for n in range(OPEN_ORDERS)),
    )


def gate(times: int) -> list[tuple[float, float]]:
    """Microseconds of each decision: on the wall, and of the processor."""
    given, intent = gate_inputs(), risk_cases.buy(1)
    limits = risk_cases.limits(
        max_open_orders=100, max_positions=50, max_exposure=1, max_concentration=1, max_correlated_exposure=1
    )
    decision = evaluate(intent, given, limits)
    if decision.verdict is not Verdict.APPROVED:
        raise Broken(f"the gate denies: {decision.reason_codes}")
    taken = []
    gc.collect()
    for _ in range(times):
        cpu_began, began = time.thread_time_ns(), time.perf_counter_ns()
        evaluate(intent, given, limits)
        ended, cpu_ended = time.perf_counter_ns(), time.thread_time_ns()
        taken.append(((ended - began) / 1000, (cpu_ended - cpu_began) / 1000))
    return taken


@asynccontextmanager
async def _desk(folder: Path, symbols: Sequence[str]) -> AsyncIterator[tuple[Desk, SimulatedClock, Database]]:
    """A desk on a new ledger, at a paper exchange in memory where everything costs 100 and is deep."""
    feed = BarFeed(
        [instrument(name) for name in symbols], {name: [flat(h, volume="1000000") for h in range(50)] for name in symbols}
    )
    clock, hour = SimulatedClock(at(1)), Timeframe("1h")
    venue = PaperBroker(feed, clock, hour, account_id=ACCOUNT, deposit=DEPOSIT, store=PaperStore(), rules=PLAIN)
    async with venue, await Database.open(folder / "ledger.db") as ledger:
        async with ledger.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, DEPOSIT.asset, DEPOSIT.amount), "paper", at(1))
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, at(1), at(1)))
        desk = Desk(
            account_id=ACCOUNT,
            database=ledger,
            broker=venue,
            feed=feed,
            clock=clock,
            limits=LimitsBook(desk=_LIMITS),
            instruments=await feed.instruments(),
            principals={TRADER.name: TRADER},
        )
        await desk.sync(RUNNER)
        yield desk, clock, ledger


async def trade(symbols: int, rounds: int) -> Trading:
    """Buy and sell each symbol `rounds` times, and once before that is not counted. A buy gets its stop, and a sale takes that
    back: three orders a time."""
    names, measured = [f"C{number:02}/USDT" for number in range(symbols)], Trading(symbols)
    with TemporaryDirectory(prefix="desk-") as folder:
        async with _desk(Path(folder), names) as (desk, clock, ledger):
            for turn in range(rounds + 1):
                if turn == 1:  # the first warms the desk, which is measured while it runs
                    measured.steps = {name: [] for name in measured.steps}
                    began, cpu_began = time.perf_counter(), time.process_time()
                leg, lot = str(turn), Decimal(1)
                await _all(desk, [buy(lot, leg, symbol=name) for name in names], measured, "submit buy")
                await _settle(desk, clock, measured)
                held = (await desk.account(RUNNER)).portfolio
                sales = [sell(lot, leg, symbol=name) for name in names]
                whole = [desk.instruments[name].floor_quantity(held.position(name).quantity) for name in names]
                sales = [replace(sale, quantity=quantity) for sale, quantity in zip(sales, whole, strict=True)]
                await _all(desk, sales, measured, "submit sale")
                await _settle(desk, clock, measured)
            measured.seconds, measured.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
            async with ledger.reading() as uow:
                orders = await uow.orders.all(ACCOUNT)
            if (
                not await desk.agrees(RUNNER)
                or len(orders) != 3 * symbols * (rounds + 1)
                or any(order.is_live for order in orders)
            ):
                raise Broken(f"{len(orders)} orders, of which {sum(order.is_live for order in orders)} live")
            measured.orders = 3 * symbols * rounds
            measured.fingerprint = fingerprint((await desk.account(RUNNER)).portfolio, orders)
    return measured


async def _all(desk: Desk, intents: Sequence[TradeIntent], measured: Trading, step: str) -> None:
    """Propose and submit, all at once as the branches of a cycle do."""

    async def one(intent: TradeIntent) -> None:
        began = time.perf_counter()
        await desk.propose(TRADER, intent)
        proposed = time.perf_counter()
        sent = await desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
        if not isinstance(sent, Order) or sent.state is not OrderState.OPEN:
            raise Broken(
                f"{intent.side} {intent.symbol} was not taken: {sent.state if isinstance(sent, Order) else sent.reason_codes}"
            )
        measured.steps["propose"].append(1000 * (proposed - began))
        measured.steps[step].append(1000 * (time.perf_counter() - proposed))

    await asyncio.gather(*(one(intent) for intent in intents))


async def _settle(desk: Desk, clock: SimulatedClock, measured: Trading) -> None:
    await clock.sleep(1)
    began = time.perf_counter()
    await desk.sync(RUNNER)
    measured.steps["sync"].append(1000 * (time.perf_counter() - began))


def fingerprint(portfolio: Portfolio, orders: Sequence[Order]) -> str:
    """SHA-256 over the final balances and what became of every order."""
    content = {
        "balances": {asset: plain(amount) for asset, amount in sorted(portfolio.balances.items())},
        "orders": sorted([o.client_order_id, o.state.value, plain(o.filled), plain(o.filled_notional)] for o in orders),
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{median(ordered):.2f} ({ordered[0]:.2f}–{ordered[-1]:.2f})"


def report(decisions: Sequence[tuple[float, float]], cases: Sequence[Sequence[Trading]]) -> tuple[str, bool]:
    """For people; and whether every target is met and every repeat came to the same."""
    wall, cpu = zip(*decisions, strict=True)
    middle, p99 = median(wall), quantiles(wall, n=100)[98]
    met = middle < GATE_MICROSECONDS
    lines = [
        f"gate, {OPEN_ORDERS} open orders, {POSITIONS} positions, {len(decisions):,} decisions: "
        f"median {middle:.0f} µs, p99 {p99:.0f} µs (of the processor: {median(cpu):.0f} and {quantiles(cpu, n=100)[98]:.0f})",
        f"  {'✓' if met else '✗'} median < {GATE_MICROSECONDS:g} µs: {middle:.0f}",
    ]
    good = met
    for repeats in cases:
        rates, prints = [one.orders_a_second for one in repeats], sorted({one.fingerprint[:12] for one in repeats})
        at_once, same = repeats[0].symbols > 1, len(prints) == 1
        met = not at_once or median(rates) >= ORDERS_A_SECOND
        steps = {name: median([t for one in repeats for t in one.steps[name]]) for name in repeats[0].steps}
        milliseconds = 1000 * median(one.cpu_seconds / one.orders for one in repeats)
        lines += [
            f"desk, {repeats[0].symbols} symbol(s) at once, {repeats[0].orders} orders: {_spread(rates)} orders/s, "
            f"portfolio {' ≠ '.join(prints)}",
            "  "
            + ", ".join(f"{name} {taken:.1f} ms" for name, taken in steps.items())
            + f"; processor {milliseconds:.1f} ms an order",
            f"  {'✓' if met else '✗'} orders/s ≥ {ORDERS_A_SECOND:g}: {median(rates):.0f}"
            if at_once
            else "  each waits for the disk by itself, four times an order: no target",
            f"  {'✓' if same else '✗'} the same portfolio in every repeat",
        ]
        good = good and met and same
    return "\n".join(lines), good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=5_000, help="how often the gate is asked")
    parser.add_argument("--orders", type=int, default=300, help="orders of each case, about")
    parser.add_argument(
        "--symbols", type=int, nargs="+", default=[1, 10], help="how many symbols are traded at once, a case each"
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"machine: {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start")
    print(f"python: {platform.python_version()}; " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print("ledger: SQLite, WAL, synchronous = FULL; exchange in memory. Times are medians, of the steps in milliseconds")
    try:
        gate(200)  # warm
        decisions = gate(options.decisions)
        rounds = {symbols: max(1, options.orders // (3 * symbols)) for symbols in options.symbols}
        cases = [[asyncio.run(trade(s, rounds[s])) for _ in range(options.repeats)] for s in options.symbols]
    except Broken as error:
        print(f"the desk did not do what is measured: {error}", file=sys.stderr)
        return 1
    text, good = report(decisions, cases)
    print(f"\n{text}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
