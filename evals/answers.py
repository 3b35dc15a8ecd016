"""Every answer of a model on disk: what is recorded is never asked again, and can be replayed without the model.

A line says that something is about to be asked, and another what came of it. A process that is killed in between leaves the
first alone: that call may have been paid for, and counts as paid in full.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from evals.lines import Lines
from evals.meter import Spent
from trading_core.domain.errors import ConfigurationError, InvalidAnswer, ModelError, ModelUnavailable
from trading_core.domain.intents import digest

_ERRORS: dict[str, type[ModelError]] = {"invalid": InvalidAnswer, "unavailable": ModelUnavailable}


@dataclass(frozen=True, slots=True)
class Turn:
    """One call of a model in one repeat of one scenario; `nth` counts those with the very same request, from 1."""

    scenario: str
    repeat: int
    request: str
    nth: int

    @property
    def key(self) -> str:
        return digest([self.scenario, self.repeat, self.request, self.nth])


class Answers:
    """The answers of one run of a suite.

    Attributes:
        spent: what everything recorded came to, lost calls in full.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path, self.spent = path, Spent()
        self._at: dict[str, tuple[int, int]] = {}
        self._failed: dict[str, ModelError] = {}
        self._read_whole()
        self._lines = None if read_only else Lines(path)
        self._file = path.open("rb") if path.exists() else None
        if self._file is None:
            raise ConfigurationError(
                f"{path} holds no recorded answers", not_done="Nothing was run", next_step="Give the folder of an eval"
            )

    def find(self, turn: Turn) -> AIMessage | None:
        """The recorded answer to a call; None when there is none."""
        where = self._at.get(turn.key)
        if where is None or self._file is None:
            return None
        self._file.seek(where[0])
        return _message(json.loads(self._file.read(where[1]))["message"])

    def failure(self, turn: Turn) -> ModelError | None:
        """How a call failed in the end, when it did."""
        return self._failed.get(turn.key)

    def asking(self, turn: Turn, reserved: Spent) -> None:
        """A call is about to be made, and may cost `reserved`."""
        self._write({"asking": turn.key, "scenario": turn.scenario, "repeat": turn.repeat, "spent": _spent(reserved)})

    def said(self, turn: Turn, message: AIMessage, spent: Spent) -> None:
        """What the model said."""
        line = {"said": turn.key, "spent": _spent(spent), "message": _content(message)}
        self._at[turn.key] = self._write(line)

    def failed(self, turn: Turn, error: ModelError, spent: Spent) -> None:
        """A call gave no answer."""
        self._failed[turn.key] = error
        kind = "invalid" if isinstance(error, InvalidAnswer) else "unavailable"
        self._write({"failed": turn.key, "spent": _spent(spent), "kind": kind, "why": error.what})

    def close(self) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._file is not None:
            self._file.close()

    def _write(self, content: dict[str, Any]) -> tuple[int, int]:
        if self._lines is None:
            raise ConfigurationError(f"{self.path} is only read here", not_done="Nothing was recorded")
        line = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        return self._lines.append(line), len(line)

    def _read_whole(self) -> None:
        open_calls, position = dict[str, Spent](), 0
        for line in Lines.read(self.path):
            content = json.loads(line)
            spent = _spent_of(content["spent"])
            if key := content.get("asking"):
                # Asked again, it was lost the time before.
                self.spent = self.spent.plus(open_calls.pop(key, Spent()))
                open_calls[key] = spent
            else:
                key = content.get("said") or content["failed"]
                open_calls.pop(key, None)
                self.spent = self.spent.plus(spent)
                if "said" in content:
                    self._at[key] = position, len(line) - 1
                else:
                    self._failed[key] = _ERRORS[content["kind"]](content["why"])
            position += len(line)
        for lost in open_calls.values():
            self.spent = self.spent.plus(lost)


class Turns:
    """Numbers the calls of one repeat."""

    def __init__(self, scenario: str, repeat: int) -> None:
        self._scenario, self._repeat, self._seen = scenario, repeat, Counter[str]()

    def next(self, messages: Sequence[BaseMessage], bound: dict[str, Any]) -> Turn:
        request = request_hash(messages, bound)
        self._seen[request] += 1
        return Turn(self._scenario, self._repeat, request, self._seen[request])


def request_hash(messages: Sequence[BaseMessage], bound: dict[str, Any]) -> str:
    """Over everything that the model is told."""
    return digest(json.loads(request_text(messages, bound)))


def request_text(messages: Sequence[BaseMessage], bound: dict[str, Any]) -> str:
    """A request as JSON: about what is sent, and what does not change from run to run."""
    shown = [
        {
            "role": message.type,
            "content": message.content,
            "calls": [[call["id"], call["name"], call["args"]] for call in getattr(message, "tool_calls", ())],
            "answers": message.tool_call_id if isinstance(message, ToolMessage) else None,
        }
        for message in messages
    ]
    return json.dumps([shown, bound], sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=repr)


def _content(message: AIMessage) -> dict[str, Any]:
    return {
        "content": message.content,
        "tool_calls": message.tool_calls,
        "invalid_tool_calls": message.invalid_tool_calls,
        "usage": message.usage_metadata,
        "refusal": message.additional_kwargs.get("refusal"),
        "finish_reason": message.response_metadata.get("finish_reason"),
    }


def _message(kept: dict[str, Any]) -> AIMessage:
    return AIMessage(
        content=kept["content"],
        tool_calls=kept["tool_calls"],
        invalid_tool_calls=kept["invalid_tool_calls"],
        usage_metadata=kept["usage"],
        additional_kwargs={"refusal": kept["refusal"]} if kept["refusal"] else {},
        response_metadata={"finish_reason": kept["finish_reason"]} if kept["finish_reason"] else {},
    )


def _spent(spent: Spent) -> list[Any]:
    return [spent.calls, spent.input_tokens, spent.output_tokens, None if spent.dollars is None else str(spent.dollars)]


def _spent_of(kept: list[Any]) -> Spent:
    calls, read, written, dollars = kept
    return Spent(calls, read, written, None if dollars is None else Decimal(dollars))
