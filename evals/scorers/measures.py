"""What it took, and what followed: numbers that are neither right nor wrong by themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from evals.scorers.base import Score, Scorer, measured
from evals.trajectory import Aftermath, Trajectory


def latency(trajectory: Trajectory) -> Score:
    """Seconds of one decision, mean over cycles, along the longest way through the graph: the slowest symbol's view and signal
    or the rebalancing agent, whichever takes longer, then the risk and the execution agent. None when nobody was asked.

    Of an answer to an operator the slowest agent's: they answer side by side.
    """
    if trajectory.scenario.question is not None:
        return measured("latency", max((one.seconds for one in trajectory.asked), default=None))
    branches: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    after: defaultdict[str, float] = defaultdict(float)
    for one in trajectory.asked:
        if one.agent in ("risk", "execution"):
            after[one.run_id] += one.seconds
        else:
            branches[one.run_id][one.subject] += one.seconds
    runs = {one.run_id for one in trajectory.asked}
    took = [max(branches[run].values(), default=0.0) + after[run] for run in runs]
    return measured("latency", sum(took) / len(took) if took else None)


def model_calls(trajectory: Trajectory) -> Score:
    """Calls of the model, all agents and cycles together; an answer that was used again is none."""
    return measured("model_calls", float(sum(one.model_calls for one in trajectory.asked)))


def tokens(trajectory: Trajectory) -> Score:
    """Input and output tokens as the endpoint reported them, all agents and cycles together."""
    return measured("tokens", float(sum(one.input_tokens + one.output_tokens for one in trajectory.asked)))


def cost(trajectory: Trajectory) -> Score:
    """US dollars, all agents and cycles together; nothing to measure when the price of any call is unknown."""
    prices = [one.cost for one in trajectory.asked if one.model_calls]
    known = [price for price in prices if price is not None]
    return measured("cost", float(sum(known, Decimal(0))) if len(known) == len(prices) else None)


def _of_aftermath(name: str, doc: str, value: Callable[[Aftermath], float | None]) -> Scorer:
    def scorer(trajectory: Trajectory) -> Score:
        return measured(name, None if trajectory.aftermath is None else value(trajectory.aftermath))

    scorer.__name__, scorer.__doc__ = name, doc
    return scorer


total_return = _of_aftermath("total_return", "Return of the desk over the horizon, fraction.", lambda after: after.desk - 1)
max_drawdown = _of_aftermath(
    "max_drawdown",
    "Largest fall of the desk's equity from a peak before it, fraction of that peak.",
    lambda after: after.drawdown,
)
versus_holding = _of_aftermath(
    "versus_holding",
    "Return less that of everything bought in equal parts and held, fraction.",
    lambda after: after.desk - after.held,
)
versus_cash = _of_aftermath("versus_cash", "Return less that of doing nothing, fraction.", lambda after: after.desk - after.cash)
versus_rules = _of_aftermath(
    "versus_rules",
    "Return less that of the embedded rules model on the same scenario, fraction.",
    lambda after: None if after.rules is None else after.desk - after.rules,
)
