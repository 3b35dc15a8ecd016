"""The agents' tools over recorded runs: what was told then is told again, and what was not is worked out from the snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from evals.recorded import Recorded
from tools.base import Tool
from tools.context import Facts, RunRecord, ToolContext
from tools.registry import TOOLS
from trading_core.domain.errors import AlgoTrendyError, RunError
from trading_core.domain.intents import digest

# They tell what this run's agents have answered, and the limits: what a replay changes.
_LIVE = frozenset({"get_market_view", "get_proposals", "get_approved_orders", "get_limits"})
_NEED_BARS = frozenset({"get_indicators", "get_bars", "get_correlations", "get_volatilities"})


class NothingElse(RunRecord):
    """Earlier runs and orders as the run itself was told of them, and no more: the ledger has gone on since."""

    async def past_decisions(self, symbol: str, limit: int) -> list[Facts]:
        raise _unknown(f"earlier decisions on {symbol}")

    async def execution_quality(self, limit: int) -> list[Facts]:
        raise _unknown("how earlier orders went")


@dataclass(frozen=True, slots=True)
class Told:
    """What the tools told in one run, by tool and arguments."""

    results: Mapping[str, Facts]
    bars_at_hand: bool

    @classmethod
    def of(cls, recorded: Recorded) -> Self:
        rows = recorded.trail.evidence
        results = {_key(one.tool, one.arguments): one.result for one in rows if isinstance(one.result, Mapping)}
        return cls(results, recorded.bars_at_hand)


def recorded_tools(told: Mapping[str, Told]) -> dict[str, Tool[Any]]:
    """Every tool, over the runs in `told`, which may still grow. What a run does not hold is an error, as of a broken tool."""
    return {
        name: tool if name in _LIVE else Tool(tool.name, tool.description, tool.arguments, tool.action, _run(tool, told))
        for name, tool in TOOLS.items()
    }


def _run(tool: Tool[Any], told: Mapping[str, Told]) -> Callable[[ToolContext, Any], Any]:
    async def run(context: ToolContext, arguments: Any) -> Facts:
        then = told[context.run_id]
        known = then.results.get(_key(tool.name, arguments.model_dump(mode="json")))
        if tool.name in _NEED_BARS and not then.bars_at_hand:
            if known is None:
                raise _unknown(f"what {tool.name} would have told")
            return known
        try:
            found: Facts = await tool.run(context, arguments)
        except AlgoTrendyError:
            if known is None:
                raise
            return known
        # The record keeps no order of a result's fields, and a model is to read them as it did then.
        return found if known is None or digest(dict(found)) == digest(dict(known)) else known

    return run


def _key(tool: str, arguments: Mapping[str, object]) -> str:
    return digest([tool, dict(arguments)])


def _unknown(what: str) -> RunError:
    return RunError(f"{what} is not on record for this run")
