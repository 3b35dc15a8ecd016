"""A chat model that is paid for out of a budget: every attempt is set aside at its most before it is made, and settled after."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from agents.models.failures import explain
from evals.answers import request_text
from evals.meter import Meter, Spent
from evals.model_faults import Front, told
from trading_core.domain.errors import ModelError, ModelUnavailable

ATTEMPTS = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0  # seconds between two attempts; the first wait doubles
_PASSES = frozenset({408, 409, 429})  # statuses below 500 that another attempt may mend
_OVERHEAD = 64  # tokens of a protocol around the text of a request, at most
_PER_MESSAGE = 8


class Receipts:
    """What became of a call. Here nothing is kept of it: the meter has the sum."""

    def asking(self, reserved: Spent) -> None:
        """It is about to be made, and may cost `reserved`."""

    def said(self, message: AIMessage, paid: Spent) -> None:
        """The model answered."""

    def failed(self, error: ModelError, paid: Spent) -> None:
        """It gave no answer."""

    def given_up(self, reserved: Spent) -> None:
        """It was not waited for, and nobody knows what came of it."""


class PaidModel(Front):
    """Asks the model behind it within a budget. Its client must not try again by itself: every attempt is paid for.

    Attributes:
        most_output: tokens of an answer, at most; the endpoint is told so.
    """

    meter: Meter
    most_output: int

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        return await self.pay(messages, stop, bound, Receipts())

    async def pay(
        self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any], receipts: Receipts
    ) -> AIMessage:
        """The model's answer, asked for again where that may help.

        Raises:
            BudgetSpent: the next attempt does not fit into the budget.
        """
        most = most_input(messages, told(bound))
        for attempt in range(1, ATTEMPTS + 1):
            reserved = await self.meter.reserve(most, self.most_output)
            receipts.asking(reserved)
            try:
                message = await super().answer(messages, stop, bound)
            except asyncio.CancelledError:
                receipts.given_up(reserved)
                await self.meter.settle(reserved, reserved)
                raise
            except Exception as error:
                explained = explain(error)
                paid = Spent(calls=1) if _is_free(error) else reserved
                await self.meter.settle(reserved, paid)
                receipts.failed(explained, paid)
                if attempt == ATTEMPTS or not _may_pass(error, explained):
                    raise
                await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)))
                continue
            paid = self._paid(message, reserved)
            await self.meter.settle(reserved, paid)
            receipts.said(message, paid)
            return message
        raise AssertionError("the last attempt returns or raises")

    def _paid(self, message: AIMessage, reserved: Spent) -> Spent:
        """By the endpoint's own count; the whole reservation where it tells none, or one that cannot be."""
        usage = message.usage_metadata
        has_said = bool(message.content or message.tool_calls)
        if not usage or usage["input_tokens"] < 1 or usage["output_tokens"] < has_said:
            return reserved
        return self.meter.cost(usage["input_tokens"], usage["output_tokens"])


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
