"""A chat model whose every answer is recorded, paid for out of a budget, and never asked for twice."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field

from agents.models.failures import explain
from evals.answers import Answers, Turn, Turns, request_text
from evals.meter import BudgetSpent, Meter, Spent
from evals.model_faults import Front, told
from trading_core.domain.errors import InvalidAnswer, ModelError, ModelUnavailable

ATTEMPTS = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0  # seconds between two attempts; the first wait doubles
_PASSES = frozenset({408, 409, 429})  # statuses below 500 that another attempt may mend
_OVERHEAD = 64  # tokens of a protocol around the text of a request, at most
_PER_MESSAGE = 8


class RecordedModel(Front):
    """Answers from the record; asks the model behind it for what is not there, unless it only replays.

    Attributes:
        label: how the model is called in the record of the desk.
        most_output: tokens of an answer, at most; the endpoint is told so.
        replays: whether the model is never asked.
        is_short: whether an answer was missing, because the budget did not allow it or the recording does not hold it.
        given_up: calls that the desk did not wait for to their end, with what they may have cost.
    """

    label: str
    answers: Answers
    meter: Meter
    turns: Turns
    most_output: int
    replays: bool = False
    is_short: bool = False
    given_up: dict[Turn, Spent] = Field(default_factory=dict)

    @property
    def _llm_type(self) -> str:
        return self.label

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        turn = self.turns.next(messages, told(bound))
        if (kept := self.answers.find(turn)) is not None:
            return kept
        failed = self.answers.failure(turn)
        # An answer that was no good stays that; an endpoint that was out of reach may be back.
        if failed is not None and (self.replays or isinstance(failed, InvalidAnswer)):
            raise failed
        if self.replays:
            self.is_short = True
            raise ModelUnavailable(f"{self.answers.path.parent.name} holds no answer to this", not_done="The agent gave none")
        try:
            return await self._ask(turn, messages, stop, bound)
        except asyncio.CancelledError:
            self.given_up.setdefault(turn, Spent())
            raise

    def keep_given_up(self) -> None:
        """Put on record that some calls were not waited for. To be called when the desk has gone on without their answers: a
        process that is stopped leaves them open, to be asked again."""
        for turn, spent in self.given_up.items():
            self.answers.failed(turn, ModelUnavailable("no answer came in time"), spent)

    async def _ask(self, turn: Turn, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        most = most_input(messages, told(bound))
        for attempt in range(1, ATTEMPTS + 1):
            reserved = await self._reserve(most)
            self.answers.asking(turn, reserved)
            try:
                message = await super().answer(messages, stop, bound)
            except asyncio.CancelledError:
                self.given_up[turn] = reserved  # nobody knows what became of it
                await self.meter.settle(reserved, reserved)
                raise
            except Exception as error:
                explained = explain(error)
                paid = Spent(calls=1) if _is_free(error) else reserved
                await self.meter.settle(reserved, paid)
                self.answers.failed(turn, explained, paid)
                if attempt == ATTEMPTS or not _may_pass(error, explained):
                    raise
                await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)))
                continue
            paid = self._paid(message, reserved)
            await self.meter.settle(reserved, paid)
            self.answers.said(turn, message, paid)
            return message
        raise AssertionError("the last attempt returns or raises")

    async def _reserve(self, most: int) -> Spent:
        try:
            return await self.meter.reserve(most, self.most_output)
        except BudgetSpent:
            self.is_short = True
            raise

    def _paid(self, message: AIMessage, reserved: Spent) -> Spent:
        """By the endpoint's own count; the whole reservation where it tells none."""
        usage = message.usage_metadata
        return self.meter.cost(usage["input_tokens"], usage["output_tokens"]) if usage else reserved


def most_input(messages: list[BaseMessage], beside: dict[str, Any]) -> int:
    """More tokens than a request can have: a token of a byte-level vocabulary stands for a byte at least."""
    return len(request_text(messages, beside).encode()) + _PER_MESSAGE * len(messages) + _OVERHEAD


def _status(error: Exception) -> int | None:
    code = getattr(error, "status_code", None)
    return code if isinstance(code, int) else None


def _is_free(error: Exception) -> bool:
    """Whether the call was provably turned away before anything was made of it."""
    code = _status(error)
    return code is not None and code < 500


def _may_pass(error: Exception, explained: ModelError) -> bool:
    code = _status(error)
    return isinstance(explained, ModelUnavailable) and (code is None or code >= 500 or code in _PASSES)
