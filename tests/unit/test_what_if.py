"""The account at other prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.builders import BTC, ETH, context, snapshot
from tools.what_if import WHAT_IF


async def asked(**arguments: Any) -> dict[str, Any]:
    return dict((await WHAT_IF.call(context(), arguments)).result)


async def test_a_fall_takes_its_share_of_what_is_held_and_names_the_stop_on_the_way() -> None:
    found = await asked(symbol=BTC, change_percent=-60)
    (row,) = found["holdings"]
    assert row["value_then"] == pytest.approx(row["value"] * 0.4)
    assert found["equity_then"] == pytest.approx(found["equity"] - 0.6 * row["value"])
    assert found["difference_of_equity"] == pytest.approx(-0.6 * row["value"] / found["equity"])
    assert row["stop_comes_first"]
    assert row["value_at_stop"] == pytest.approx(2 * 90)
    assert not (await asked(symbol=BTC, change_percent=-1))["holdings"][0]["stop_comes_first"]


async def test_of_what_is_not_held_nothing_changes_and_all_means_all_that_is_held() -> None:
    found = await asked(symbol=ETH, change_percent=-50)
    assert (found["holdings"], found["equity_then"]) == ([], found["equity"])
    assert (await asked(change_percent=10))["holdings"][0]["symbol"] == BTC


async def test_without_the_price_of_a_holding_nothing_is_worked_out() -> None:
    unpriced = replace(snapshot(), tickers={})
    found = (await WHAT_IF.call(context(unpriced), {"symbol": BTC, "change_percent": -10})).result
    assert "equity is unknown" in str(found["error"])


@pytest.mark.parametrize("change", [-100, -1e9, 1e9, float("nan"), "much", None])
async def test_a_change_that_no_price_can_make_is_refused(change: object) -> None:
    assert "change_percent" in (await asked(symbol=BTC, change_percent=change))["error"]
