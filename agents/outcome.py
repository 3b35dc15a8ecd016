"""What came of asking an agent, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from agents.answers import Answer
from tools.context import Evidence

T = TypeVar("T", bound=Answer)


@dataclass(slots=True)
class Usage:
    """What one answer cost."""

    model_calls: int = 0
    repairs: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of asking an agent.

    Attributes:
        answer: None when it failed; an answer that abstains is still an answer.
        abstained: whether it counts as "do not know", by its own word or by failure.
        why: for failures, what went wrong, in the desk's words.
        problems: numbers in the answer that its evidence does not hold; such an answer may inform but not trade.
        reused: whether the answer was stored and no model was called.
        seconds: wall time.
    """

    agent: str
    subject: str
    answer: T | None
    abstained: bool
    why: str
    problems: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    cites: tuple[str, ...]
    usage: Usage
    model: str
    prompt_hash: str
    input_hash: str
    reused: bool
    seconds: float

    @property
    def may_trade(self) -> bool:
        return self.answer is not None and not self.abstained and not self.problems
