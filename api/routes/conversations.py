"""Conversations with the desk: each is one user's own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.http.dependencies import Caller, IdempotencyKey, State, acting_on, allowed
from api.http.pages import Page, PageQuery
from api.http.problems import NotFound
from api.schemas.conversations import (
    ConversationDetailOut,
    ConversationOut,
    MessageOut,
    NewConversation,
    NewMessage,
    Renaming,
    TurnOut,
)
from api.services.cursors import place, time_and_id
from api.services.runs import asked, new_run_id
from api.services.turns import require_room
from api.state import ApiState
from graph.conversation.titles import title_of
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import RunError
from trading_core.persistence.desk_records import Conversation, Message
from trading_core.persistence.records import OPEN_STATES, RunKind
from trading_core.persistence.unit_of_work import UnitOfWork

router = APIRouter(prefix="/conversations", tags=["conversations"])

_LAST_TURNS = 5  # among which an open one is: there is one at a time
_ASKING = timedelta(seconds=10)  # that asking may take before another may try

Reader = Annotated[Principal, allowed(Action.READ_PORTFOLIO)]
ConversationId = Annotated[str, Path(pattern=r"^[!-~]{1,100}$", description="The conversation's id.")]


@router.post("", summary="Begin a conversation", status_code=201)
async def create_conversation(
    state: State, caller: Caller, who: Reader, response: Response, body: NewConversation
) -> ConversationOut:
    """A thread about one account. It is the caller's alone: nobody else can read it."""
    await acting_on(state, caller, Action.READ_PORTFOLIO, body.account)
    now = state.clock.now()
    title = "" if body.title is None else title_of(body.title)
    made = Conversation(f"c-{secrets.token_hex(12)}", body.account, who.name, title, now, now)
    async with state.database.transaction() as uow:
        await uow.conversations.add(made)
    response.headers["Location"] = f"/api/v1/conversations/{made.id}"
    return _out(made)


@router.get("", summary="List one's own conversations")
async def list_conversations(
    state: State,
    who: Reader,
    page: PageQuery,
    archived: Annotated[bool, Query(description="Those that were archived, in place of the others.")] = False,
) -> Page[ConversationOut]:
    """The one in which something was said last first."""
    async with state.database.reading() as uow:
        rows = await uow.conversations.page(who.name, limit=page.wanted, before=time_and_id(page), archived=archived)
    return page.page(rows, lambda row: (place(row.updated_at), row.id), _out)


@router.get("/{conversation}", summary="Read one of one's own conversations")
async def get_conversation(state: State, who: Reader, conversation: ConversationId) -> ConversationDetailOut:
    """The thread, and the run that answers in it now."""
    async with state.database.reading() as uow:
        found = await _own(uow, who, conversation)
        return ConversationDetailOut(conversation=_out(found), open_run=await _open_run(uow, conversation))


@router.patch("/{conversation}", summary="Rename a conversation")
async def rename_conversation(state: State, who: Reader, conversation: ConversationId, body: Renaming) -> ConversationOut:
    """Give it another title. Titles are for people: no model is shown one."""
    async with state.database.transaction() as uow:
        await _own(uow, who, conversation)
        return _out(await uow.conversations.rename(conversation, title_of(body.title), state.clock.now()))


@router.post("/{conversation}/archive", summary="Put a conversation away")
async def archive_conversation(state: State, who: Reader, conversation: ConversationId) -> ConversationOut:
    """Nothing can be asked in it any more; it stays readable. Again changes nothing."""
    async with state.database.transaction() as uow:
        await _own(uow, who, conversation)
        return _out(await uow.conversations.archive(conversation, state.clock.now()))


@router.get("/{conversation}/messages", summary="List what was said in a conversation")
async def list_messages(state: State, who: Reader, conversation: ConversationId, page: PageQuery) -> Page[MessageOut]:
    """Oldest first."""
    async with state.database.reading() as uow:
        await _own(uow, who, conversation)
        rows = await uow.conversations.messages(conversation, after=page.after_number() or 0, limit=page.wanted)
    return page.page(rows, lambda row: (row.sequence,), _message_out)


@router.post("/{conversation}/messages", summary="Ask the desk", status_code=202)
async def post_message(
    state: State, who: Reader, response: Response, conversation: ConversationId, body: NewMessage, key: IdempotencyKey = None
) -> TurnOut:
    """Ask a question or wish for an order. It goes to the agents that it belongs to, or to those that it names; follow the run's
    events to see the answer as it is made.

    One question at a time: while one is answered, another is refused with 409, which names the run that is open. Of all threads
    together, a user may have 20 open at once on an account; one more is refused with 429.
    """
    run_id = new_run_id(RunKind.CONVERSATION, who, key)
    async with _one_at_a_time(state, conversation, run_id):
        async with state.database.transaction() as uow:
            found = await _own(uow, who, conversation)
            open_run = await _open_run(uow, conversation)
            if open_run is not None and open_run != run_id:
                raise _busy(open_run)
            if open_run is None:
                await require_room(uow, who, found.account_id)
            if not found.title:
                found = await uow.conversations.rename(conversation, title_of(body.text), state.clock.now())
        record = await state.runs.request_turn(who, found, body.text, run_id=run_id)
    response.headers["Location"] = f"/api/v1/runs/{run_id}"
    return TurnOut(**(await asked(state, record)).model_dump(), conversation=conversation)


@asynccontextmanager
async def _one_at_a_time(state: ApiState, conversation: str, run_id: str) -> AsyncIterator[None]:
    """Of those who ask in a conversation at the same moment, in any process, one comes through."""
    name, now = f"asking:{conversation}", state.clock.now()
    async with state.database.transaction() as uow:
        if not await uow.leases.take(name, run_id, now, now + _ASKING):
            raise RunError(
                "another question is being asked in this conversation",
                not_done="This one was not asked",
                next_step="Read the conversation, and ask again in a moment",
            )
    try:
        yield
    finally:
        async with state.database.transaction() as uow:
            await uow.leases.give_back(name, run_id)


def _busy(run_id: str) -> RunError:
    return RunError(
        f"run {run_id!r} is still answering in this conversation",
        not_done="The question was not asked",
        next_step=f"Follow /api/v1/runs/{run_id}/events until it is over, or cancel it",
    )


async def _own(uow: UnitOfWork, who: Principal, conversation: str) -> Conversation:
    """A conversation of the caller's, on an account that is the caller's still. Any other looks like none."""
    found = await uow.conversations.get(conversation)
    if found is None or found.owner != who.name or not who.may(Action.READ_PORTFOLIO, found.account_id):
        raise NotFound(
            f"you have no conversation {conversation!r}", not_done="Nothing was done", next_step="List your conversations"
        )
    return found


async def _open_run(uow: UnitOfWork, conversation: str) -> str | None:
    for request in await uow.run_requests.of_conversation(conversation, _LAST_TURNS):
        record = await uow.runs.get(request.run_id)
        if record is not None and record.state in OPEN_STATES:
            return record.id
    return None


def _out(found: Conversation) -> ConversationOut:
    return ConversationOut(
        id=found.id,
        account=found.account_id,
        title=found.title,
        created_at=found.created_at,
        updated_at=found.updated_at,
        archived_at=found.archived_at,
    )


def _message_out(said: Message) -> MessageOut:
    return MessageOut.model_validate(replace(said, data=dict(said.data)))
