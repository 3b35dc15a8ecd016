"""Facts that an answer needs and that are not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.models.rules.chat.asked import Asked


@dataclass(frozen=True, slots=True)
class Need:
    """One tool call."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)


def missing(asked: Asked, *needs: Need) -> list[Need]:
    """Those of `needs` that can be called and were not called in this turn."""
    return [need for need in needs if need.tool in asked.tools and not asked.was_called(need.tool, **need.arguments)]
