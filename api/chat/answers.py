"""A turn as it is answered: several agents may speak at once, and are shown one after the other, the first as it speaks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from api.chat.client import Event
from api.console.text import clean

_WORD = re.compile(r"(\s*)(\S+)(?=\s)")
_LAST = re.compile(r"(\s*)(\S+)\s*$")
_CITED = re.compile(r"\[?e[0-9a-f]{8}[\],.;:]*")
_INDENT = "  "
_LONGEST_ARGUMENTS = 60  # characters


class Flow:
    """Text that comes in pieces, printed word by word and broken between words."""

    def __init__(self, console: Console) -> None:
        self._console, self._waiting, self._column = console, "", 0

    def say(self, text: str) -> None:
        """Print what is whole of it; the last word waits for its end."""
        self._waiting += _harmless(text)
        end = 0
        for found in _WORD.finditer(self._waiting):
            self._put(found[1], found[2])
            end = found.end()
        self._waiting = self._waiting[end:]

    def end(self) -> None:
        """Print the last word and end the line."""
        if (found := _LAST.search(self._waiting)) is not None:
            self._put(found[1], found[2])
        self._waiting = ""
        if self._column:
            self._newline()

    def _put(self, space: str, word: str) -> None:
        length = len(word)
        if self._column and "\n" in space:
            self._newline()
            if space.count("\n") > 1:
                self._newline()
        elif self._column and self._console.is_terminal and self._column + 1 + length > self._console.width:
            self._newline()
        lead = " " if self._column else _INDENT
        self._column += len(lead) + length
        self._print(Text.assemble(lead, (word, "dim" if _CITED.fullmatch(word) else "")))

    def _newline(self) -> None:
        self._console.print()
        self._column = 0

    def _print(self, text: Text) -> None:
        self._console.print(text, end="", soft_wrap=True)


def _harmless(text: str) -> str:
    """Without what could steer a terminal; line ends stay."""
    return "".join(
        c for c in text.replace("\t", " ") if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
    )


@dataclass
class Turn:
    """What came of a question.

    Attributes:
        messages: the agents' answers, as the events tell them.
        cards: orders that were proposed.
        ended: the kind of the last event.
        error: why the turn failed.
    """

    console: Console
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    cards: list[Mapping[str, Any]] = field(default_factory=list)
    ended: str = ""
    error: str = ""
    _speaker: str = ""
    _flow: Flow | None = None
    _spoke: bool = False
    _calls: dict[str, str] = field(default_factory=dict)
    _kept: dict[str, list[Event]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if event.kind in ("run_done", "run_failed", "run_cancelled"):
            self._end(event)
            return
        agent = event.data.get("agent")
        if not isinstance(agent, str) or event.kind == "agent_answered":
            return
        if event.kind == "proposal_made":
            self.cards.append(event.data)
            return
        if not self._speaker:
            self._let(agent)
        if agent != self._speaker:
            self._kept.setdefault(agent, []).append(event)
            return
        self._show(event)
        if event.kind == "message":
            self._speaker = ""
            self._next()

    def stop(self) -> None:
        """The person does not want to hear the rest."""
        if self._flow is not None:
            self._flow.end()

    def _next(self) -> None:
        """Whoever waited longest; what was kept of it is shown at once, and the rest as it comes."""
        while not self._speaker and self._kept:
            agent, events = next(iter(self._kept.items()))
            del self._kept[agent]
            self._let(agent)
            for event in events:
                self._show(event)
                if event.kind == "message":
                    self._speaker = ""

    def _let(self, agent: str) -> None:
        self._speaker, self._flow, self._spoke, self._calls = agent, Flow(self.console), False, {}
        self.console.print(Text(agent.replace("_", " "), style="bold cyan"))

    def _show(self, event: Event) -> None:
        data, flow = event.data, self._flow or Flow(self.console)
        match event.kind:
            case "tool_called":
                self._calls[data["call"]] = f"{data['tool']}({_arguments(data['arguments'])})"
            case "tool_answered":
                flow.end()
                self._note(f"· {self._calls.pop(data['call'], data['tool'])} → {data['evidence']}")
            case "token" if data.get("restart"):
                flow.end()
                self._note("the answer was cut off, and starts again")
            case "token":
                self._spoke = self._spoke or bool(data["text"].strip())
                flow.say(data["text"])
            case "message":
                self.messages.append(data)
                if not self._spoke:
                    flow.say(data["content"])
                flow.end()
                for call in self._calls.values():
                    self._note(f"· {call} gave nothing")
                self._check(data)

    def _check(self, data: Mapping[str, Any]) -> None:
        if data.get("failed"):
            self._note(clean(data["failed"]), "yellow")
        for problem in () if data.get("grounded", True) else data.get("problems", ()):
            self._note(f"not shown by the evidence: {clean(str(problem))}", "yellow")

    def _end(self, event: Event) -> None:
        self.stop()
        self.ended, self.error = event.kind, clean(str(event.data.get("error", "")))
        if event.kind == "run_failed":
            self._note(f"no answer: {self.error}", "bold red")
        elif event.kind == "run_cancelled":
            self._note("stopped", "yellow")

    def _note(self, text: str, style: str = "dim") -> None:
        self.console.print(Text(f"{_INDENT}{text}", style=style), soft_wrap=not self.console.is_terminal)


def _arguments(arguments: Mapping[str, Any]) -> str:
    told = clean(", ".join(f"{name}={value}" for name, value in arguments.items() if value is not None))
    return told if len(told) <= _LONGEST_ARGUMENTS else f"{told[: _LONGEST_ARGUMENTS - 1]}…"
