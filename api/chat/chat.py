"""What a person does with the desk through the API: ask, confirm, approve, follow, halt. Each shows what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from api.chat.answers import Turn
from api.chat.client import DeskClient, Event
from api.chat.steps import step_lines
from api.console.text import clean
from trading_core.domain.errors import AlgoTrendyError, InvalidInput

_FINAL_WORD = 3.0  # seconds that stopping an answer may take
Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a run stands after it was followed.

    Attributes:
        last: its last event that was seen.
        waiting: intents that an operator has to approve or reject first.
    """

    run_id: str
    last: Event
    waiting: tuple[str, ...] = ()


class Chat:
    """One person's talk with the desk about one account.

    Args:
        account: its id.
        thread: the conversation to go on with; None begins one with the first question.
    """

    def __init__(self, client: DeskClient, console: Console, account: str, thread: str | None = None) -> None:
        self.client, self.console, self.account, self.thread = client, console, account, thread

    async def ask(self, text: str) -> Turn:
        """Ask, and show the answer as it is made. Who interrupts it stops it."""
        if self.thread is None:
            self.thread = (await self.client.post("/conversations", {"account": self.account}))["id"]
        asked = await self.client.post(f"/conversations/{self.thread}/messages", {"text": text})
        self.note(asked["note"], "yellow")
        turn = Turn(self.console)
        try:
            async with aclosing(self.client.follow(asked["run_id"], lost=self._lost)) as events:
                async for event in events:
                    turn(event)
        except asyncio.CancelledError:
            turn.stop()
            await self._stop(asked["run_id"])
            raise
        return turn

    async def confirm(self, card: Shown) -> Followed:
        """Say yes to exactly this card, and follow its order."""
        identity = card.get("proposal") or card["id"]
        asked = await self.client.post(f"/proposals/{identity}/confirm", {"content_hash": card["content_hash"]})
        self.note(asked["note"], "yellow")
        return await self.follow(asked["run_id"])

    async def dismiss(self, card: Shown) -> None:
        """Say no to a card."""
        await self.client.post(f"/proposals/{card.get('proposal') or card['id']}/dismiss")

    async def run_cycle(self) -> Followed:
        """Have a cycle run now, and follow it."""
        asked = await self.client.post(f"/accounts/{self.account}/runs", {"symbols": []})
        self.note(asked["note"], "yellow")
        return await self.follow(asked["run_id"])

    async def follow(self, run_id: str, after: int = 0) -> Followed:
        """Show a run's steps until it is over or waits for somebody."""
        last = Event(after, "", {})
        turn = Turn(self.console)
        async with aclosing(self.client.follow(run_id, after, lost=self._lost)) as events:
            async for event in events:
                last = event
                if event.kind in ("token", "message", "tool_called", "tool_answered"):
                    turn(event)
                for line in step_lines(event):
                    self.console.print(line)
                if event.kind == "run_waiting":
                    detail = await self.client.get(f"/runs/{run_id}")
                    if detail["last_event"] == event.sequence:
                        return Followed(run_id, last, tuple(one["id"] for one in detail["waiting"]))
        return Followed(run_id, last)

    async def pending(self) -> list[Shown]:
        """What waits for an operator's yes or no."""
        found = await self.client.get("/approvals", account=self.account, state="pending", limit=50)
        return [one for one in found["items"] if one["state"] == "pending"]

    async def approval(self, start: str) -> Shown:
        """The one pending approval whose intent begins so.

        Raises:
            InvalidInput: there is none, or more than one.
        """
        found = [one for one in await self.pending() if start and one["intent"]["id"].startswith(start)]
        if len(found) == 1:
            return found[0]
        what = "more than one approval begins with" if found else "no approval that waits begins with"
        raise InvalidInput(f"{what} {clean(start)!r}", not_done="Nothing was decided", next_step="/approvals lists them")

    async def decide(self, asked: Shown, *, approve: bool, reason: str) -> Followed:
        """Approve or reject, and follow the run that waited for it."""
        intent = asked["intent"]
        detail = await self.client.get(f"/runs/{intent['run_id']}")
        answer = "approve" if approve else "reject"
        await self.client.post(f"/approvals/{intent['id']}/{answer}", {"reason": reason})
        return await self.follow(intent["run_id"], detail["last_event"])

    async def set_state(self, action: str, reason: str) -> None:
        """`halt` or `resume`."""
        told = await self.client.post(f"/accounts/{self.account}/risk/{action}", {"reason": reason})
        style = "bold red" if told["state"] != "active" else "green"
        live = told["live_orders"]
        self.note(
            f"{self.account} is {told['state']}: {clean(told['reason'])} ({live} order{'s' if live != 1 else ''} live)", style
        )

    def note(self, text: str, style: str = "dim") -> None:
        """A line about the talk itself."""
        if text:
            self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def _lost(self) -> None:
        self.note("the connection broke off; looking for the desk …", "yellow")

    async def _stop(self, run_id: str) -> None:
        try:
            async with asyncio.timeout(_FINAL_WORD):
                await self.client.post(f"/runs/{run_id}/cancel")
        except (AlgoTrendyError, TimeoutError):
            self.note("the desk was not told; it may still answer", "yellow")
