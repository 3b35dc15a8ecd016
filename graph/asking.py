"""Asking an agent inside a run: once, with its own principal, and written down before the graph goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from agents.agent import Agent, AgentContext
from agents.answers import Answer
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.outcome import Outcome
from agents.spec import AgentName
from graph.control.agent_control import AgentControl
from graph.events import EventKind, Listener, RunEvent
from tools.computed import Computed
from tools.context import Facts, RunRecord
from trading_core.domain.clock import Clock
from trading_core.domain.market import MarketFeed
from trading_core.domain.snapshot import Snapshot
from trading_core.execution.desk import Desk
from trading_core.persistence.records import DecisionRecord, EvidenceRecord
from trading_core.persistence.records import Outcome as Came
from trading_core.persistence.session import Database

K = TypeVar("K")

_RUNS_AT_HAND, _SNAPSHOTS_AT_HAND = 8, 4  # of which decisions and computations are kept in memory; the rest is on record


@dataclass(frozen=True, slots=True)
class Decided:
    """What the graph needs of an outcome. `may_trade`: it was answered, did not abstain, and its numbers hold."""

    answer: Answer | None
    may_trade: bool
    cites: tuple[str, ...]


class Asker:
    """The agents of one desk.

    Attributes:
        control: what people have set for them, and who is being asked just now, in cycles and in conversations.
    """

    def __init__(
        self,
        *,
        agents: Mapping[AgentName, Agent[Answer]],
        desk: Desk,
        database: Database,
        feed: MarketFeed,
        clock: Clock,
        record: RunRecord,
        listener: Listener,
    ) -> None:
        self._agents, self._desk, self._database, self._feed = agents, desk, database, feed
        self._clock, self._record, self._listener = clock, record, listener
        self._computed: dict[str, Computed] = {}
        self._on_record: dict[str, dict[tuple[str, str], DecisionRecord]] = {}
        self._reading = asyncio.Lock()
        self.control = AgentControl(desk.account_id, database, clock)
        self._ruled: dict[AgentName, Agent[Answer]] = {}

    def tell(self, kind: EventKind, run_id: str, /, **data: Any) -> None:
        self._listener(RunEvent(kind, run_id, self._clock.now(), data))

    async def ask(
        self, name: AgentName, subject: str, run_id: str, snapshot: Snapshot, upstream: Mapping[str, Facts] | None = None
    ) -> Decided:
        """An agent's decision in this run. One that is on record is not asked for again."""
        agent = self._agents[name]
        kept = (await self._kept(run_id)).get((name, subject))
        if kept is not None:
            answer = agent.spec.answer.model_validate(kept.answer) if kept.answer is not None else None
            may_trade = answer is not None and kept.outcome is Came.ANSWERED and kept.grounded
            return Decided(answer, may_trade, kept.evidence)
        self.tell("agent_started", run_id, agent=name, subject=subject)
        context = AgentContext(
            principal=agent.spec.principal(self._desk.account_id),
            run_id=run_id,
            snapshot=snapshot,
            feed=self._feed,
            limits=self._desk.limits,
            record=self._record,
            computed=self.computed(snapshot),
            upstream=upstream or {},
            subject=subject,
            most_calls=agent.spec.model_calls,
        )
        async with self.control.asking(name, run_id) as ruling:
            if ruling.silenced:
                outcome = agent.silent(subject, ruling.silenced)
            else:
                outcome = await (self._by_rules(name) if ruling.by_rules else agent).ask(subject, context)
            await asyncio.gather(self._keep(run_id, outcome), agent.remember(outcome))
        self.tell("agent_answered", run_id, outcome=outcome)
        return Decided(outcome.answer, outcome.may_trade, outcome.cites)

    def _by_rules(self, name: AgentName) -> Agent[Answer]:
        """The agent as the rules model answers for it."""
        agent = self._agents[name]
        if agent.model_name == RULES_MODEL_NAME:
            return agent
        if name not in self._ruled:
            self._ruled[name] = agent.speaking_through(RulesModel(), RULES_MODEL_NAME)
        return self._ruled[name]

    def computed(self, snapshot: Snapshot) -> Computed:
        """Numbers over the snapshot's bars, kept for the last few snapshots. One without a hash is looked at once."""
        known = self._computed.pop(snapshot.content_hash, None) if snapshot.content_hash else None
        return _keep_last(self._computed, snapshot.content_hash, known or Computed(snapshot), _SNAPSHOTS_AT_HAND)

    async def _kept(self, run_id: str) -> dict[tuple[str, str], DecisionRecord]:
        """Decisions of a run by agent and subject. They are read once: from then on, this asker is who makes them."""
        async with self._reading:  # the branches of a cycle all ask at once
            known = self._on_record.pop(run_id, None)
            if known is None:
                async with self._database.reading() as uow:
                    known = {(one.agent, one.subject): one for one in await uow.decisions.of_run(run_id)}
            return _keep_last(self._on_record, run_id, known, _RUNS_AT_HAND)

    async def _keep(self, run_id: str, outcome: Outcome[Answer]) -> None:
        now: datetime = self._clock.now()
        usage = outcome.usage
        decision = DecisionRecord(
            run_id=run_id,
            agent=outcome.agent,
            subject=outcome.subject,
            outcome=Came.ABSTAINED if outcome.abstained else Came.ANSWERED,
            created_at=now,
            reused=outcome.reused,
            answer=outcome.answer.model_dump(mode="json") if outcome.answer else None,
            reason=outcome.why,
            grounded=outcome.answer is not None and not outcome.problems,
            problems=outcome.problems,
            evidence=outcome.cites,
            model=outcome.model,
            prompt_hash=outcome.prompt_hash,
            input_hash=outcome.input_hash,
            model_calls=usage.model_calls,
            repairs=usage.repairs,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            seconds=outcome.seconds,
        )
        evidence = [
            EvidenceRecord(run_id, e.id, outcome.agent, outcome.subject, e.tool, e.arguments, dict(e.result), now)
            for e in outcome.evidence
        ]
        async with self._database.transaction() as uow:
            await uow.evidence.put_many(evidence)
            await uow.decisions.put(decision)
        (await self._kept(run_id))[decision.agent, decision.subject] = decision


def _keep_last(kept: dict[str, K], key: str, value: K, most: int) -> K:
    """Keep a value as the one used last, and let go of those not used for longest."""
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
    return value
