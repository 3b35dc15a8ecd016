"""The agents with other prompts than the desk's own, read from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TypeVar

from agents.answers import Answer
from agents.chat_roster import CHAT_ROSTER, ChatSpec
from agents.roster import ROSTER
from agents.spec import AgentName, AgentSpec
from trading_core.domain.errors import ConfigurationError

T_co = TypeVar("T_co", bound=Answer, covariant=True)

SHARED = "shared"  # what all agents are told after their own part
CHAT = "chat_"  # before the name of each part that they are told in conversation
_CYCLE = (*ROSTER, SHARED)
_CHAT = tuple(f"{CHAT}{name}" for name in (*CHAT_ROSTER, SHARED))


def _joined(texts: Mapping[str, str], *parts: str) -> str:
    """A system prompt, put together as the desk's own is; a part that is not in `texts` is the desk's."""
    own = resources.files("agents") / "prompts"
    return "\n\n".join((texts.get(part) or (own / f"{part}.md").read_text(encoding="utf-8")).strip() for part in parts)


@dataclass(frozen=True)
class PromptedSpec(AgentSpec[T_co]):
    """An agent whose prompt is partly another one.

    Attributes:
        texts: parts by name: the agent's own, `shared`, or both; a part that is missing is the desk's.
    """

    texts: dict[str, str] = field(default_factory=dict)

    @cached_property
    def prompt(self) -> str:
        return _joined(self.texts, self.name, SHARED)


@dataclass(frozen=True)
class PromptedChatSpec(ChatSpec):
    """The same of an agent in conversation; its parts are `chat_NAME` and `chat_shared`."""

    texts: dict[str, str] = field(default_factory=dict)

    @cached_property
    def prompt(self) -> str:
        return _joined(self.texts, f"{CHAT}{self.name}", f"{CHAT}{SHARED}")


@dataclass(frozen=True)
class Prompts:
    """What the agents are told: in cycles, and in conversation."""

    cycle: Mapping[AgentName, AgentSpec[Answer]]
    chat: Mapping[AgentName, ChatSpec]

    @property
    def hashes(self) -> dict[str, str]:
        """Of each agent's prompt, tools and answer schema; in conversation without a schema, under `chat_NAME`."""
        cycle = {str(name): spec.prompt_hash for name, spec in self.cycle.items()}
        return cycle | {f"{CHAT}{name}": spec.prompt_hash for name, spec in self.chat.items()}


OWN = Prompts(ROSTER, CHAT_ROSTER)
"""The desk's own."""


def load_prompts(folder: Path | None) -> Prompts:
    """The agents, with those prompts replaced that the folder holds: `signal.md`, `shared.md`, `chat_signal.md` and so on.

    Raises:
        ConfigurationError: the folder holds none, or one of an agent that there is not.
    """
    texts = {} if folder is None else _texts(folder, (*_CYCLE, *_CHAT))
    return Prompts(_cycle(texts), {name: _chat(spec, texts) for name, spec in CHAT_ROSTER.items()})


def load_roster(folder: Path | None) -> dict[AgentName, AgentSpec[Answer]]:
    """The five agents of a cycle, with those prompts replaced that the folder holds. What agents are told in conversation may lie
    beside them and changes nothing.

    Raises:
        ConfigurationError: the folder holds none of a cycle, or one of an agent that there is not.
    """
    return _cycle({} if folder is None else _texts(folder, _CYCLE, beside=_CHAT))


def _texts(folder: Path, wanted: tuple[str, ...], beside: tuple[str, ...] = ()) -> dict[str, str]:
    try:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))}
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder, str(error)) from None
    if strange := sorted(texts.keys() - {*wanted, *beside}):
        raise _unusable(folder, f"{strange[0]}.md is no agent's; there are {', '.join(wanted)}")
    if not texts.keys() & set(wanted):
        raise _unusable(folder, f"it holds no prompt: {', '.join(f'{name}.md' for name in wanted)}")
    if empty := [name for name, text in texts.items() if not text.strip()]:
        raise _unusable(folder, f"{empty[0]}.md is empty")
    return texts


def _cycle(texts: Mapping[str, str]) -> dict[AgentName, AgentSpec[Answer]]:
    return {name: _with(spec, {part: texts[part] for part in (name, SHARED) if part in texts}) for name, spec in ROSTER.items()}


def _with(spec: AgentSpec[Answer], texts: dict[str, str]) -> AgentSpec[Answer]:
    if not texts:
        return spec
    return PromptedSpec(**{one.name: getattr(spec, one.name) for one in fields(AgentSpec)}, texts=texts)


def _chat(spec: ChatSpec, texts: Mapping[str, str]) -> ChatSpec:
    own = {part: texts[part] for part in (f"{CHAT}{spec.name}", f"{CHAT}{SHARED}") if part in texts}
    return PromptedChatSpec(**{one.name: getattr(spec, one.name) for one in fields(ChatSpec)}, texts=own) if own else spec


def _unusable(folder: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"prompts in {folder}: {why}", not_done="Nothing was asked", next_step="Copy agents/prompts and change the copy"
    )
