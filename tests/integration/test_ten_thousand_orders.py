"""Thousands of orders over real HTTP with one request in twenty spoilt: none is lost, none sent twice, and the books are equal.

`STORM_ORDERS` sets how many orders the slow test sends at Binance; at Kraken it is a fifth of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.storm import SHARE, Audit, Storm, audit, storm
from tests.venues.six import SIX

FEW = {"binance": 200, "kraken": 120}
MANY = int(os.environ.get("STORM_ORDERS", "10000"))


async def _survives(venue: str, folder: Path, orders: int) -> None:
    async with storm(SIX[venue], folder, seed=5) as world:
        await world.rage(orders)
        said = await audit(world)
        print(_figures(world, said))
    assert not said.wrong, "\n".join(said.wrong[:40])
    assert sum(said.states.values()) >= orders
    # Enough went wrong for that to mean something.
    assert said.unknown
    assert sum(world.log.faults.values()) > SHARE / 2 * orders
    assert world.log.streams["drops"]


def _figures(world: Storm, said: Audit) -> str:
    log = world.log
    counts = {
        "orders by how they ended": said.states,
        "answers lost, by how the order ended": said.unknown,
        "requests": log.requests,
        f"faults, {sum(log.faults.values())}": log.faults,
        "streams": log.streams,
        "errors": log.errors,
        "denied": log.denied,
    }
    lines = [
        f"{sum(said.states.values())} orders, {said.fills} fills in {log.seconds:.0f} s ({log.cpu_seconds:.0f} s of processor)"
    ]
    lines += [f"  {what}: {', '.join(f'{kind} {n}' for kind, n in sorted(found.items()))}" for what, found in counts.items()]
    return "\n".join(lines)


@pytest.mark.parametrize("venue", FEW)
async def test_hundreds_of_orders_in_a_storm_end_known_and_equal(venue: str, tmp_path: Path) -> None:
    await _survives(venue, tmp_path, FEW[venue])


@pytest.mark.slow
@pytest.mark.parametrize(("venue", "orders"), [("binance", MANY), ("kraken", MANY // 5)])
async def test_thousands_of_orders_in_a_storm_end_known_and_equal(venue: str, orders: int, tmp_path: Path) -> None:
    await _survives(venue, tmp_path, orders)
