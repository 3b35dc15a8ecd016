"""The agents with other prompts than the desk's own, read from a folder."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TypeVar

from agents.answers import Answer
from agents.roster import ROSTER
from agents.spec import AgentName, AgentSpec
from trading_core.domain.errors import ConfigurationError

T_co = TypeVar("T_co", bound=Answer, covariant=True)

SHARED = "shared"  # what all agents are told after their own part


@dataclass(frozen=True)
class PromptedSpec(AgentSpec[T_co]):
    """An agent whose prompt is partly another one.

    Attributes:
        texts: parts by name: the agent's own, `shared`, or both; a part that is missing is the desk's.
    """

    texts: dict[str, str] = field(default_factory=dict)

    @cached_property
    def prompt(self) -> str:
        """The system prompt, put together as the desk's own is."""
        own = resources.files("agents") / "prompts"
        parts = (self.texts.get(name) or (own / f"{name}.md").read_text(encoding="utf-8") for name in (self.name, SHARED))
        return "\n\n".join(part.strip() for part in parts)


def load_roster(folder: Path | None) -> dict[AgentName, AgentSpec[Answer]]:
    """The five agents, with those prompts replaced that the folder holds: `signal.md`, `shared.md` and so on.

    Raises:
        ConfigurationError: the folder holds none, or one of an agent that there is not.
    """
    if folder is None:
        return dict(ROSTER)
    try:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder, str(error)) from None
    known = (*ROSTER, SHARED)
    if not texts:
        raise _unusable(folder, f"it holds no prompt: {', '.join(f'{name}.md' for name in known)}")
    if strange := sorted(texts.keys() - set(known)):
        raise _unusable(folder, f"{strange[0]}.md is no agent's; there are {', '.join(known)}")
    if empty := [name for name, text in texts.items() if not text.strip()]:
        raise _unusable(folder, f"{empty[0]}.md is empty")
    return {name: _with(spec, {part: texts[part] for part in (name, SHARED) if part in texts}) for name, spec in ROSTER.items()}


def _with(spec: AgentSpec[Answer], texts: dict[str, str]) -> AgentSpec[Answer]:
    if not texts:
        return spec
    return PromptedSpec(**{one.name: getattr(spec, one.name) for one in fields(AgentSpec)}, texts=texts)


def _unusable(folder: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"prompts in {folder}: {why}", not_done="Nothing was asked", next_step="Copy agents/prompts and change the copy"
    )
