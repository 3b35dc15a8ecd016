"""Conversations with the desk, and the cards that orders are proposed on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.common import Answer, Body, Instant
from api.schemas.fields import shown_as
from api.schemas.runs import RunAskedOut
from trading_core.persistence.desk_records import Author, ProposalState

_CONVERSATION: dict[str, object] = {
    "id": "c-0f1e2d3c4b5a69788796a5b4",
    "account": "practice",
    "title": "What is our exposure?",
    "created_at": "2026-03-02T12:00:00Z",
    "updated_at": "2026-03-02T12:01:00Z",
    "archived_at": None,
}
_HASH = "9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a200c5de"

Title = Annotated[str, Field(min_length=1, max_length=200, examples=["Exposure this week"])]
Question = Annotated[
    str, Field(min_length=1, max_length=4_000, pattern=r"\S", description="What is asked. `@risk`, `@signal`, `@market`, …")
]


class NewConversation(Body):
    """A thread with the desk about one account."""

    model_config = shown_as({"account": "practice", "title": "Exposure this week"}) | Body.model_config

    account: Annotated[str, Field(min_length=1, max_length=100)]
    title: Title | None = Field(default=None, description="Made of the first question when it is left out.")


class Renaming(Body):
    model_config = shown_as({"title": "Exposure in March"}) | Body.model_config

    title: Title


class NewMessage(Body):
    """A question, or a wish."""

    model_config = shown_as({"text": "What is our exposure, and why did you buy BTC?"}) | Body.model_config

    text: Question


class ConversationOut(Answer):
    """A thread. Only its owner sees it."""

    model_config = shown_as(_CONVERSATION)

    id: str
    account: str
    title: str = Field(description="Empty until something was asked.")
    created_at: Instant
    updated_at: Instant = Field(description="When something was said in it last.")
    archived_at: Instant | None


class ConversationDetailOut(Answer):
    """A thread, and whether the desk is answering in it."""

    model_config = shown_as({"conversation": _CONVERSATION, "open_run": None})

    conversation: ConversationOut
    open_run: str | None = Field(description="The run that answers now; a further question waits until it is over.")


class MessageOut(Answer):
    """One thing that was said."""

    model_config = shown_as(
        {
            "sequence": 2,
            "run_id": "conversation-0f1e2d3c4b5a69788796a5b4",
            "author": "agent",
            "agent": "risk",
            "content": "15.6 % of the equity is in the market [e1a2b3c4d].",
            "data": {"grounded": True, "evidence": ["e1a2b3c4d"], "proposals": []},
            "created_at": "2026-03-02T12:00:05Z",
        }
    )

    sequence: int = Field(description="Within the conversation, from 1.")
    run_id: str = Field(description="The turn it belongs to.")
    author: Author
    agent: str = Field(description="Which one answered; empty for the operator.")
    content: str
    data: dict[str, object] = Field(description="Of an answer: tools, evidence, cards, whether every number was found.")
    created_at: Instant


class TurnOut(RunAskedOut):
    """A question was taken. The answer comes as events of its run, and stands in the conversation when it is whole."""

    model_config = shown_as(
        {
            "run_id": "conversation-0f1e2d3c4b5a69788796a5b4",
            "account": "practice",
            "kind": "conversation",
            "state": "queued",
            "worked_on_by": "this process",
            "note": "",
            "events": "/api/v1/runs/conversation-0f1e2d3c4b5a69788796a5b4/events",
            "conversation": "c-0f1e2d3c4b5a69788796a5b4",
        }
    )

    conversation: str


class CardOut(Answer):
    """An order that was proposed to the caller. Nothing sends it before the caller says yes."""

    model_config = shown_as(
        {
            "id": "3f2c9d7a51e8460b",
            "account": "practice",
            "conversation": "c-0f1e2d3c4b5a69788796a5b4",
            "run_id": "conversation-0f1e2d3c4b5a69788796a5b4",
            "ticket": {"symbol": "BTC/USDT", "side": "buy", "quantity": "0.1", "type": "market", "stop_price": "59800"},
            "content_hash": _HASH,
            "preview": {"verdict": "approved", "reason_codes": [], "quantity": "0.1", "worst_price": "61506"},
            "reason": "You asked for it.",
            "state": "open",
            "created_at": "2026-03-02T12:00:05Z",
            "expires_at": "2026-03-02T12:10:05Z",
            "seconds_left": 571.2,
            "decided_at": None,
            "order_run_id": None,
        }
    )

    id: str
    account: str
    conversation: str | None
    run_id: str = Field(description="The turn that made it.")
    ticket: dict[str, object] = Field(description="The order, exactly.")
    content_hash: str = Field(description="Over the order; confirming names it.")
    preview: dict[str, object] = Field(description="What the gate said when it was made. It is asked again before it is sent.")
    reason: str
    state: ProposalState
    created_at: Instant
    expires_at: Instant
    seconds_left: float = Field(description="Until it expires; 0 when it is no longer open.")
    decided_at: Instant | None
    order_run_id: str | None = Field(description="The run that places it, once confirmed.")


class Confirmation(Body):
    """A yes to exactly what was shown."""

    model_config = shown_as({"content_hash": _HASH}) | Body.model_config

    content_hash: Annotated[str, Field(min_length=1, max_length=128, description="Of the card that the person was shown.")]
