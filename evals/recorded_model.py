"""A chat model whose every answer is recorded, paid for out of a budget, and never asked for twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import Field

from evals.answers import Answers, Turn, Turns
from evals.meter import BudgetSpent, Spent
from evals.model_faults import told
from evals.paid_model import PaidModel, Receipts
from trading_core.domain.errors import InvalidAnswer, ModelError, ModelUnavailable


class RecordedModel(PaidModel):
    """Answers from the record; asks the model behind it for what is not there, unless it only replays.

    Attributes:
        label: how the model is called in the record of the desk.
        replays: whether the model is never asked.
        is_short: whether an answer was missing, because the budget did not allow it or the recording does not hold it.
        given_up: calls that the desk did not wait for to their end, with what they may have cost.
    """

    label: str
    answers: Answers
    turns: Turns
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
            return await self.pay(messages, stop, bound, _OfTurn(turn, self.answers, self.given_up))
        except BudgetSpent:
            self.is_short = True
            raise
        except asyncio.CancelledError:
            self.given_up.setdefault(turn, Spent())
            raise

    def keep_given_up(self) -> None:
        """Put on record that some calls were not waited for. To be called when the desk has gone on without their answers: a
        process that is stopped leaves them open, to be asked again."""
        for turn, spent in self.given_up.items():
            self.answers.failed(turn, ModelUnavailable("no answer came in time"), spent)


@dataclass(frozen=True, slots=True)
class _OfTurn(Receipts):
    """One call's line in the record."""

    turn: Turn
    answers: Answers
    not_waited_for: dict[Turn, Spent]

    def asking(self, reserved: Spent) -> None:
        self.answers.asking(self.turn, reserved)

    def said(self, message: AIMessage, paid: Spent) -> None:
        self.answers.said(self.turn, message, paid)

    def failed(self, error: ModelError, paid: Spent) -> None:
        self.answers.failed(self.turn, error, paid)

    def given_up(self, reserved: Spent) -> None:
        self.not_waited_for[self.turn] = reserved
