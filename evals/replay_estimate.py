"""What a replay will ask, before it is paid for: counted on the rules, which are asked in the model's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.agent import AnswerStore
from agents.models.rules import RulesModel
from evals.estimate import Estimate, TallyingModel, estimate
from evals.meter import Spent
from evals.recorded import History
from evals.replay import Alternative, replay
from trading_core.domain.market import MarketFeed


class _OnlyRead(AnswerStore):
    """Answers that were paid for in an earlier replay. What is tried out here is none."""

    def __init__(self, answers: AnswerStore) -> None:
        self._answers = answers

    async def get(self, key: str) -> dict[str, Any] | None:
        return await self._answers.get(key)

    async def put(self, key: str, agent: str, model: str, content: dict[str, Any]) -> None:
        """Not kept."""


async def estimate_replay(
    history: History, run_ids: Sequence[str], alternative: Alternative, feed: MarketFeed, most_output: int
) -> Estimate:
    """What of these runs would be asked anew.

    Raises:
        RunError: a run is not on record.
    """
    counting = TallyingModel(inner=RulesModel())
    answers = None if alternative.answers is None else _OnlyRead(alternative.answers)
    tried = replace(alternative, model=counting, answers=answers)
    tallies, before = dict[str, Spent](), counting.counted
    async for one in replay(history, run_ids, tried, feed):
        if counting.counted != before:
            tallies[one.run.id] = _since(before, counting.counted)
        before = counting.counted
    return estimate(tallies, dict.fromkeys(tallies, 1), alternative.price, most_output)


def _since(before: Spent, now: Spent) -> Spent:
    return Spent(now.calls - before.calls, now.input_tokens - before.input_tokens, now.output_tokens - before.output_tokens)
