"""A scenario come to life: its market, its account on the ledger, its channels and faults, and a desk that decides in it.

Everything runs on a simulated clock, in a folder that is thrown away, with the same core, gate, ledger and paper exchange that
the desk has everywhere.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from agents.chat import ChatAgents
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from evals.bars import decided_at, last_close, prices_of
from evals.channels import channels_of
from evals.conversing import Answered, converse
from evals.fault_counter import FaultCounter
from evals.feeds import FoundingQuotes, SeenFeed, StagedFeed, exchange_feed
from evals.founding import LONG_AGO, deposit_for, found, purchases, set_risk
from evals.model_faults import FaultyModel
from evals.prices import Price
from evals.prompts import OWN, Prompts
from evals.schema import Scenario
from evals.tools import tools_of
from evals.trajectory import ToolUse
from evals.unknown_tools import OverheardModel
from evals.venue import FaultyVenue
from graph.config import SessionConfig
from graph.folders import Folders
from graph.system import TradingSystem
from tools.registry import CHAT_TOOLS, TOOLS
from trading_core.auth.agents import runner
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AlgoTrendyError, ConfigurationError
from trading_core.domain.market import Timeframe
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunTrail
from trading_core.persistence.session import Database


@dataclass(slots=True)
class World:
    """One scenario at its decision. Use `opened`.

    Attributes:
        exchange: what trades, whatever the desk is told of it.
        chat: who answers an operator's question.
        tools: every call of a tool so far.
        before: the account at the decision.
    """

    scenario: Scenario
    system: TradingSystem
    clock: SimulatedClock
    exchange: StagedFeed
    faults: FaultCounter
    at: datetime
    before: Portfolio
    chat: ChatAgents
    tools: list[ToolUse] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    error: str = ""

    async def decide(self) -> None:
        """Every cycle of the scenario, with its faults. What stops one is kept in `error`; the next is run all the same."""
        self.faults.on = True
        await self._cycles(self.scenario.cycles)
        self.faults.on = False

    async def answer(self, price: Price | None) -> Answered:
        """Have the scenario's question answered, after the cycles before it. Faults begin with the question."""
        question = self.scenario.question
        if question is None:
            raise ConfigurationError(f"scenario {self.scenario.id!r} asks nothing", not_done="Nothing was answered")
        await self._cycles(question.after_cycles)
        await self.system.desk.sync(runner(self.system.desk.account_id))  # as a desk at work does all the time
        self.before, self.faults.on = await self.account(), True
        found = await converse(replace(self.system, chat=self.chat), question, self.prices(self.clock.now()), price)
        self.faults.on = False
        return found

    async def _cycles(self, count: int) -> None:
        length = Timeframe(self.scenario.timeframe).length
        for number in range(count):
            tick = self.at + number * length
            self.clock.advance_to(max(tick, self.clock.now()))
            self.run_ids.append(self.system.runner.run_id(tick))
            try:
                result = await self.system.runner.run(tick)
            except AlgoTrendyError as error:  # the ledger contradicts itself: trading must stop
                self.error = str(error)
                break
            self.error = result.error or self.error

    async def account(self) -> Portfolio:
        """The account as the ledger has it."""
        return (await self.system.desk.account(runner(self.system.desk.account_id))).portfolio

    async def trails(self) -> tuple[RunTrail, ...]:
        """Everything on record of each cycle."""
        async with self.system.database.reading() as uow:
            begun = [run.id for run in await uow.runs.of_session(self.system.config.session_id)]
            return tuple([await uow.runs.whole(run_id) for run_id in self.run_ids if run_id in begun])

    def prices(self, at: datetime) -> dict[str, Decimal]:
        """What everything trades at; symbols that never traded are missing."""
        found = {symbol: self.exchange.price(symbol, at) for symbol in self.scenario.symbols}
        return {symbol: price for symbol, price in found.items() if price is not None}


@asynccontextmanager
async def opened(
    scenario: Scenario,
    home: Path,
    *,
    model: BaseChatModel | None = None,
    label: str = RULES_MODEL_NAME,
    prompts: Prompts = OWN,
    data: Path | None = None,
    ledger: Path | None = None,
) -> AsyncIterator[World]:
    """A scenario's world, its account made, its clock at the decision.

    Args:
        home: an empty folder; it stays the caller's to remove.
        model: who decides, or answers where an operator asks; the embedded rules when absent, who also decide what
            comes before a question.
        label: how the model is called in a conversation.
        prompts: what the agents are told.
        data: where recordings lie.
        ledger: an empty ledger to copy, which is faster than making one.

    Raises:
        RecordingMissing: the scenario needs recordings that are not there.
        ConfigurationError: the scenario makes no world.
    """
    at, timeframe = decided_at(scenario), Timeframe(scenario.timeframe)
    prices = prices_of(scenario, data)
    today = {symbol: last_close(one.real.bars, at) for symbol, one in prices.items()}
    quotes, faults = FoundingQuotes(today), FaultCounter(scenario.faults)
    seen = SeenFeed(timeframe, prices, quotes, at, faults)
    exchange = exchange_feed(timeframe, prices, quotes, at)
    planned = purchases(scenario, await seen.instruments(), today)
    tools: list[ToolUse] = []
    config = SessionConfig.parse(
        {
            "symbols": scenario.symbols,
            "timeframe": scenario.timeframe,
            "start": at,
            "cycles": scenario.cycles,
            "seed": scenario.seed,
            "deposit": deposit_for(scenario.account, planned),
            # Nobody is there to approve, so none is asked for unless the scenario is about that.
            "limits": {"approval_above_notional": "never", **scenario.limits},
            "rebalance_every": scenario.rebalance_every,
        }
    )
    if ledger is not None:
        folders = Folders.of(home, config)
        folders.session.mkdir(parents=True)
        for place in (folders.ledger, folders.answers):
            shutil.copy(ledger, place)
    judged, asks = model or RulesModel(), scenario.question is not None
    if any(fault.what == "model" for fault in scenario.faults):
        judged = FaultyModel(inner=judged, faults=faults)
    run_ids: list[str] = []
    decides: BaseChatModel = RulesModel()
    if not asks:
        # The embedded model asks for nothing that it is not offered.
        decides = judged if model is None else OverheardModel(inner=judged, note=tools.append, run_id=lambda: run_ids[-1])
    # In a conversation the events tell of every call.
    own = tools_of(scenario.injected, faults, _ignore if asks else tools.append, CHAT_TOOLS if asks else TOOLS)
    async with TradingSystem.open(
        config,
        home,
        feed=seen,
        at=at - LONG_AGO,
        model=decides,
        channels=channels_of(scenario, at, faults),
        tools=own,
        roster=prompts.cycle,
        exchange=exchange,
        around=lambda broker: FaultyVenue(broker, faults),
    ) as system:
        clock = system.clock
        assert isinstance(clock, SimulatedClock)  # noqa: S101  # a session over generated prices has no other
        await found(scenario, system, clock, quotes, planned)
        clock.advance_to(at)
        who = runner(system.desk.account_id)
        before = (await system.desk.account(who)).portfolio
        await set_risk(scenario, system, at, before.equity(today))
        chat = ChatAgents(judged, label, own, prompts.chat)
        yield World(scenario, system, clock, exchange, faults, at, before, chat, tools, run_ids)


def _ignore(_: ToolUse) -> None:
    """Calls that are not the judged model's."""


async def empty_ledger(path: Path) -> Path:
    """A ledger with nothing in it, to be copied for each world."""
    await (await Database.open(path)).close()
    return path
