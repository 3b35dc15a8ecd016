"""What a run will cost, before it is paid for: counted on the rules, which ask the same questions of the same facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from evals.answers import request_text
from evals.meter import Spent
from evals.model_faults import Front, told
from evals.prices import Price
from evals.trajectory import Trajectory

_BYTES_PER_TOKEN = 4  # of English and JSON, about; a token is never less than one
_SAID_PER_TOKEN = 3  # of an answer: numbers and ids take more tokens than words


class TallyingModel(Front):
    """Says what the model behind it says, and tells the tokens that a language model would have been sent and have answered.

    Attributes:
        counted: all of it together.
    """

    counted: Spent = Spent()

    async def answer(self, messages: list[BaseMessage], stop: list[str] | None, bound: dict[str, Any]) -> AIMessage:
        said = await super().answer(messages, stop, bound)
        read = -(-len(request_text(messages, told(bound)).encode()) // _BYTES_PER_TOKEN)
        wrote = -(-len((str(said.content) + str(said.tool_calls or "")).encode()) // _SAID_PER_TOKEN)
        usage = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
        self.counted = self.counted.plus(Spent(1, read, wrote))
        return said.model_copy(update={"usage_metadata": usage})


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a run to pay for. A model that digs deeper, thinks at length or has to repair asks more than the rules do.

    Attributes:
        expected: with as many calls as the rules need.
        most: the same calls, each at the most that it is paid for in advance.
        price: that both are counted at; None when it is not known.
    """

    scenarios: int
    repeats: int
    expected: Spent
    most: Spent
    price: Price | None


def tally(trajectory: Trajectory) -> Spent:
    """What one repeat of a scenario asks, by a trajectory of a `TallyingModel`."""
    asked = trajectory.asked
    return Spent(
        sum(one.model_calls for one in asked),
        sum(one.input_tokens for one in asked),
        sum(one.output_tokens for one in asked),
    )


def estimate(tallies: Mapping[str, Spent], repeats: Mapping[str, int], price: Price | None, most_output: int) -> Estimate:
    """The cost of so many more `repeats` of each scenario."""
    expected, most = (Spent(dollars=_dollars(price, 0, 0)) for _ in range(2))
    for scenario, times in repeats.items():
        one = tallies.get(scenario, Spent())
        calls, read, said = one.calls * times, one.input_tokens * times, one.output_tokens * times
        expected = expected.plus(Spent(calls, read, said, _dollars(price, read, said)))
        read, said = read * _BYTES_PER_TOKEN, most_output * calls
        most = most.plus(Spent(calls, read, said, _dollars(price, read, said)))
    return Estimate(len(repeats), sum(repeats.values()), expected, most, price)


def _dollars(price: Price | None, read: int, said: int) -> Decimal | None:
    return None if price is None else price.of(read, said)
