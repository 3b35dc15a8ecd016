"""A desk over an account: the real gate and a real ledger, and what its cases ask of both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

from tests.acceptance.account import DEPOSIT, Account
from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUN, RUNNER, TRADER, buy, migrated, sell
from trading_core.domain.intents import RiskDecision, TradeIntent
from trading_core.domain.orders import Order, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk, Synced
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

D = Decimal
STOP = D(35_000)


@dataclass
class Trading:
    """A desk that trades, and its ledger."""

    account: Account
    database: Database
    desk: Desk

    def entry(self, leg: str, quantity: str = "0.1", limit: Decimal | None = None, symbol: str = "") -> TradeIntent:
        """A limit buy with its stop; at the default limit it takes."""
        blank = buy(quantity, leg, symbol=symbol or self.account.symbol)
        price = D(50_500) if limit is None else limit
        return replace(blank, limit_price=price, stop_price=STOP, created_at=self.account.clock.now())

    def exit(self, leg: str, quantity: Decimal | str) -> TradeIntent:
        return replace(sell(D(quantity), leg, symbol=self.account.symbol), created_at=self.account.clock.now())

    async def submit(self, intent: TradeIntent) -> Order | RiskDecision:
        await self.desk.propose(TRADER, intent)
        return await self.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)

    async def send(self, intent: TradeIntent) -> Order:
        """Submit what the gate is expected to let pass."""
        sent = await self.submit(intent)
        assert isinstance(sent, Order), sent.failed
        return sent

    async def sync(self) -> Synced:
        await self.account.settle()
        return await self.desk.sync(RUNNER)

    async def bought(self, leg: str = "entry", quantity: str = "0.1") -> Order:
        """Buy, and wait until the stop is in place."""
        order = await self.send(self.entry(leg, quantity))
        await self.sync()
        await self.sync()
        return order

    async def order(self, key: str) -> Order:
        async with self.database.reading() as uow:
            found = await uow.orders.get(key)
        assert found is not None
        return found

    async def stops(self) -> list[Order]:
        """Live protective stops, as the ledger has them."""
        async with self.database.reading() as uow:
            live = await uow.orders.live(ACCOUNT)
        return [order for order in live if order.purpose is Purpose.STOP]

    async def held(self) -> Decimal:
        return (await self.desk.account(RUNNER)).portfolio.position(self.account.symbol).quantity

    async def agrees(self) -> None:
        """The ledger and the venue tell the same, down to the last digit of each balance."""
        await self.account.settle()
        found, _ = await self.desk.reconcile(RUNNER)
        assert found.agrees, found.disagreement
        assert await self.desk.agrees(RUNNER)

    async def kill(self) -> None:
        await Control(ACCOUNT, self.database, self.account.clock).kill(OPERATOR, "the case says so")
        await self.sync()


@asynccontextmanager
async def trading(account: Account) -> AsyncIterator[Trading]:
    """A desk on a new ledger, or on the one that an earlier desk of the case left."""
    path = account.folder / "ledger.db"
    is_new = not path.exists()
    await migrated(path)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(path))
        if is_new:
            await _begin(account, database)
        instruments = await account.broker.instruments()
        desk = Desk(
            account_id=ACCOUNT,
            database=database,
            broker=account.broker,
            feed=await stack.enter_async_context(account.feed()),
            clock=account.clock,
            limits=LimitsBook(desk=LIMITS),
            instruments=instruments,
            principals={who.name: who for who in (TRADER, OPERATOR)},
        )
        await desk.sync(RUNNER)
        yield Trading(account, database, desk)


async def _begin(account: Account, database: Database) -> None:
    now, quote = account.clock.now(), account.symbol.partition("/")[2]
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, quote, DEPOSIT), account.broker.venue, now)
        await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, now, now))
