"""Agents and what is paused."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.common import Answer, Body, Instant, Reason
from api.schemas.fields import shown_as
from api.schemas.schedules import BudgetOut, UsedOut
from graph.control.agent_desk import AgentView
from trading_core.persistence.desk_records import Pause, PauseKind

_PAUSE: dict[str, object] = {
    "account": "practice",
    "kind": "symbol",
    "subject": "BTC/USDT",
    "by": "user:alice",
    "reason": "The venue announced a maintenance window.",
    "at": "2026-03-02T12:00:00Z",
}


class PauseIn(Body):
    """Why something is to rest."""

    model_config = Body.model_config | shown_as({"reason": "The venue announced a maintenance window."})

    reason: Reason


class PauseOut(Answer):
    """Something that is paused."""

    model_config = Answer.model_config | shown_as(_PAUSE)

    account: str
    kind: PauseKind
    subject: str = Field(description="The agent, symbol or schedule; empty for everything.")
    by: str
    reason: str
    at: Instant

    @classmethod
    def of(cls, pause: Pause) -> PauseOut:
        return cls(
            account=pause.account_id, kind=pause.kind, subject=pause.subject, by=pause.by, reason=pause.reason, at=pause.at
        )


class PausesOut(Answer):
    """What is paused on an account."""

    items: list[PauseOut]


class ToolOut(Answer):
    """A tool that an agent may call, and the action it needs for that."""

    name: str
    action: str


class AgentOut(Answer):
    """One agent of an account."""

    model_config = Answer.model_config | shown_as(
        {
            "name": "execution",
            "purpose": "Chooses how an approved order is worked, and whether now.",
            "model": "openai:gpt-4.1-mini",
            "session_model": "openai:gpt-4.1-mini",
            "tools": [{"name": "get_ticker", "action": "market:read"}],
            "actions": ["intent:submit", "market:read", "orders:read"],
            "prompt_hash": "5d0c3a9f2b7e",
            "calls_today": 4,
            "used_today": {"tokens": 9120, "cost": "0.0052", "unpriced_models": [], "orders": 0},
            "budget": {"tokens": 100000, "cost": None, "orders": None},
            "paused": None,
        }
    )

    name: str
    purpose: str
    model: str | None = Field(description="Which answers for it; null before the account's first session.")
    session_model: str | None
    tools: list[ToolOut]
    actions: list[str] = Field(description="All that its principal may ask of the desk.")
    prompt_hash: str
    calls_today: int
    used_today: UsedOut
    budget: BudgetOut
    paused: PauseOut | None

    @classmethod
    def of(cls, view: AgentView) -> AgentOut:
        return cls(
            name=view.name,
            purpose=view.purpose,
            model=view.model,
            session_model=view.session_model,
            tools=[ToolOut(name=name, action=action.value) for name, action in view.tools.items()],
            actions=sorted(action.value for action in view.actions),
            prompt_hash=view.prompt_hash,
            calls_today=view.calls,
            used_today=UsedOut.of(view.spent),
            budget=BudgetOut.of(view.budget),
            paused=None if view.paused is None else PauseOut.of(view.paused),
        )


class AgentsOut(Answer):
    """The agents of an account, in the order of a cycle."""

    items: list[AgentOut]


class AgentModelIn(Body):
    """Which model answers for an agent."""

    model_config = Body.model_config | shown_as({"model": "rules"})

    model: Literal["rules"] | None = Field(description="`rules` for the embedded rules; null for the session's own model.")
