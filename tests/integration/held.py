"""The rules model, held up where a test wants to look."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from agents.models.rules import RulesModel


class Held(RulesModel):
    """Answers when it is let go. `asked` counts the questions that came."""

    asked: int = 0
    _met: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _free: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    async def met(self) -> None:
        """Return when somebody is kept waiting."""
        await self._met.wait()

    def let_go(self) -> None:
        self._free.set()

    async def _agenerate(self, *arguments: Any, **more: Any) -> ChatResult:
        self.asked += 1
        self._met.set()
        await self._free.wait()
        return await super()._agenerate(*arguments, **more)
