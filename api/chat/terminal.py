"""The terminal itself: what is typed, what is asked back, and what Ctrl-C stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from api.chat import views
from api.chat.cards import show_approval, show_card
from api.chat.chat import Chat, Followed
from api.console.text import clean
from trading_core.domain.errors import AlgoTrendyError, InvalidInput

T = TypeVar("T")
Ask = Callable[[str], str]

HELP = """\
Ask anything: "what is our exposure?", "why did you buy SOL?", "@risk are we near a limit?"
Wish for an order: "buy 500 USDT of ETH stop 3000", "sell half my SOL". It comes back as a card to confirm.
  /status  /positions  /orders  /agents      how things are
  /approvals                                 what waits for your yes or no
  /approve ID [REASON]   /reject ID [REASON] answer it
  /halt REASON           /resume REASON      stop trading, and trade again
  /run                   /watch RUN          a cycle now; follow any run
  /new   /threads   /open N                  conversations
  /quit                                      Ctrl-C stops an answer, not the chat"""


class Terminal:
    """Reads lines and does what they say, until the end.

    Args:
        ask: shows a prompt and gives the line that was typed; raises EOFError at the end.
        interactive: whether a person is there. Without one nothing is ever confirmed, approved or rejected by a prompt.
        approves: whether that person may approve, so that what waits for it is brought up.
    """

    def __init__(self, runner: asyncio.Runner, chat: Chat, ask: Ask, *, interactive: bool, approves: bool = True) -> None:
        self._runner, self._chat, self._ask, self._interactive = runner, chat, ask, interactive
        self._approves = approves
        self._announced: set[str] = set()
        self._threads: list[str] = []
        self._commands: Mapping[str, Callable[[str], object]] = {
            "help": lambda _: chat.note(HELP, ""),
            "status": lambda _: self._run(views.status(chat)),
            "positions": lambda _: self._run(views.positions(chat)),
            "orders": lambda _: self._run(views.orders(chat)),
            "agents": lambda _: self._run(views.agents(chat)),
            "approvals": lambda _: self._show_approvals(),
            "approve": lambda rest: self._answer(rest, approve=True),
            "reject": lambda rest: self._answer(rest, approve=False),
            "halt": lambda rest: self._run(chat.set_state("halt", self._reason(rest, "Why halt"))),
            "resume": lambda rest: self._run(chat.set_state("resume", self._reason(rest, "Why resume"))),
            "run": lambda _: self._go_on(self._run(chat.run_cycle())),
            "watch": self._watch,
            "new": lambda _: self._begin(),
            "threads": lambda _: self._list_threads(),
            "open": self._open,
        }

    def talk(self) -> None:
        """Until `/quit` or the end of what is typed."""
        while True:
            try:
                self._guarded(self._announce)
                line = self._ask("you> ").strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                self._chat.note("\n/quit ends the chat")
                continue
            if line in ("/quit", "/exit"):
                return
            if line:
                self._guarded(partial(self._do, line))

    def _guarded(self, do: Callable[[], object]) -> None:
        try:
            do()
        except KeyboardInterrupt:
            self._chat.note("stopped; what the desk was asked to trade goes on", "yellow")
        except EOFError:
            self._chat.note("nothing was confirmed", "yellow")
        except AlgoTrendyError as error:
            self._chat.note(clean(str(error)), "bold red")

    def _do(self, line: str) -> None:
        if not line.startswith("/"):
            self._question(line)
            return
        name, _, rest = line[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise InvalidInput(f"there is no command /{clean(name)}", not_done="Nothing was done", next_step="/help lists them")
        command(rest.strip())

    def _question(self, text: str) -> None:
        turn = self._run(self._chat.ask(text))
        for card in turn.cards:
            show_card(self._chat.console, card)
            if not self._interactive:
                self._chat.note("Nothing was sent: a card is confirmed by a person at a terminal.", "yellow")
            elif self._yes("Place this order? [y/N] "):
                self._go_on(self._run(self._chat.confirm(card)))
            else:
                self._run(self._chat.dismiss(card))
                self._chat.note("Nothing was sent; the card is dismissed.", "yellow")

    def _go_on(self, followed: Followed) -> None:
        """A run that waits is put to the person at once."""
        if followed.waiting:
            self._put([one for one in self._run(self._chat.pending()) if one["intent"]["id"] in followed.waiting])

    def _put(self, asked: Iterable[Mapping[str, Any]]) -> None:
        for one in asked:
            self._announced.add(one["intent"]["id"])
            show_approval(self._chat.console, one)
            short = one["intent"]["id"][:12]
            if not self._interactive or not self._approves:
                self._chat.note(f"answer it with /approve {short} REASON or /reject {short} REASON", "yellow")
                continue
            said = self._ask("Approve it? [y = yes, r = reject, Enter = later] ").strip().lower()
            if said in ("y", "yes", "r", "reject"):
                approve = said.startswith("y")
                reason = self._reason("", "Why")
                self._go_on(self._run(self._chat.decide(one, approve=approve, reason=reason)))
            else:
                self._chat.note(f"It waits: /approve {short} or /reject {short}.", "yellow")

    def _announce(self) -> None:
        """Tell once of each approval that came up meanwhile."""
        if not self._interactive or not self._approves:
            return
        new = [one for one in self._run(self._chat.pending()) if one["intent"]["id"] not in self._announced]
        self._put(new)

    def _show_approvals(self) -> None:
        found = self._run(self._chat.pending())
        for one in found:
            show_approval(self._chat.console, one)
        if not found:
            self._chat.note("nothing waits for approval")

    def _answer(self, rest: str, *, approve: bool) -> None:
        start, _, reason = rest.partition(" ")
        asked = self._run(self._chat.approval(start))
        show_approval(self._chat.console, asked)
        why = self._reason(reason, "Why")
        self._go_on(self._run(self._chat.decide(asked, approve=approve, reason=why)))

    def _watch(self, run_id: str) -> None:
        if not run_id:
            raise InvalidInput("no run was named", not_done="Nothing was followed", next_step="/watch RUN")
        self._go_on(self._run(self._chat.follow(run_id)))

    def _begin(self) -> None:
        self._chat.thread = None
        self._chat.note("a new thread begins with your next question")

    def _list_threads(self) -> None:
        self._threads = self._run(views.threads(self._chat))

    def _open(self, number: str) -> None:
        threads = self._threads or self._run(views.threads(self._chat))
        if not (number.isdecimal() and 0 < int(number) <= len(threads)):
            raise InvalidInput(
                f"there is no thread {clean(number)!r}", not_done="Nothing was opened", next_step="/threads lists them"
            )
        self._chat.thread = threads[int(number) - 1]
        self._run(views.said(self._chat))

    def _reason(self, given: str, prompt: str) -> str:
        reason = given.strip()
        if not reason and self._interactive:
            reason = self._ask(f"{prompt}? ").strip()
        if not reason:
            raise InvalidInput("no reason was given", not_done="Nothing was changed", next_step="Say why; it goes on record")
        return reason

    def _yes(self, prompt: str) -> bool:
        return self._ask(prompt).strip().lower() in ("y", "yes")

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)
