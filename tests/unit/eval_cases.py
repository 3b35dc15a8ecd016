"""Small scenarios for tests of the harness."""

from __future__ import annotations

from typing import Any

from evals.schema import Scenario

DEEP = 100_000  # base volume: nothing of ours moves the price
FLAT = {"bars": 240, "drift": 0.0, "noise": 0.001, "volume": DEEP}


def scenario(name: str = "a-case", **changes: Any) -> Scenario:
    """One quiet market, an account in cash, a short horizon."""
    markets = changes.get("markets", [market()])
    content: dict[str, Any] = {
        "id": name,
        "title": "A case",
        "category": "trend",
        "why": "A test.",
        "horizon": 6,
        "seed": 7,  # with which `breakout` ends in one
        "markets": markets,
        "acceptable": {one["symbol"]: {"actions": ["enter", "exit", "hold", "abstain", "none"]} for one in markets},
    }
    return Scenario.model_validate({**content, **changes})


def market(symbol: str = "BTC/USDT", *segments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A market at 100 that goes nowhere."""
    return {"symbol": symbol, "price": 100, "segments": list(segments) or [FLAT], **changes}


def breakout(symbol: str = "BTC/USDT", **changes: Any) -> dict[str, Any]:
    """A market in which the rules enter: a long rise that has just gone above its range."""
    rise = {"bars": 240, "drift": 0.001, "noise": 0.003, "volume": DEEP}
    rest = {"bars": 70, "drift": 0.0002, "noise": 0.0025, "volume": DEEP}
    return market(symbol, rise, rest, {"bars": 2, "drift": 0.006, "noise": 0.001, "volume": DEEP}, **changes)


def three() -> list[Scenario]:
    """An entry, a hold and an exit."""
    falling = market("ETH/USDT", FLAT, {"bars": 60, "drift": -0.004, "noise": 0.001, "volume": DEEP})
    held = {"holdings": [{"symbol": "ETH/USDT", "quantity": 100, "cost": 100, "stop": 40}]}
    return [
        scenario("enters", markets=[breakout()]),
        scenario("holds"),
        scenario("exits", markets=[falling], account=held),
    ]
