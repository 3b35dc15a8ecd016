"""What makes an agent: its prompt, its tools, the answer it owes, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Generic, TypeVar

from agents.answers import Answer
from trading_core.auth.agents import AgentName as AgentName
from trading_core.auth.agents import agent
from trading_core.auth.permissions import Principal
from trading_core.domain.intents import digest

T_co = TypeVar("T_co", bound=Answer, covariant=True)


@dataclass(frozen=True)
class AgentSpec(Generic[T_co]):
    """One agent. What it may do is in `trading_core.auth.agents`; a tool that needs more is refused by the tool itself.

    Attributes:
        answer: the schema of its answer.
        opening: tools called before the first model call, so that one call is the normal case.
        tools: what it may call to dig deeper. Each costs prompt tokens in every call, so what is opened is not offered again.
        model_calls: most calls for one answer, the repair included.
        timeout: seconds for one answer, everything included.
    """

    name: AgentName
    answer: type[T_co]
    opening: tuple[str, ...]
    tools: tuple[str, ...]
    model_calls: int = 4
    timeout: float = 120.0

    @cached_property
    def prompt(self) -> str:
        """The system prompt: what all agents share, then its own part."""
        folder = resources.files("agents") / "prompts"
        shared, own = ((folder / f"{name}.md").read_text(encoding="utf-8").strip() for name in ("shared", self.name))
        return f"{own}\n\n{shared}"

    @cached_property
    def prompt_hash(self) -> str:
        """Over everything the model is told before the facts: prompt, tools, answer schema."""
        return digest([self.prompt, self.opening, self.tools, self.answer.model_json_schema()])

    def principal(self, account_id: str) -> Principal:
        return agent(self.name, account_id)
