"""A desk that trades through a storm: real HTTP and sockets, every kind of fault, a market that moves, and then an audit.

The clocks of the venue, the desk and ccxt are the machine's, ahead of it by what was leapt: nights pass in no time, and so do the
seconds after which a venue's silence counts. Everything is drawn from one seed; which request meets a fault is up to the machine
as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TypeVar, cast

from tests.crash.connections import WIDE, hurry
from tests.crash.quoted_feed import QuotedFeed
from tests.unit.desk_cases import ACCOUNT, LIMITS, RUNNER, TRADER, buy, migrated, sell
from tests.venues import faults as wrong
from tests.venues.engine import Exchange
from tests.venues.engine_types import Status
from tests.venues.local import ACCOUNT as AT_VENUE
from tests.venues.local import LocalVenue
from tests.venues.server import Seen, VenueServer, wall_clock_ms
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.broker import CcxtBroker
from trading_core.brokers.venues.client import open_client
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import AlgoTrendyError, BrokerError
from trading_core.domain.intents import Verdict, make_intent_id
from trading_core.domain.money import ZERO
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

T = TypeVar("T")
D = Decimal
BASES, QUOTE = ("BTC", "ETH", "SOL", "XRP"), "USDT"
PRICE, DEPOSIT = D(100), D(1_000_000)
SHARE = 0.05
FAULTS = (
    *wrong.WRITE_FAULTS,
    wrong.DOUBLED,
    wrong.REORDERED,
    wrong.NO_PERMISSION,
    wrong.BAD_KEY,
    wrong.banned(),
    wrong.maintenance(),
    wrong.late(0.05),
    wrong.drip(0.05),
)
SPOILT = ("place", "cancel", "order", "open_orders", "orders", "trades", "balance", "time", "stream_token")
DAY, NIGHT = 100, timedelta(hours=25)
"""Orders after which the next day begins: what the desk remembers of a day, or reads again, is no longer than that."""
NAP_SECONDS = 0.004
UNKNOWN = (OrderState.SUBMITTING, OrderState.UNKNOWN)
WIDE_LIMITS = LIMITS.model_copy(update={"orders_per_day": 10**6, "orders_per_day_per_actor": 10**6, "orders_per_minute": 10**5})
WIDE_LIMITS = WIDE_LIMITS.model_copy(update={"orders_per_minute_per_actor": 10**5})
_STATES = {
    Status.OPEN: OrderState.OPEN,
    Status.FILLED: OrderState.FILLED,
    Status.CANCELLED: OrderState.CANCELLED,
    Status.EXPIRED: OrderState.CANCELLED,
}


class StormClock(SystemClock):
    """The machine's time and a lead. Whoever sleeps on it naps, and monotonic time goes on as if it had slept."""

    def __init__(self) -> None:
        self.lead = timedelta()
        self._slept = 0.0

    def now(self) -> datetime:
        return super().now() + self.lead

    def at_venue(self) -> int:
        return wall_clock_ms() + self.lead // timedelta(milliseconds=1)

    async def sleep(self, seconds: float) -> None:
        self._slept += seconds
        await asyncio.sleep(min(seconds, NAP_SECONDS))

    def monotonic(self) -> float:
        return time.monotonic() + self._slept + self.lead.total_seconds()


class _Timed(Protocol):
    """What tells ccxt's client the time, in milliseconds since 1970 UTC."""

    milliseconds: Callable[[], int]


@dataclass
class Log:
    """What happened, counted.

    Attributes:
        placed: requests to place an order that reached the venue, by client order id.
        faults: by kind.
        errors: what the desk raised or its listener told, by kind.
    """

    placed: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def take(self, seen: list[Seen]) -> None:
        """Count what the server has kept, and let it forget that: a hundred thousand requests would not fit."""
        batch = seen[:]
        del seen[: len(batch)]
        for one in batch:
            self.requests[one.operation] += 1
            if one.fault:
                self.faults[one.fault] += 1
            if one.operation == "place":
                params = one.call.params
                self.placed[params.get("newClientOrderId") or params["cl_ord_id"]] += 1


@dataclass
class Storm:
    """A desk, its venue, and what goes on."""

    desk: Desk
    throttle: Throttle
    broker: CcxtBroker
    database: Database
    clock: StormClock
    exchange: Exchange
    server: VenueServer
    chance: random.Random
    log: Log = field(default_factory=Log)
    run: str = ""

    async def rage(self, orders: int) -> None:
        """Trade until the desk has sent so many orders, then let it clear up and everything come to rest."""
        began, cpu_began = time.perf_counter(), time.process_time()
        days = turns = 0
        self.server.faults.sample(random.Random(self.chance.random()), SHARE, FAULTS, SPOILT)
        listener = asyncio.create_task(self._listen())
        while len(self.log.placed) < orders and not listener.done():
            if len(self.log.placed) >= days * DAY:
                days += 1
                await self._next_day(f"day {days}")
            turns += 1
            self._spoil_streams(turns)
            await asyncio.gather(*(self._trade(symbol, f"{turns}") for symbol in self.exchange.markets))
            self._move()
            if turns % 10 == 0:
                await self._try("cancel", self.desk.cancel_entries(RUNNER, but_run="a later one"))
            await self._try("sync", self.desk.sync(RUNNER))
            if any(order.state in UNKNOWN for order in (await self.desk.account(RUNNER)).live_orders):
                await self._leap(ABSENT_AFTER)
            if (ban := self.throttle.wait) > 1:
                await self._leap(timedelta(seconds=ban))
            self.log.take(self.server.seen)
        self.server.faults.clear()
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await self._rest()
        self.log.take(self.server.seen)
        self.log.seconds, self.log.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began

    async def _trade(self, symbol: str, leg: str) -> None:
        """Enter, or leave some or all of what is held; now and then neither."""
        held = (await self.desk.account(RUNNER)).portfolio.position(symbol).quantity
        instrument, last = self.desk.instruments[symbol], self.exchange.last(symbol)
        assert last is not None
        lucky = self.chance.random()
        if lucky < 0.1:
            return
        share = D(self.chance.choice(("0.3", "1")))
        if held > 1 and lucky < 0.6:
            quantity = instrument.floor_quantity(held * share)
            intent = sell(quantity, leg, symbol=symbol)
        else:
            quantity = instrument.floor_quantity(D(str(round(self.chance.uniform(2, 8), 3))))
            away = D("1.005") if lucky < 0.9 else D("0.99")
            limit, stop = instrument.floor_price(last * away), instrument.floor_price(last * D("0.96"))
            intent = buy(quantity, leg, symbol=symbol, limit_price=limit, stop_price=stop)
        intent_id = make_intent_id(self.run, intent.purpose, symbol, leg)
        intent = replace(intent, intent_id=intent_id, run_id=self.run, created_at=self.clock.now())
        decision = await self.desk.propose(TRADER, intent)
        if decision.verdict is not Verdict.APPROVED:
            self.log.denied.update(decision.reason_codes)
            return
        for _ in range(2):  # the second finds it sent, and sends nothing
            sent = await self._try("submit", self.desk.submit(TRADER, intent_id, WorkingStyle.NOW))
        if sent is not None and not isinstance(sent, Order):
            self.log.denied.update(sent.reason_codes)

    def _move(self) -> None:
        """Prices walk around 100, and little is offered at each: large orders fill in parts."""
        for symbol, market in self.exchange.markets.items():
            last = self.exchange.last(symbol)
            assert last is not None
            step = D(str(round(self.chance.gauss(0, 0.015), 4)))
            price = (last * (1 + step) + (PRICE - last) / 10) // market.tick * market.tick
            self.exchange.move(symbol, price, D(self.chance.choice((1, 3, 5, 1000))))

    def _spoil_streams(self, turn: int) -> None:
        streams = self.server.faults.streams
        streams.clear()
        match turn % 12:
            case 2:
                streams.double(3)
                self.log.streams["events doubled"] += 3
            case 4:
                streams.swap()
                self.log.streams["events swapped"] += 1
            case 6:
                streams.silence(answers_pings=True)
                self.log.streams["silences"] += 1
            case 9:
                streams.drop()
                self.log.streams["drops"] += 1

    async def _next_day(self, run: str) -> None:
        async with self.database.transaction() as uow:
            await uow.runs.start(RunRecord(run, ACCOUNT, RunKind.CYCLE, self.clock.now(), self.clock.now()))
        if self.run:
            await self._leap(NIGHT)
        prices = {symbol: last for symbol in self.exchange.markets if (last := self.exchange.last(symbol)) is not None}
        await self.desk.observe(RUNNER, prices, await self.desk.account(RUNNER))  # what the day's losses are counted from
        self.run = run

    async def _leap(self, how_far: timedelta) -> None:
        """Time passes; then the venue is read."""
        self.clock.lead += how_far + timedelta(seconds=1)
        await self._try("sync", self.desk.sync(RUNNER))

    async def _rest(self) -> None:
        """Let bans end, entries be taken back, and a deep market fill what the core sells: then nothing but stops is live."""
        for symbol in self.exchange.markets:
            self.exchange.move(symbol, PRICE)
        await self._leap(timedelta(seconds=self.throttle.wait))
        await self.desk.cancel_entries(RUNNER, but_run="a later one")
        for _ in range(10):
            await self._leap(ABSENT_AFTER)
            synced = await self.desk.sync(RUNNER)
            if not synced.placed and all(order.purpose is Purpose.STOP for order in synced.view.live_orders):
                return
        raise AssertionError(f"the desk does not come to rest: {synced}")

    async def _listen(self) -> None:
        async with aclosing(self.desk.listen(RUNNER)) as brought:
            async for item in brought:
                if isinstance(item, AlgoTrendyError):
                    self.log.errors[f"listening: {type(item).__name__}"] += 1

    async def _try(self, what: str, work: Awaitable[T]) -> T | None:
        """The venue may be out of reach or say no: then the desk goes on later."""
        try:
            return await work
        except BrokerError as error:
            self.log.errors[f"{what}: {type(error).__name__}"] += 1
            return None


@asynccontextmanager
async def storm(kind: LocalVenue, folder: Path, seed: int) -> AsyncIterator[Storm]:
    """A desk with a new ledger and a new account at a local venue where four coins trade."""
    kind = replace(kind, markets=tuple(replace(kind.markets[0], base=base, quote=QUOTE) for base in BASES))
    clock = StormClock()
    exchange = Exchange(kind.markets, clock.at_venue, fees=kind.fees, ids_unique_for_ever=kind.ids_unique_for_ever)
    exchange.deposit(AT_VENUE, QUOTE, DEPOSIT)
    for symbol in exchange.markets:
        exchange.move(symbol, PRICE)
    with VenueServer(kind.stand(exchange)) as server:
        async with AsyncExitStack() as stack:
            throttle = Throttle(WIDE, burst=WIDE, monotonic=clock.monotonic, sleep=clock.sleep)
            client = open_client(kind.profile, kind.credentials, throttle, sandbox=False, base_url=server.base_url)
            hurry(client)
            cast(_Timed, client).milliseconds = clock.at_venue
            began_at, jitter = clock.now() - timedelta(seconds=1), random.Random(seed)
            broker = CcxtBroker(
                kind.profile, client, list(exchange.markets), clock=clock, history_from=began_at, jitter=jitter, is_paper=False
            )
            stack.push_async_callback(broker.close)
            await migrated(folder / "ledger.db")
            database = await stack.enter_async_context(await Database.open(folder / "ledger.db"))
            async with database.transaction() as uow:
                await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, QUOTE, DEPOSIT), broker.venue, began_at)
            instruments = await broker.instruments()
            desk = Desk(
                account_id=ACCOUNT,
                database=database,
                broker=broker,
                feed=QuotedFeed(instruments, exchange.last),
                clock=clock,
                limits=LimitsBook(desk=WIDE_LIMITS),
                instruments=instruments,
                principals={TRADER.name: TRADER},
            )
            await desk.sync(RUNNER)
            yield Storm(desk, throttle, broker, database, clock, exchange, server, random.Random(seed))


@dataclass(frozen=True)
class Audit:
    """What the ledger and the venue say when it is quiet.

    Attributes:
        wrong: everything that does not hold, in words.
        states: how the orders ended.
        unknown: how those ended whose answer was lost.
    """

    wrong: Sequence[str]
    states: Mapping[str, int]
    unknown: Mapping[str, int]
    fills: int


async def audit(storm: Storm) -> Audit:
    """Compare the ledger with the venue's own books, number by number, and prove it as `verify` does."""
    async with storm.database.reading() as uow:
        orders = {order.client_order_id: order for order in await uow.orders.all(ACCOUNT)}
        fills = await uow.fills.of_account(ACCOUNT)
        portfolio = await uow.portfolios.load(ACCOUNT)
        lost = [key for key in orders if any(step.state in UNKNOWN[1:] for step in await uow.orders.events(key))]
    there = storm.exchange.orders_of(AT_VENUE)
    by_key = {order.ticket.client_id: order for order in there}
    found = [f"{key} was sent {times} times" for key, times in storm.log.placed.items() if times > 1]
    found += [f"the venue took {len(there)} orders under {len(by_key)} ids"] * (len(there) != len(by_key))
    found += [f"the venue took {key}, and the ledger does not know it" for key in by_key.keys() - orders.keys()]
    for key, order in orders.items():
        at_venue = by_key.get(key)
        # Kraken calls cancelled what its market orders leave over; others, expired.
        ended = OrderState.CANCELLED if order.state is OrderState.EXPIRED else order.state
        here, theirs = (ended, order.filled, order.filled_notional), (OrderState.REFUSED, ZERO, ZERO)
        if at_venue is not None:
            state = _STATES[at_venue.status]
            state = OrderState.PARTIALLY_FILLED if state is OrderState.OPEN and at_venue.filled else state
            theirs = (state, at_venue.filled, at_venue.spent)
        if here != theirs:
            found.append(f"{key}: {here} in the ledger, {theirs} at the venue")
    executed = storm.exchange.executions[AT_VENUE]
    told = Counter((e.order.ticket.client_id, e.price, e.quantity, e.fee, e.fee_asset, e.is_maker) for e in executed)
    booked = Counter((f.client_order_id, f.price, f.quantity, f.fee.amount, f.fee.asset, f.is_maker) for f in fills)
    found += [f"executions differ: {one}" for one in (told - booked) + (booked - told)]
    fees = Counter[str]()
    for execution in executed:
        fees[execution.fee_asset] += execution.fee
    held = {asset: wallet.free + wallet.locked for asset, wallet in storm.exchange.wallets[AT_VENUE].items()}
    for what, ours, their in (("balance", portfolio.balances, held), ("fees", portfolio.fees, fees)):
        differ = [asset for asset in {*ours, *their} if ours.get(asset, ZERO) != their.get(asset, ZERO)]
        found += [f"{what} of {asset}: {ours.get(asset)} in the ledger, {their.get(asset)} at the venue" for asset in differ]
    findings = await verify_ledger(RUNNER, storm.database, ACCOUNT)
    findings += await verify_venue(RUNNER, storm.database, ACCOUNT, storm.broker)
    found += [f"{finding.name}: {offence}" for finding in findings for offence in finding.offences]
    states = Counter(order.state.value for order in orders.values())
    return Audit(found, states, Counter(orders[key].state.value for key in lost), len(fills))
