"""What a turn carries from node to node, and what its nodes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from agents.spec import AgentName
from graph.conversation.facts import View
from graph.runs.event_log import EventLog
from graph.system import TradingSystem
from trading_core.auth.permissions import Principal
from trading_core.domain.clock import Clock
from trading_core.persistence.desk_records import Message


class TurnState(TypedDict, total=False):
    """One turn: who is to answer."""

    agents: list[AgentName]


class AgentTask(TypedDict):
    """What one branch is given."""

    agent: AgentName


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What the nodes of a turn work with.

    Attributes:
        who: the operator who asks; every reading and every card is that person's.
        question: the operator's message.
        before: what was said before it, oldest first.
        answered: what agents of this turn have said already, before the process died.
        begun: agents whose answer was begun before the process died, and is begun anew.
        view: what is known now.
        symbols: those that are spoken of.
    """

    system: TradingSystem
    log: EventLog
    clock: Clock
    who: Principal
    question: Message
    before: tuple[Message, ...]
    answered: frozenset[AgentName]
    begun: frozenset[AgentName]
    view: View
    symbols: tuple[str, ...]
