"""Recorded runs decided again under another model, other prompts or other limits, and what would have been different.

Each run is decided from what it knew then: its snapshot and its evidence. Runs do not follow from each other here, so that each
difference is one decision's. An agent that would be asked exactly what it was asked then is not asked: its recorded answer
stands. So does what people decided: what they paused is not asked and not bought, and their word on an order holds for the same
order. The ledger is read and never written; the gate is the core's own function over the recorded account.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.agent import Agent, AgentContext, AnswerStore
from agents.answers import Answer, ExecutionPlan, MarketView, RebalancePlan, RiskPlan, RiskVerdict, Signal
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.roster import ROSTER
from agents.spec import AgentName, AgentSpec
from evals.prices import FREE, Price
from evals.recorded import History, Recorded, with_limits
from evals.recorded_tools import NothingElse, Told, recorded_tools
from evals.regate import Judged, judge_all
from evals.standing import Heard, Standing, decided, stood
from graph.proposals import shown_to_execution, shown_to_risk
from tools.base import SymbolArguments, Tool
from tools.computed import Computed
from tools.context import Facts
from trading_core.auth.agents import agent
from trading_core.domain.intents import ApprovalState, TradeIntent, Verdict
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import ZERO, plain
from trading_core.domain.orders import Side
from trading_core.persistence.records import DecisionRecord, RunRecord
from trading_core.risk.limits import Limits
from trading_core.risk.limits_book import LimitsBook

HORIZON = 24  # bars after a run over which it is told what followed


@dataclass(frozen=True, slots=True)
class Alternative:
    """What decides instead.

    Attributes:
        model_name: as the record calls it: the same name and prompt let a recorded answer stand.
        roster: the agents, with their prompts.
        limits: None for those of the session.
        price: of the model's tokens; None when it is not known.
        answers: where answers are kept, so that an interrupted replay need not pay twice.
        keeps_rules: whether an agent that people gave to the rules keeps them; else the model answers for all agents.
    """

    model: BaseChatModel
    model_name: str
    roster: Mapping[AgentName, AgentSpec[Answer]] = field(default_factory=lambda: dict(ROSTER))
    limits: LimitsBook | None = None
    price: Price | None = FREE
    answers: AnswerStore | None = None
    keeps_rules: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One symbol in one run, as it was and as it would have been.

    Attributes:
        followed: change of the price over the horizon, fraction; None when it is not known.
        worth: what the difference in size came to over the horizon by the price alone: no fees, no stops; quote.
    """

    symbol: str
    before: Standing
    after: Standing
    followed: float | None
    worth: Decimal | None

    @property
    def differs(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Replayed:
    """One run decided again.

    Attributes:
        reused: agents whose recorded answer stood.
        tokens: input and output, before and after; `cost` the new ones in US dollars, None when the price is not known.
        failed: agents that gave no answer now, with the reason.
    """

    run: RunRecord
    changes: tuple[Change, ...]
    bars_at_hand: bool
    asked: int
    reused: int
    tokens: tuple[int, int]
    cost: Decimal | None
    failed: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return any(change.differs for change in self.changes)


async def replay(
    history: History, run_ids: Sequence[str], alternative: Alternative, feed: MarketFeed, *, horizon: int = HORIZON
) -> AsyncGenerator[Replayed, None]:
    """Decide runs again, in their order.

    Raises:
        RunError: a run is not on record.
    """
    told = dict[str, Told]()
    tools = recorded_tools(told)
    agents = {
        name: Agent(spec, alternative.model, alternative.model_name, alternative.answers, tools)
        for name, spec in alternative.roster.items()
    }
    for run_id in run_ids:
        recorded = await history.recorded(run_id)
        told[run_id] = Told.of(recorded)
        yield await _Replay(history, recorded, alternative, agents, tools, feed).run(horizon)
        del told[run_id]


class _Replay:
    """One run."""

    def __init__(
        self,
        history: History,
        recorded: Recorded,
        alternative: Alternative,
        agents: Mapping[AgentName, Agent[Answer]],
        tools: Mapping[str, Tool[Any]],
        feed: MarketFeed,
    ) -> None:
        run = recorded.trail.run
        self._history, self._alternative, self._agents, self._tools, self._feed = history, alternative, agents, tools, feed
        self._strategy = history.config.strategy
        book = alternative.limits or history.config.limits
        self._limits: Limits = book.of(run.account_id, self._strategy)
        shown = {name: plain(Decimal(getattr(self._limits, name))) for name in recorded.snapshot.limits}
        self._recorded = with_limits(recorded, shown) if alternative.limits is not None else recorded
        self._computed = Computed(self._recorded.snapshot)
        self._heard: list[Heard] = []
        self._asked = {(one.agent, one.subject): one for one in recorded.trail.decisions}
        self._then = {one.intent.intent_id: one for one in recorded.trail.intents}
        self._ordered = {one.order.intent_id for one in recorded.trail.orders}
        self._evidence = {one.id for one in recorded.trail.evidence}

    async def run(self, horizon: int) -> Replayed:
        trail, snapshot = self._recorded.trail, self._recorded.snapshot
        symbols = [symbol for symbol in snapshot.symbols if ("market_analysis", symbol) in self._asked]
        branches = asyncio.gather(*(self._signal(symbol) for symbol in symbols))
        plan, said = await asyncio.gather(self._rebalancing(("rebalancing", "") in self._asked), branches)
        signals = {symbol: signal for symbol, signal in zip(symbols, said, strict=True) if signal is not None}
        sizes = await self._sizes(signals, plan)
        judged = judge_all(self._recorded, self._limits, signals, sizes, plan, self._strategy, barred=self._barred(symbols))
        sent = await self._sent(judged)
        before, after = stood(trail, symbols), decided(symbols, self._heard, judged, sent)
        changes = [await self._change(symbol, before[symbol], after[symbol], horizon) for symbol in after | before]
        price = self._alternative.price
        tokens = [(one.input_tokens, one.output_tokens) for one in self._heard]
        return Replayed(
            run=trail.run,
            changes=tuple(changes),
            bars_at_hand=self._recorded.bars_at_hand,
            asked=len(self._heard),
            reused=sum(one.reused for one in self._heard),
            tokens=(_tokens(trail.decisions), sum(map(sum, tokens))),
            cost=None if price is None else sum((price.of(*one) for one in tokens), ZERO),
            failed=tuple(f"{one.agent} {one.subject}".strip() + f": {one.why}" for one in self._heard if one.answer is None),
        )

    async def _ask(self, name: AgentName, subject: str = "", upstream: Mapping[str, Facts] | None = None) -> Heard:
        known = self._asked.get((name, subject))
        heard = await self._stands(known, self._agent(name, known), subject, upstream)
        if heard is None:
            asked = self._agent(name, known)
            outcome = await asked.ask(subject, self._context(name, subject, upstream))
            await asked.remember(outcome)
            heard = Heard.of(outcome)
        self._heard.append(heard)
        return heard

    def _agent(self, name: AgentName, known: DecisionRecord | None) -> Agent[Answer]:
        own = self._agents[name]
        if self._alternative.keeps_rules and known is not None and known.model == RULES_MODEL_NAME:
            return own.speaking_through(RulesModel(), RULES_MODEL_NAME)
        return own

    async def _stands(
        self, known: DecisionRecord | None, asked: Agent[Answer], subject: str, upstream: Mapping[str, Facts] | None
    ) -> Heard | None:
        """What is on record, if an agent would be asked just that again, or was not to be asked at all."""
        if known is None:
            return None
        if not known.input_hash:  # it was paused, or beyond its budget
            return Heard.recorded(known, None)
        spec = asked.spec
        if known.answer is None or known.model != asked.model_name or known.prompt_hash != spec.prompt_hash:
            return None
        shown = await self._opening(spec, self._context(spec.name, subject, upstream))
        return Heard.recorded(known, spec.answer.model_validate(known.answer)) if shown <= self._evidence else None

    def _barred(self, looked_at: Sequence[str]) -> set[str]:
        """Symbols of which nothing may be bought: those that were not looked at, for they were paused."""
        asked = {one.intent.symbol for one in self._then.values()}
        return set(self._recorded.snapshot.symbols) - {*looked_at, *asked}

    def _context(self, name: AgentName, subject: str, upstream: Mapping[str, Facts] | None) -> AgentContext:
        run = self._recorded.trail.run
        return AgentContext(
            principal=agent(name, run.account_id),
            run_id=run.id,
            snapshot=self._recorded.snapshot,
            feed=self._feed,
            limits=self._limits,
            record=NothingElse(),
            computed=self._computed,
            upstream=upstream or {},
            subject=subject,
            most_calls=self._agents[name].spec.model_calls,
        )

    async def _opening(self, spec: AgentSpec[Answer], context: AgentContext) -> set[str]:
        """Ids of what the agent would be shown: an id is made of what a result says, so the same ids are the same question."""
        subject = {"symbol": context.subject}
        moves = [self._tools[name] for name in spec.opening]
        calls = (tool.call(context, dict(subject) if issubclass(tool.arguments, SymbolArguments) else {}) for tool in moves)
        return {one.id for one in await asyncio.gather(*calls)}

    async def _signal(self, symbol: str) -> Signal | None:
        view = (await self._ask("market_analysis", symbol)).answer
        if not isinstance(view, MarketView) or view.abstained:
            return None
        upstream = {f"market_analysis:{symbol}": {"symbol": symbol, **view.model_dump(mode="json")}}
        outcome = await self._ask("signal", symbol, upstream)
        return outcome.answer if isinstance(outcome.answer, Signal) and outcome.may_trade else None

    async def _rebalancing(self, due: bool) -> RebalancePlan | None:
        outcome = await self._ask("rebalancing") if due else None
        if outcome is None or not isinstance(outcome.answer, RebalancePlan) or not outcome.may_trade:
            return None
        return outcome.answer

    async def _sizes(self, signals: Mapping[str, Signal], plan: RebalancePlan | None) -> dict[str, RiskVerdict]:
        shown = shown_to_risk(self._recorded.snapshot, signals, plan)
        if not shown["signals"] and not shown["rebalancing"]:
            return {}
        outcome = await self._ask("risk", upstream={"proposals": shown})
        if not isinstance(outcome.answer, RiskPlan) or not outcome.may_trade:
            return {}
        return {verdict.symbol: verdict for verdict in outcome.answer.verdicts}

    async def _sent(self, judged: Sequence[Judged]) -> set[str]:
        """Ids of the intents that would have been sent: exits always, entries on the execution agent's word.

        What became of an order then becomes of the same order now: somebody may have approved it, or held it back.
        """
        approved = [one.intent for one in judged if one.may_be_sent or self._was_approved(one)]
        if not approved:
            return set()
        outcome = await self._ask("execution", upstream={"approved": shown_to_execution(self._recorded.snapshot, approved)})
        plan = outcome.answer if isinstance(outcome.answer, ExecutionPlan) and outcome.may_trade else None
        worked = {choice.symbol for choice in plan.orders if choice.style != "skip"} if plan else set()
        sent = {intent.intent_id for intent in approved if intent.side is Side.SELL or intent.symbol in worked}
        same = {one.intent_id for one in approved if self._is_the_same(one) and (one.side is Side.SELL or outcome.reused)}
        return (sent - same) | (self._ordered & same)

    def _is_the_same(self, intent: TradeIntent) -> bool:
        then = self._then.get(intent.intent_id)
        return then is not None and then.intent.content_hash == intent.content_hash

    def _was_approved(self, judged: Judged) -> bool:
        if judged.decision.verdict is not Verdict.NEEDS_APPROVAL or not self._is_the_same(judged.intent):
            return False
        approval = self._then[judged.intent.intent_id].approval
        return approval is not None and approval.state is ApprovalState.APPROVED

    async def _change(self, symbol: str, before: Standing, after: Standing, horizon: int) -> Change:
        price = self._recorded.snapshot.prices.get(symbol)
        later = await self._history.price_after(symbol, self._recorded.trail.run.as_of, horizon) if price else None
        if price is None or later is None:
            return Change(symbol, before, after, None, None)
        worth = (after.traded - before.traded) * (later - price)
        return Change(symbol, before, after, float(later / price) - 1, worth)


def _tokens(decisions: Sequence[DecisionRecord]) -> int:
    return sum(one.input_tokens + one.output_tokens for one in decisions)
