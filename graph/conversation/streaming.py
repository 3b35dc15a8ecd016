"""An answer as it is made, told to the run's event log: the first words at once, the next in small batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agents.chat import Hearer
from agents.spec import AgentName
from graph.events import EventKind
from graph.runs.event_log import EventLog
from tools.context import Evidence

BATCH_SECONDS = 0.05


class Told(Hearer):
    """What one agent of a turn says and does, in order."""

    def __init__(self, log: EventLog, account_id: str, run_id: str, agent: AgentName) -> None:
        self._log, self._account_id, self._run_id, self._agent = log, account_id, run_id, agent
        self._waiting = ""
        self._timer: asyncio.TimerHandle | None = None

    async def said(self, text: str) -> None:
        self._waiting += text
        if self._timer is None:
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._due)

    async def called(self, tool: str, arguments: Mapping[str, object], call: str) -> None:
        self.tell("tool_called", tool=tool, arguments=dict(arguments), call=call)

    async def answered(self, tool: str, call: str, evidence: Evidence) -> None:
        self.tell("tool_answered", tool=tool, call=call, evidence=evidence.id, result=dict(evidence.result))

    def tell(self, kind: EventKind, **data: object) -> None:
        """Tell something of this agent, behind all that it said before."""
        self._flush()
        self._log.tell(self._account_id, kind, {"agent": self._agent, **data}, run_id=self._run_id)

    def begin_anew(self) -> None:
        """What was streamed of this answer before the process died counts for nothing: it starts again."""
        self.tell("token", text="", restart=True)

    async def end(self) -> None:
        """See to it that all of it is on record."""
        self._stop()
        self._flush()
        await self._log.flush()

    def break_off(self) -> None:
        """Tell nothing more: the answer came to no end, and what ends its run is told last."""
        self._stop()
        self._waiting = ""

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._waiting:
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._due)

    def _flush(self) -> None:
        if self._waiting:
            text, self._waiting = self._waiting, ""
            self._log.tell(self._account_id, "token", {"agent": self._agent, "text": text}, run_id=self._run_id)
