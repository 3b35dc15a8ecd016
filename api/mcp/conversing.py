"""`ask_desk`: a turn of a conversation as one tool, told as it is made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing

from pydantic import Field
from starlette.responses import Response

from api.http.dependencies import OnAccount
from api.http.problems import NotFound, TooManyRequests
from api.live.access import RunFacts
from api.mcp.acting import Arguments, Id, answers
from api.mcp.tools import Call, Offer, Result, typed
from api.routes import conversations
from api.schemas.conversations import NewConversation, NewMessage, Question
from api.services.turns import Speech, require_answered, spoken
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import Proposal
from trading_core.persistence.records import RunKind, RunState

FOLLOWED_FOR = 280.0  # seconds: clients give up on a silent server after five minutes
CONFIRMING = "A person confirms it; then call confirm_order with this id and content hash {hash}."


class Asking(Arguments):
    question: Question
    conversation_id: Id | None = Field(default=None, description="of an earlier answer, to go on in that thread")


async def _ask(call: Call, arguments: Asking) -> Result:
    on = await call.on(Action.READ_PORTFOLIO)
    await require_answered(call.state, on.account_id)
    conversation = await _thread(call, on, arguments.conversation_id)
    asked = await conversations.post_message(
        call.state, on.who, Response(), conversation, NewMessage(text=arguments.question), None
    )
    speech = Speech(headed=True, confirming=CONFIRMING)
    parts: list[str] = []
    run = RunFacts(asked.run_id, on.account_id, RunKind.CONVERSATION, on.who.name)
    try:
        async with asyncio.timeout(FOLLOWED_FOR), aclosing(spoken(call.hub, run, call.token, speech)) as pieces:
            async for piece in pieces:
                if piece:
                    parts.append(piece)
                    await call.tell(piece)
    except (TimeoutError, TooManyRequests):  # what is asked is asked: the answer says how to get the rest
        pass
    return await _answered(call, conversation, asked.run_id, "".join(parts), is_over=speech.is_over)


async def _thread(call: Call, on: OnAccount, wanted: str | None) -> str:
    """The conversation to ask in: the one that is named, or a new one."""
    if wanted is None:
        made = await conversations.create_conversation(
            call.state, call.caller, on.who, Response(), NewConversation(account=on.account_id)
        )
        return made.id
    found = await conversations.get_conversation(call.state, on.who, wanted)
    if found.conversation.account != on.account_id:
        raise NotFound(
            f"conversation {wanted!r} is about another account",
            not_done="Nothing was asked",
            next_step=f"Name account {found.conversation.account}, or begin another conversation",
        )
    return wanted


async def _answered(call: Call, conversation: str, run_id: str, text: str, *, is_over: bool) -> Result:
    said = await answers(call, conversation, run_id)
    async with call.state.database.reading() as uow:
        cards = [card for card in await uow.proposals.of_conversation(conversation) if card.run_id == run_id]
        record = await uow.runs.get(run_id)
    data: Mapping[str, object] = {
        "conversation_id": conversation,
        "run_id": run_id,
        "state": None if record is None else record.state.value,
        "answers": said,
        "proposals": [_card(card) for card in cards],
    }
    evidence: dict[str, object] = {}
    for one in said:
        if isinstance(found := one["evidence"], Mapping):
            evidence.update(found)
    tail = f"\n\nEvidence: {json.dumps(evidence, separators=(',', ':'), ensure_ascii=False)}" if evidence else ""
    if not is_over:
        tail += f"\n\nThis is not all: the desk is still at it. get_run with run_id {run_id} tells the rest."
    failed = record is not None and record.state in {RunState.FAILED, RunState.CANCELLED}
    return Result(data, text=f"{text}{tail}\n\nconversation_id: {conversation}", failed=failed)


def _card(card: Proposal) -> dict[str, object]:
    return {
        "proposal_id": card.id,
        "content_hash": card.content_hash,
        "ticket": dict(card.ticket),
        "preview": dict(card.preview),
        "state": card.state.value,
        "expires_at": card.expires_at.isoformat(),
    }


def conversing_tools() -> list[Offer]:
    return [
        Offer(
            name="ask_desk",
            title="Ask the desk",
            description="Ask the desk's agents: what it holds, why it traded or did not, risk and limits, orders, performance, "
            "markets. @market, @signal, @risk, @execution and @rebalancing name an agent. A wish for an order comes back as a "
            "card, and nothing is sent. The words come as progress while they are made.",
            schema=Asking.model_json_schema(),
            needs=frozenset({Action.READ_PORTFOLIO}),
            run=typed(Asking, _ask),
        )
    ]
