"""One agent's answer in a turn: asked with the operator's own rights, streamed, checked against its evidence, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import AIMessage, messages_from_dict, messages_to_dict

from agents.chat import ChatContext, ChatOutcome
from agents.chat_roster import CHAT_ROSTER
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.spec import AgentName
from graph.conversation.cards import Cards
from graph.conversation.facts import DeskFacts
from graph.conversation.memory import history
from graph.conversation.state import TurnContext
from graph.conversation.streaming import Told
from graph.runs.event_data import jsonable
from trading_core.domain.clock import Clock, iso
from trading_core.persistence.desk_records import Author, Message, Proposal
from trading_core.persistence.records import AnswerRecord, EvidenceRecord, Outcome
from trading_core.persistence.session import Database

OF_A_TURN = "turn:"
"""How the keys of answers begin that are kept only to go on with a turn."""


async def answer(ctx: TurnContext, name: AgentName) -> None:
    """Ask an agent, unless somebody has silenced it, and keep what it says."""
    run_id, conversation_id = ctx.question.run_id, ctx.question.conversation_id
    told = Told(ctx.log, ctx.system.desk.account_id, run_id, name)
    if name in ctx.begun:
        told.begin_anew()
    told.tell("agent_started", subject=", ".join(ctx.symbols))
    async with ctx.system.asker.control.asking(name, run_id) as ruling:
        if ruling.silenced:
            content = f"The {name.replace('_', ' ')} agent does not answer now: {ruling.silenced}."
            silent = Message(conversation_id, 0, run_id, Author.AGENT, name, content, {"silenced": True}, ctx.clock.now())
            await _keep(ctx, told, silent)
        else:
            await _talk(ctx, name, told, by_rules=ruling.by_rules)


async def _talk(ctx: TurnContext, name: AgentName, told: Told, *, by_rules: bool) -> None:
    run_id, conversation_id = ctx.question.run_id, ctx.question.conversation_id
    spec = CHAT_ROSTER[name]
    cards = Cards(ctx.system, ctx.who, run_id, conversation_id, lambda card: told.tell("proposal_made", **_card(card)))
    context = ChatContext(
        principal=spec.principal(ctx.who),
        run_id=run_id,
        snapshot=ctx.view.snapshot,
        feed=ctx.system.feed,
        limits=ctx.system.desk.limits,
        record=ctx.system.record,
        computed=ctx.view.computed,
        operator=DeskFacts(ctx.system, ctx.view, cards),
        symbols=ctx.symbols,
        journal=LedgerJournal(ctx.system.database, ctx.clock, run_id, name, is_new=name not in ctx.begun),
    )
    agent = ctx.system.chat.get(name, (RulesModel(), RULES_MODEL_NAME) if by_rules else None)
    try:
        outcome = await agent.talk(ctx.question.content, history(ctx.before), context, told)
    except BaseException:
        told.break_off()
        raise
    data = _data(outcome, await _cards_of(ctx) if "propose_order" in spec.tools else (), ctx)
    message = Message(conversation_id, 0, run_id, Author.AGENT, name, outcome.content, data, ctx.clock.now())
    await _keep(ctx, told, message, outcome)


async def _cards_of(ctx: TurnContext) -> Sequence[str]:
    """The cards of this turn, those from before the process died among them."""
    async with ctx.system.database.reading() as uow:
        cards = await uow.proposals.of_conversation(ctx.question.conversation_id)
    return [card.id for card in cards if card.run_id == ctx.question.run_id]


async def _keep(ctx: TurnContext, told: Told, message: Message, outcome: ChatOutcome | None = None) -> None:
    """The message, what it stands on and the event that tells of it: one transaction, behind all that was streamed."""
    await told.end()
    now, run_id = message.created_at, message.run_id
    evidence = [
        EvidenceRecord(run_id, e.id, message.agent, "", e.tool, e.arguments, dict(e.result), now)
        for e in (outcome.evidence if outcome else ())
    ]
    data = message.data
    event = {
        "agent": message.agent,
        "content": message.content,
        "grounded": data.get("grounded", True),
        "problems": data.get("problems", []),
        "evidence": data.get("evidence", []),
        "proposals": data.get("proposals", []),
        "failed": data.get("failed", ""),
        "model": data.get("model", ""),
        "usage": data.get("usage", {}),
    }
    async with ctx.system.database.transaction() as uow:
        await uow.evidence.put_many(evidence)
        kept = await uow.conversations.say(message)
        if kept.data is message.data:  # it is new; what was said before comes back as it is on record
            await uow.events.append(ctx.system.desk.account_id, run_id, "message", now, {**event, "sequence": kept.sequence})
    ctx.log.wake()


def _data(outcome: ChatOutcome, proposals: Sequence[str], ctx: TurnContext) -> dict[str, object]:
    """What is kept beside the words."""
    usage = outcome.usage
    return {
        "grounded": outcome.grounded,
        "problems": list(outcome.problems),
        "failed": outcome.why,
        "tools": [{"tool": e.tool, "arguments": jsonable(e.arguments), "evidence": e.id} for e in outcome.evidence],
        "evidence": {e.id: jsonable(e.result) for e in outcome.evidence if e.id in outcome.cites},
        "proposals": list(proposals),
        "as_of": iso(ctx.view.snapshot.as_of),
        "model": outcome.model,
        "usage": {
            "model": outcome.model,
            "model_calls": usage.model_calls,
            "tool_calls": usage.tool_calls,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "seconds": round(outcome.seconds, 3),
        },
    }


def _card(proposal: Proposal) -> dict[str, object]:
    return {
        "proposal": proposal.id,
        "conversation": proposal.conversation_id,
        "owner": proposal.owner,
        "ticket": dict(proposal.ticket),
        "content_hash": proposal.content_hash,
        "preview": dict(proposal.preview),
        "reason": proposal.reason,
        "state": proposal.state.value,
        "expires_at": iso(proposal.expires_at),
    }


class LedgerJournal:
    """Model calls of one answer that ended in tool calls, in the ledger.

    Args:
        is_new: the answer was never begun, so that nothing can be kept of it.
    """

    def __init__(self, database: Database, clock: Clock, run_id: str, agent: AgentName, *, is_new: bool) -> None:
        self._database, self._clock, self._run_id, self._agent = database, clock, run_id, agent
        self._is_new = is_new

    async def kept(self) -> Sequence[AIMessage]:
        found: list[AIMessage] = []
        if self._is_new:
            return found
        async with self._database.reading() as uow:
            while (row := await uow.answers.get(self._key(len(found)))) is not None and row.answer is not None:
                (message,) = messages_from_dict([dict(row.answer)])
                if isinstance(message, AIMessage):
                    found.append(message)
        return found

    async def keep(self, number: int, message: AIMessage) -> None:
        (content,) = messages_to_dict([message])
        record = AnswerRecord(self._key(number), self._agent, "", Outcome.ANSWERED, content, {}, self._clock.now())
        async with self._database.transaction() as uow:
            await uow.answers.put(replace(record, usage=dict(message.usage_metadata or {})))

    def _key(self, number: int) -> str:
        return f"{OF_A_TURN}{self._run_id}:{self._agent}:{number}"
