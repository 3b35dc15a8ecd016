"""One turn of a conversation: a question, and an answer on record of every agent it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from agents.plain_words import own_words
from agents.spec import AgentName
from graph.conversation.facts import look
from graph.conversation.graph import TurnGraph, build
from graph.conversation.memory import MOST_MESSAGES, spoken_of
from graph.conversation.routing import symbols_in
from graph.conversation.state import TurnContext
from graph.runner import RunResult
from graph.runs.event_log import EventLog
from graph.runs.told import told_events
from graph.system import TradingSystem
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import RunError
from trading_core.persistence.desk_records import Author, Message, RunRequest
from trading_core.persistence.records import RunRecord, RunState

_PAGE = 500  # messages read at once
_FIRST_SYMBOLS = 3  # of the session, for a question that names none


async def take_turn(
    system: TradingSystem, request: RunRequest, record: RunRecord, log: EventLog, clock: Clock, principal: Principal
) -> RunResult:
    """Answer what a request asks. Taken up again after the process died, agents that have answered are not asked again.

    Args:
        principal: who asks, with the rights of now.

    Raises:
        RunError: the request belongs to no conversation of this principal.
        NotPermitted: the principal may not read the account.
    """
    principal = _as_asked(request, principal)
    principal.require(Action.READ_PORTFOLIO, system.desk.account_id)
    (question, said), begun, view = await asyncio.gather(_read(system, request, principal), _begun(system, record), look(system))
    before = tuple(message for message in said if message.sequence < question.sequence)
    known = view.snapshot.symbols
    words = own_words(question.content)
    symbols = symbols_in(words, known) or spoken_of(before, known) or known[:_FIRST_SYMBOLS]
    answered = frozenset(name for name in AGENT_ACTIONS if any(m.run_id == record.id and m.agent == name for m in said))
    context = TurnContext(
        system=system,
        log=log,
        clock=clock,
        who=principal,
        question=question,
        before=before,
        answered=answered,
        begun=begun - answered,
        view=view,
        symbols=symbols,
    )
    await _graph().ainvoke({}, context=context)
    return RunResult(record.id, RunState.DONE)


def _as_asked(request: RunRequest, principal: Principal) -> Principal:
    """What both the principal may do today and whoever asked might: a key can have fewer scopes than its user."""
    asked = request.payload.get("actions")
    if not isinstance(asked, list):
        return principal
    return replace(principal, actions=frozenset(action for action in principal.actions if action.value in asked))


@cache
def _graph() -> TurnGraph:
    return build()


async def _read(system: TradingSystem, request: RunRequest, principal: Principal) -> tuple[Message, tuple[Message, ...]]:
    """The question as it stands in the conversation; what was said before it, and in answer to it."""
    async with system.database.reading() as uow:
        conversation = await uow.conversations.get(request.conversation_id or "")
        own = conversation is not None and conversation.owner == principal.name == request.requested_by
        if conversation is None or not own or conversation.account_id != system.desk.account_id:
            raise RunError(
                f"run {request.run_id!r} belongs to no conversation of {principal.name!r} on this account",
                not_done="Nothing was answered",
                next_step="Begin a conversation, and ask in it",
            )
        said = await uow.conversations.last_messages(conversation.id, MOST_MESSAGES)
        question = _question(said, request.run_id)
        if question is None:  # much was said since
            after = 0
            while question is None and (page := await uow.conversations.messages(conversation.id, after=after, limit=_PAGE)):
                question, after = _question(page, request.run_id), page[-1].sequence
            if question is None:
                raise RunError(f"the question of run {request.run_id!r} is not on record", not_done="Nothing was answered")
            first = max(0, question.sequence - MOST_MESSAGES)
            said = await uow.conversations.messages(conversation.id, after=first, limit=_PAGE)
    return question, said


def _question(said: Sequence[Message], run_id: str) -> Message | None:
    return next((message for message in said if message.run_id == run_id and message.author is Author.OPERATOR), None)


async def _begun(system: TradingSystem, record: RunRecord) -> frozenset[AgentName]:
    """Agents whose answer was begun in this run already, before the process died."""
    async with system.database.reading() as uow:
        found = {event.data.get("agent") for event in await told_events(uow, record.id, "agent_started")}
    return frozenset(name for name in AGENT_ACTIONS if name in found)
