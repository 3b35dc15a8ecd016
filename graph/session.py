"""A session: cycle after cycle at each close of a bar, until the time is over, an operator is needed, or trading must stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from datetime import datetime
from itertools import dropwhile

from graph.runner import RunResult
from graph.system import TradingSystem
from graph.ticks import ticks
from trading_core.domain.clock import SimulatedClock
from trading_core.persistence.records import RunState

LIVE_CYCLES = 1


async def trade(system: TradingSystem, *, after: datetime | None = None) -> AsyncGenerator[RunResult, None]:
    """Run the session's cycles in order, yielding each result.

    It ends early, after yielding that result, when a run waits for an operator.

    Args:
        after: skip the ticks up to and including this one: those were run before.
    """
    if not system.config.simulated:
        async for result in _trade_live(system):
            yield result
        return
    clock = system.clock
    for tick in remaining(system, after):
        if isinstance(clock, SimulatedClock):
            clock.advance_to(max(tick, clock.now()))
        result = await system.runner.run(tick)
        yield result
        if result.state is RunState.WAITING:
            return


def remaining(system: TradingSystem, after: datetime | None) -> Iterator[datetime]:
    """The ticks of a simulated session that lie after `after`."""
    every = ticks(system.config, system.feed)
    return every if after is None else dropwhile(lambda tick: tick <= after, every)


async def _trade_live(system: TradingSystem) -> AsyncGenerator[RunResult, None]:
    """The first cycle at once, the next ones as bars close."""
    length = system.config.bars.length.total_seconds()
    for number in range(system.config.cycles or LIVE_CYCLES):
        if number:
            await system.clock.sleep(length - system.clock.now().timestamp() % length + 1)
        # Runs are told apart by whole seconds. The next one, so that what came in this one is known by then.
        await system.clock.sleep(1.001 - system.clock.now().microsecond / 1_000_000)
        result = await system.runner.run(system.clock.now().replace(microsecond=0))
        yield result
        if result.state is RunState.WAITING:
            return
