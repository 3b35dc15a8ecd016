"""The composition root: everything of one session, opened from its config and closed again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosqlite
from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agents.agent import Agent
from agents.answers import Answer
from agents.chat import ChatAgents
from agents.models import openai_compatible
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.roster import ROSTER
from agents.spec import AgentName, AgentSpec
from data_channels.base import Channel, NotConfigured
from data_channels.hub import ChannelHub
from data_channels.store.base import TimeSeriesStore
from data_channels.store.open import open_store
from data_channels.store.thinning import thinned_out
from graph.accounts import VenueAccess, venue_broker
from graph.asking import Asker
from graph.bookkeeping import Bookkeeping
from graph.channels import ChannelAccess, channels_of, open_hub, stored_channels
from graph.config import SessionConfig
from graph.context import CycleContext, RebalancePolicy
from graph.events import Listener, ignore
from graph.folders import ACCOUNT as ACCOUNT
from graph.folders import Folders as Folders
from graph.markets import closing, make_feed
from graph.record import LedgerAnswers, LedgerRecord
from graph.runner import Runner
from graph.snapshot import Snapshots, check_listed
from graph.state import serializer
from graph.tending import tending
from graph.ticks import DEFAULT_START
from graph.trading_cycle import build
from tools.base import Tool
from tools.registry import CHAT_TOOLS, TOOLS
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.agents import runner
from trading_core.brokers.base import Broker
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.rules import PaperRules
from trading_core.brokers.paper.store import PaperStore
from trading_core.domain.clock import Clock, SimulatedClock, SystemClock
from trading_core.domain.errors import ConfigurationError, StoreUnavailable
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import Money
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk
from trading_core.execution.reconcile import Reconciliation
from trading_core.persistence.records import SessionRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_log = logging.getLogger("algotrendy.system")
_FIRST_READINGS = 20.0  # seconds that a session waits for its sources before it begins without them
_NO_CHANNELS: tuple[Channel, ...] = (NotConfigured("sentiment"), NotConfigured("onchain"))  # and nothing is invented
_DAY_IMPACT = 0.03  # see PaperRules: about a day's volatility; shorter bars move the price by less


@dataclass(frozen=True, slots=True)
class TradingSystem:
    """One open session. Use `TradingSystem.open`.

    Attributes:
        opening: what the comparison with the venue found when the session was opened; it is made again at each cycle.
        channels: what the session knows beside the market, a channel for each kind.
        hub: the sources behind them; None where none is asked.
        chat: the agents in conversation, on the session's model.
    """

    config: SessionConfig
    feed: MarketFeed
    clock: Clock
    database: Database
    broker: Broker
    desk: Desk
    opening: Reconciliation
    asker: Asker
    snapshots: Snapshots
    record: LedgerRecord
    runner: Runner
    chat: ChatAgents
    channels: tuple[Channel, ...] = ()
    hub: ChannelHub | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: SessionConfig,
        home: Path,
        *,
        listener: Listener = ignore,
        feed: MarketFeed | None = None,
        at: datetime | None = None,
        model: BaseChatModel | None = None,
        database: str | None = None,
        opened: Database | None = None,
        access: VenueAccess | None = None,
        channels: Sequence[Channel] | None = None,
        keys: ChannelAccess | None = None,
        tools: Mapping[str, Tool[Any]] = TOOLS,
        roster: Mapping[AgentName, AgentSpec[Answer]] = ROSTER,
        exchange: MarketFeed | None = None,
        around: Callable[[Broker], Broker] = lambda broker: broker,
    ) -> AsyncIterator[TradingSystem]:
        """Open everything, reconcile with the exchange, and close it all at the end.

        Args:
            feed: instead of the one the config describes; it stays the caller's to close.
            at: where a simulated clock starts; the config's start when absent. It never starts before what the paper exchange
                has already seen.
            model: instead of the one the config describes.
            database: path or URL of a ledger that sessions share; a file of the session's own when absent.
            opened: that ledger, where the process has it open already; it stays the caller's to close.
            access: to venues; needed by a session whose account is at one.
            channels: instead of the ones the config names.
            keys: of the sources of readings, and other hosts for them.
            tools: what the agents' tools are, by name.
            roster: the agents of a cycle, with other prompts than the desk's own where those are tried.
            exchange: what trades at the paper exchange, where that is not what the desk's feed tells.
            around: makes of the broker the one that the desk uses.

        Raises:
            AlgoTrendyError: something in the config cannot be used; nothing was traded.
        """
        folders = Folders.of(home, config, database)
        account = folders.account
        async with AsyncExitStack() as stack:
            market = feed if feed is not None else await stack.enter_async_context(closing(make_feed(config, access)))
            instruments = await market.instruments()
            check_listed(config.symbols, instruments)
            chat = model or await _make_model(config, stack)
            folders.session.mkdir(parents=True, exist_ok=True)
            store = PaperStore(folders.paper) if config.account is None else None
            clock = _make_clock(config, at, store.progress() if store else None)
            if opened is None:
                ledger = await stack.enter_async_context(await Database.open(folders.ledger))
            else:
                ledger = opened
            shared = folders.answers == folders.ledger
            answers = ledger if shared else await stack.enter_async_context(await Database.open(folders.answers))
            if store is not None:
                broker = await stack.enter_async_context(_paper_broker(config, account, store, ledger, exchange or market, clock))
            else:
                broker = await stack.enter_async_context(_venue_broker(config, access, ledger, market, clock))
                instruments = await broker.instruments()
            broker = around(broker)
            async with ledger.transaction() as uow:
                if await uow.sessions.get(config.session_id) is None:
                    await uow.sessions.add(SessionRecord(config.session_id, config.stored(), clock.now()))
                await _keep_strategy(uow, config, runner(account).name, clock.now())
            principals = {name: spec.principal(account) for name, spec in ROSTER.items()}
            desk = Desk(
                account_id=account,
                database=ledger,
                broker=broker,
                feed=market,
                clock=clock,
                limits=config.limits,
                strategy=config.strategy,
                instruments=instruments,
                principals={principal.name: principal for principal in principals.values()},
            )
            # Asking the rules again costs less than looking up what they said.
            kept_answers = None if config.model.provider == "rules" else LedgerAnswers(answers, clock)
            record = LedgerRecord(ledger, account, clock)
            hub = (
                await _open_hub(config, keys or ChannelAccess(), market, clock, folders.readings, stack)
                if channels is None
                else None
            )
            told = tuple(channels_of(hub) if hub else channels or await _recorded_channels(config, keys, folders.readings, stack))
            snapshots = Snapshots(
                desk=desk,
                feed=market,
                channels=told,
                timeframe=config.bars,
                symbols=config.symbols,
                contradicted=hub.contradicted if hub else None,
            )
            asker = Asker(
                agents={name: Agent(spec, chat, _model_name(chat), kept_answers, tools) for name, spec in roster.items()},
                desk=desk,
                database=ledger,
                feed=market,
                clock=clock,
                record=record,
                listener=listener,
            )
            context = CycleContext(
                desk=desk,
                database=ledger,
                clock=clock,
                snapshots=snapshots,
                asker=asker,
                principals=principals,
                books=Bookkeeping(desk, ledger, clock, runner(account), listener),
                runner=runner(account),
                rebalance=RebalancePolicy(config.rebalance_drift, config.rebalance_every),
                strategy=config.strategy,
            )
            saver = await stack.enter_async_context(_checkpoints(folders.checkpoints))
            opening, _ = await desk.reconcile(context.runner)
            if not config.simulated:
                await stack.enter_async_context(tending(context.books))
            talkers = ChatAgents(chat, _model_name(chat), {**CHAT_TOOLS, **tools})
            cycles = Runner(graph=build(saver), saver=saver, context=context, session_id=config.session_id, account_id=account)
            await cycles.tidy()
            yield cls(config, market, clock, ledger, broker, desk, opening, asker, snapshots, record, cycles, talkers, told, hub)


@asynccontextmanager
async def _checkpoints(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    async with aiosqlite.connect(path) as connection:
        # Enough against a killed process. After a power cut the ledger, which is safe against that, tells what was decided.
        await connection.execute("PRAGMA synchronous = NORMAL")
        saver = AsyncSqliteSaver(connection, serde=serializer())
        try:
            yield saver
        finally:
            # A graph that is cut off still writes, beside whoever cut it off. Closed between such a write and its commit, the
            # connection would keep the file locked until its last cursor is collected.
            async with saver.lock:
                await connection.rollback()
                await connection.close()


@asynccontextmanager
async def _paper_broker(
    config: SessionConfig, account: str, store: PaperStore, ledger: Database, market: MarketFeed, clock: Clock
) -> AsyncIterator[Broker]:
    deposit = Money(config.deposit, config.currency)
    rules = PaperRules(impact_coefficient=_impact(config), seed=config.seed)
    broker = PaperBroker(market, clock, config.matched, account_id=account, deposit=deposit, store=store, rules=rules)
    async with broker:
        async with ledger.transaction() as uow:
            opened = Portfolio.opened(account, config.currency, config.deposit)
            await uow.portfolios.open_account(opened, broker.venue, clock.now())
        yield broker


def _venue_broker(
    config: SessionConfig, access: VenueAccess | None, ledger: Database, market: MarketFeed, clock: Clock
) -> AbstractAsyncContextManager[Broker]:
    if config.account is None or access is None:
        raise ConfigurationError(
            "the session's account is at a venue, and nothing here opens venue keys",
            not_done="It was not opened",
            next_step="Set the secret `credentials-key`; docs/secrets.md says how",
        )
    return venue_broker(config, config.account, access, ledger, market, clock)


async def _keep_strategy(uow: UnitOfWork, config: SessionConfig, by: str, at: datetime) -> None:
    """Put on record what the session's strategy is today; another content than before is a new version of it."""
    if not config.strategy:
        return
    before = await uow.strategies.get(config.strategy)
    after = await uow.strategies.keep(config.strategy, config.followed(), by=by, at=at)
    if before is None or after.version != before.version:
        was, is_now = (None if one is None else {"version": one.version, **one.config} for one in (before, after))
        subject = SubjectKind.SETTING, f"strategy {config.strategy}"
        await uow.audit.append(AuditEntry(at, by, AuditAction.SETTING_CHANGED, *subject, was, is_now))


def _make_clock(config: SessionConfig, at: datetime | None, progress: datetime | None) -> Clock:
    if not config.simulated:
        return SystemClock()
    start = at or config.start or DEFAULT_START
    return SimulatedClock(max(start, progress) if progress else start)


async def _make_model(config: SessionConfig, stack: AsyncExitStack) -> BaseChatModel:
    if config.model.provider == "rules":
        return RulesModel()
    pool = await stack.enter_async_context(openai_compatible.http_pool())
    return openai_compatible.build(config.model, pool)


def _model_name(model: BaseChatModel) -> str:
    return RULES_MODEL_NAME if isinstance(model, RulesModel) else openai_compatible.describe(model)


async def _recorded_channels(
    config: SessionConfig, keys: ChannelAccess | None, readings: Path, stack: AsyncExitStack
) -> Sequence[Channel]:
    """What was kept of the sources that the config names, as it was known then."""
    if not config.channels:
        return _NO_CHANNELS
    where = (keys.store if keys else None) or readings
    return await stored_channels(config.channels, await stack.enter_async_context(await open_store(where)))


async def _open_hub(
    config: SessionConfig, keys: ChannelAccess, market: MarketFeed, clock: Clock, readings: Path, stack: AsyncExitStack
) -> ChannelHub | None:
    """The sources that the config names, each asked once before the first decision; what they say is kept."""
    if not config.channels or config.simulated:
        return None
    try:
        sink: TimeSeriesStore | None = await stack.enter_async_context(await open_store(keys.store or readings))
    except StoreUnavailable as error:  # another process of this home keeps them
        _log.warning("readings are not kept by this process: %s", error)
        sink = None
    if sink is not None and keys.retention is not None:
        await stack.enter_async_context(thinned_out(sink, keys.retention, clock))
    hub = await stack.enter_async_context(open_hub(config.channels, config.symbols, keys, clock=clock, feeds=[market], sink=sink))
    with suppress(TimeoutError):  # what has not answered by then is told as that
        async with asyncio.timeout(_FIRST_READINGS):
            await hub.asked()
    return hub


def _impact(config: SessionConfig) -> Decimal:
    """Volatility grows with the square root of time, and with it the price a bar's volume moves."""
    days = config.matched.length.total_seconds() / 86_400
    return Decimal(f"{_DAY_IMPACT * days**0.5:.6f}")
