"""What a conversation remembers: its last messages, as many as fit. Results of tools are not among them, for they grow old."""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from agents.spec import AgentName
from graph.conversation.routing import symbols_in
from trading_core.auth.agents import AGENT_ACTIONS
from trading_core.persistence.desk_records import Author, Message

MOST_CHARACTERS = 12_000
MOST_MESSAGES = 40
_CITATIONS = re.compile(r"\s*\[e[0-9a-f]{8}(?:\s*,\s*e[0-9a-f]{8})*\]")


def history(before: Sequence[Message]) -> list[AnyMessage]:
    """The end of a conversation, oldest first, as a model reads it.

    Citations are gone: a number of an earlier turn must be read again before it is said again.
    """
    kept: list[AnyMessage] = []
    left = MOST_CHARACTERS
    for message in reversed(before):
        text = _CITATIONS.sub("", message.content)
        left -= len(text)
        if left < 0:
            break
        kept.append(HumanMessage(text) if message.author is Author.OPERATOR else AIMessage(f"[{message.agent}] {text}"))
    return kept[::-1]


def spoke_last(before: Sequence[Message]) -> tuple[AgentName, ...]:
    """Who answered in the last turn that was answered."""
    answers = [message for message in before if message.author is Author.AGENT]
    if not answers:
        return ()
    last = [message.agent for message in answers if message.run_id == answers[-1].run_id]
    return tuple(name for name in AGENT_ACTIONS if name in last)


def spoken_of(before: Sequence[Message], known: Sequence[str]) -> tuple[str, ...]:
    """The symbols that the conversation spoke of last."""
    operators = (message for message in reversed(before) if message.author is Author.OPERATOR)
    return next((found for message in operators if (found := symbols_in(message.content, known))), ())
