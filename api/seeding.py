"""Development data: a small desk that has traded for half a day, made by the real gate, the real desk and the paper exchange.

The same for everybody: a generated market, a simulated clock and one seed. What happened is a script, not a strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from agents.models.rules import RULES_MODEL_NAME
from agents.roster import ROSTER
from graph.config import SessionConfig
from graph.folders import ACCOUNT
from graph.markets import make_feed
from graph.ticks import DEFAULT_START
from trading_core.auth.agents import runner
from trading_core.auth.permissions import Principal, operator
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import SimulatedClock, iso
from trading_core.domain.errors import MarketDataUnavailable
from trading_core.domain.intents import TradeIntent, Verdict, make_intent_id
from trading_core.domain.market import MarketFeed, Ticker
from trading_core.domain.money import Money, plain
from trading_core.domain.orders import OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.control import Control
from trading_core.execution.desk import Desk
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import (
    DecisionRecord,
    EvidenceRecord,
    Outcome,
    PortfolioSnapshotRecord,
    RunKind,
    RunRecord,
    RunState,
    SessionRecord,
)
from trading_core.persistence.session import Database

_SYMBOLS = ("BTC/USDT", "ETH/USDT")
_CYCLE = timedelta(hours=1)
_SETTLES = 2.0  # seconds, in which an order reaches the paper exchange and is answered
_STOP = Decimal("0.95")  # of the price; far enough not to be hit at once
_WORST = Decimal("1.02")  # of the price; an entry pays no more


@dataclass(frozen=True, slots=True)
class _Step:
    """One run: what it wants to trade, as base quantity."""

    symbol: str
    side: Side
    quantity: Decimal
    purpose: Purpose


# The last one is above the limit that needs an operator, and is left waiting.
_SCRIPT: tuple[_Step | None, ...] = (
    _Step("BTC/USDT", Side.BUY, Decimal("0.1"), Purpose.ENTRY),
    None,
    _Step("ETH/USDT", Side.BUY, Decimal(2), Purpose.ENTRY),
    _Step("BTC/USDT", Side.SELL, Decimal("0.05"), Purpose.EXIT),
    None,
    _Step("BTC/USDT", Side.BUY, Decimal("0.2"), Purpose.ENTRY),
)


CONFIG = SessionConfig(symbols=_SYMBOLS, start=DEFAULT_START, cycles=len(_SCRIPT))


async def seed(database: Database, store: PaperStore, account: str = ACCOUNT) -> None:
    """Fill an empty database, and the paper exchange's store with the other side of it."""
    clock, feed = SimulatedClock(DEFAULT_START), make_feed(CONFIG)
    deposit, rules = Money(CONFIG.deposit, CONFIG.currency), PaperRules(seed=CONFIG.seed)
    venue = PaperBroker(feed, clock, CONFIG.bars, account_id=account, deposit=deposit, store=store, rules=rules)
    async with venue:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(
                Portfolio.opened(account, CONFIG.currency, CONFIG.deposit), venue.venue, clock.now()
            )
            await uow.sessions.add(SessionRecord(CONFIG.session_id, CONFIG.stored(), clock.now()))
        agents = {name: spec.principal(account) for name, spec in ROSTER.items()}
        desk = Desk(
            account_id=account,
            database=database,
            broker=venue,
            feed=feed,
            clock=clock,
            limits=CONFIG.limits,
            instruments=await feed.instruments(),
            principals={principal.name: principal for principal in agents.values()},
        )
        await desk.reconcile(runner(account))
        seeding = _Seeding(database, desk, feed, clock, agents["risk"], agents["execution"])
        for step in _SCRIPT:
            await seeding.cycle(step)
        control = Control(account, database, clock)
        await control.reduce(operator("seed", account), "development data: an operator looks at the pending approval")


@dataclass(frozen=True, slots=True)
class _Seeding:
    database: Database
    desk: Desk
    feed: MarketFeed
    clock: SimulatedClock
    proposer: Principal
    executor: Principal

    async def cycle(self, step: _Step | None) -> None:
        """A run, its decision, what became of it, and an hour."""
        now = self.clock.now()
        run_id = f"{CONFIG.session_id}-{now:%Y%m%dT%H%M%SZ}"
        async with self.database.transaction() as uow:
            await uow.runs.start(RunRecord(run_id, self.desk.account_id, RunKind.CYCLE, now, now, session_id=CONFIG.session_id))
        verdict = await self._decide(run_id, step, now)
        await self.clock.sleep(_SETTLES)
        await self.desk.sync(runner(self.desk.account_id))
        await self.clock.sleep(_SETTLES)  # the stop of what was bought arrives
        await self.desk.sync(runner(self.desk.account_id))
        await self._end(run_id, RunState.WAITING if verdict is Verdict.NEEDS_APPROVAL else RunState.DONE)
        self.clock.advance_to(now + _CYCLE)
        await self.desk.sync(runner(self.desk.account_id))

    async def _decide(self, run_id: str, step: _Step | None, now: datetime) -> Verdict | None:
        symbol = step.symbol if step else _SYMBOLS[0]
        ticker = await self._ticker(symbol)
        seen = EvidenceRecord(
            run_id,
            "e1",
            "signal",
            symbol,
            "get_ticker",
            {"symbol": symbol},
            {"last": plain(ticker.last), "at": iso(ticker.at)},
            now,
        )
        said = DecisionRecord(
            run_id=run_id,
            agent="signal",
            subject=symbol,
            outcome=Outcome.ANSWERED,
            created_at=now,
            answer={"action": step.side.value if step else "hold", "price": plain(ticker.last)},
            reason="development data",
            grounded=True,
            evidence=(seen.id,),
            model=RULES_MODEL_NAME,
            input_hash=run_id,
        )
        async with self.database.transaction() as uow:
            await uow.evidence.put_many([seen])
            await uow.decisions.put(said)
        if step is None:
            return None
        intent = self._intent(run_id, step, ticker.last, now, seen.id)
        decision = await self.desk.propose(self.proposer, intent)
        if decision.verdict is Verdict.APPROVED:
            await self.desk.submit(self.executor, intent.intent_id, WorkingStyle.NOW)
        return decision.verdict

    def _intent(self, run_id: str, step: _Step, price: Decimal, now: datetime, evidence: str) -> TradeIntent:
        instrument = self.desk.instruments[step.symbol]
        buys = step.side is Side.BUY
        return TradeIntent(
            intent_id=make_intent_id(run_id, step.purpose, step.symbol, ""),
            run_id=run_id,
            account_id=self.desk.account_id,
            proposer=self.proposer.name,
            purpose=step.purpose,
            symbol=step.symbol,
            side=step.side,
            quantity=step.quantity,
            type=OrderType.LIMIT if buys else OrderType.MARKET,
            created_at=now,
            limit_price=instrument.floor_price(price * _WORST) if buys else None,
            stop_price=instrument.floor_price(price * _STOP) if buys else None,
            reason="development data",
            evidence=(evidence,),
        )

    async def _ticker(self, symbol: str) -> Ticker:
        ticker = await self.feed.ticker(symbol, as_of=self.clock.now())
        if ticker is None:
            raise MarketDataUnavailable(
                f"the generated market has no price of {symbol}", not_done="The database is seeded in part"
            )
        return ticker

    async def _end(self, run_id: str, state: RunState) -> None:
        now = self.clock.now()
        portfolio = (await self.desk.account(runner(self.desk.account_id))).portfolio
        prices = {symbol: (await self._ticker(symbol)).last for symbol in portfolio.held()}
        equity, cash = portfolio.equity(prices), portfolio.cash
        async with self.database.transaction() as uow:
            await uow.portfolios.record(PortfolioSnapshotRecord(self.desk.account_id, run_id, now, equity, cash))
            await uow.runs.set_state(run_id, state, at=now)
