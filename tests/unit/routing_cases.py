"""Desks over one ledger, each with an account of its own at a paper exchange behind a bad line, and a router over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from tests.unit.desk_cases import LIMITS, QUIET, RUN, TRADER, LossyBroker, buy, migrated
from tests.unit.feeds import BarFeed
from tests.unit.paper_exchange import BTC, DEPOSIT, PLAIN, at, instrument
from tests.unit.watched_accounts import account
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Principal
from trading_core.brokers.health import OpenAccount
from trading_core.brokers.manager import BrokerManager
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.intents import TradeIntent, make_intent_id
from trading_core.domain.market import Bar, Timeframe
from trading_core.domain.orders import Order, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.routing import Entered, EntryRouter
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

FEES = {"dear": "0.003", "fair": "0.002", "cheap": "0.001"}
ALL = frozenset(FEES)
WHO = replace(TRADER, accounts=ALL)


@dataclass
class Venues:
    """What does not die with a process: the venues and the ledger.

    Attributes:
        now: seconds of the breakers.
    """

    lines: Mapping[str, LossyBroker]
    feeds: Mapping[str, BarFeed]
    database: Database
    clock: SimulatedClock
    limits: Limits
    now: float = 0.0

    async def process(self, names: Sequence[str] = tuple(FEES), who: Principal = WHO) -> Process:
        """A new process over some of the accounts, which knows nothing yet."""
        open_accounts = {name: account(name, self.lines[name], monotonic=lambda: self.now) for name in names}
        desks = {
            name: Desk(
                account_id=name,
                database=self.database,
                broker=one.broker,
                feed=self.feeds[name],
                clock=self.clock,
                limits=LimitsBook(desk=self.limits),
                instruments=await self.feeds[name].instruments(),
                principals={who.name: who},
            )
            for name, one in open_accounts.items()
        }
        manager = BrokerManager(open_accounts.values(), clock=self.clock)
        router = EntryRouter(desks, self.database, manager.routes, self.clock)
        process = Process(self, open_accounts, desks, manager, router, who)
        await process.sync()
        return process

    @property
    def arrived(self) -> list[tuple[str, str]]:
        """Every buy that reached a venue: the account, and the order's id. Stops follow them by themselves."""
        sent = ((name, one) for name, line in self.lines.items() for one in line.arrived)
        return [(name, one.client_order_id) for name, one in sent if one.side is Side.BUY]

    async def orders(self, name: str) -> tuple[Order, ...]:
        async with self.database.reading() as uow:
            return await uow.orders.all(name)

    async def plans(self) -> list[object]:
        async with self.database.reading() as uow:
            return [record.result for record in await uow.evidence.of_run(RUN) if record.tool == "routes"]


@dataclass
class Process:
    """What dies with one."""

    venues: Venues
    accounts: Mapping[str, OpenAccount]
    desks: Mapping[str, Desk]
    manager: BrokerManager
    router: EntryRouter
    who: Principal

    async def sync(self) -> None:
        for name, desk in self.desks.items():
            if not self.venues.lines[name].reads_fail:
                await desk.sync(runner(name))

    async def enter(self, wanted_for: Callable[[str], TradeIntent] | None = None) -> Entered:
        return await self.router.enter(self.who, wanted_for or wanted(), WorkingStyle.NOW)


def wanted(quantity: str = "10", leg: str = "", **changes: object) -> Callable[[str], TradeIntent]:
    """A limit buy at 101 through a market at 100, for each account."""

    def at_account(account_id: str) -> TradeIntent:
        intent_id = make_intent_id(RUN, Purpose.ENTRY, str(changes.get("symbol", BTC)), f"{leg}{account_id}")
        return buy(quantity, account_id=account_id, intent_id=intent_id, **changes)

    return at_account


@asynccontextmanager
async def venues(folder: Path, *, bars: Mapping[str, Sequence[Bar]] = QUIET, **changes: object) -> AsyncIterator[Venues]:
    """The accounts of `FEES`, an hour after the start of the bars. `changes` are to the limits."""
    clock = SimulatedClock(at(1))
    limits = Limits.model_validate({**LIMITS.model_dump(), **changes})
    await migrated(folder / "ledger.db")
    async with AsyncExitStack() as stack:
        lines, feeds = dict[str, LossyBroker](), dict[str, BarFeed]()
        for name, fee in FEES.items():
            feeds[name] = BarFeed([replace(instrument(symbol), taker_fee=Decimal(fee)) for symbol in bars], bars)
            store = PaperStore(folder / f"{name}.db")
            venue = PaperBroker(feeds[name], clock, Timeframe("1h"), account_id=name, deposit=DEPOSIT, store=store, rules=PLAIN)
            lines[name] = LossyBroker(await stack.enter_async_context(venue))
        database = await stack.enter_async_context(await Database.open(folder / "ledger.db"))
        async with database.transaction() as uow:
            for name in FEES:
                portfolio = Portfolio.opened(name, DEPOSIT.asset, DEPOSIT.amount)
                await uow.portfolios.open_account(portfolio, "paper", clock.now())
            await uow.runs.start(RunRecord(RUN, next(iter(FEES)), RunKind.CYCLE, at(1), at(1)))
        yield Venues(lines, feeds, database, clock, limits)
