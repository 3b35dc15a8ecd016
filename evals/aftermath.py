"""What followed: the market goes on over the scenario's horizon, the account's stops work, and nobody decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from evals.reading_back import fills_between
from evals.trajectory import Aftermath
from evals.world import World
from trading_core.auth.agents import runner
from trading_core.domain.market import Timeframe
from trading_core.domain.money import ONE, ZERO
from trading_core.domain.orders import Fill
from trading_core.domain.portfolio import Portfolio
from trading_core.risk.state import fraction_lost


async def look_after(world: World, last: datetime, rules: float | None) -> Aftermath:
    """Walk the market from the last decision at `last` to the end of the horizon.

    Entries that still rest are taken back at the next bar, as the next cycle would. The exchange matches the same whether it is
    asked once or at every bar, so it is asked once, and the curve is folded from the fills.
    """
    desk, who = world.system.desk, runner(world.system.desk.account_id)
    length = Timeframe(world.scenario.timeframe).length
    ticks = [last + number * length for number in range(1, world.scenario.horizon + 1)]
    start = await world.account()
    decided_until = world.clock.now()
    world.clock.advance_to(max(ticks[0], decided_until))
    await desk.cancel_entries(who, but_run="")
    world.clock.advance_to(max(ticks[-1], world.clock.now()))
    await desk.sync(who)
    fills = await fills_between(world.system.database, desk.account_id, decided_until, world.clock.now())
    first = world.before.equity(world.prices(world.at))
    curve = _curve(world, start, fills, ticks, first)
    then, end = world.prices(last), world.prices(ticks[-1])
    return Aftermath(
        desk=curve[-1][1],
        held=_held(world, world.prices(world.at), end),
        rules=rules,
        drawdown=_deepest([1.0, *(value for _, value in curve)]),
        curve=tuple(curve),
        moves={symbol: float(end[symbol] / price) - 1 for symbol, price in then.items() if symbol in end},
    )


def _curve(
    world: World, portfolio: Portfolio, fills: Sequence[Fill], ticks: Sequence[datetime], first: Decimal
) -> list[tuple[datetime, float]]:
    """The account's worth at each tick, as a multiple of `first`."""
    left, curve = list(fills), []
    for tick in ticks:
        while left and left[0].at <= tick:
            portfolio = portfolio.after(left[0], world.system.desk.instruments[left[0].symbol])
            left.pop(0)
        curve.append((tick, float(portfolio.equity(world.prices(tick)) / first)))
    return curve


def _held(world: World, then: dict[str, Decimal], end: dict[str, Decimal]) -> float:
    """Everything put into the symbols in equal parts at the first decision, at last prices, with the taker fee."""
    if not then:
        return 1.0
    instruments = world.system.desk.instruments
    share = ONE / len(then)
    return float(
        sum((share * end[symbol] / (price * (ONE + instruments[symbol].taker_fee)) for symbol, price in then.items()), ZERO)
    )


def _deepest(values: Sequence[float]) -> float:
    """Largest fall from a peak, fraction."""
    worst, peak = ZERO, ZERO
    for value in map(Decimal, map(repr, values)):
        peak = max(peak, value)
        worst = max(worst, fraction_lost(peak, value))
    return float(worst)
