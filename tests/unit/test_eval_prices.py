"""The prices of a scenario's world: generated ones with their shocks, and recorded ones."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.bars import DECIDED_AT, RecordingMissing, decided_at, prices_of
from tests.unit.eval_cases import market, scenario
from trading_core.domain.errors import ConfigurationError

HOUR = timedelta(hours=1)
BTC = "BTC/USDT"


@given(seed=st.integers(0, 10**6), horizon=st.integers(0, 100), bars=st.integers(60, 400), noise=st.floats(0, 0.2))
def test_generated_bars_are_sound_and_a_longer_horizon_changes_none_of_them(
    seed: int, horizon: int, bars: int, noise: float
) -> None:
    markets = [market(BTC, {"bars": bars, "drift": -0.01, "noise": noise})]
    short, long = (prices_of(scenario(seed=seed, horizon=ahead, markets=markets), None)[BTC] for ahead in (horizon, 120))
    assert short.real.bars == long.real.bars[: len(short.real.bars)]
    known = [bar for bar in short.real.bars if bar.opened_at < DECIDED_AT]
    assert len(known) == bars
    assert known[-1].opened_at == DECIDED_AT - HOUR
    assert all(bar.inconsistency() is None for bar in short.real.bars)
    assert all(after.open == before.close for before, after in zip(short.real.bars, short.real.bars[1:], strict=False))


def test_shocks_do_what_they_say() -> None:
    def bars(*shocks: dict[str, Any]) -> Any:
        return prices_of(scenario(markets=[market(BTC, shocks=list(shocks))]), None)[BTC]

    plain = bars().real.bars
    decided = sum(bar.opened_at < DECIDED_AT for bar in plain)
    fallen = bars({"kind": "gap", "at": -2, "size": -0.5}).real.bars
    assert fallen[decided - 3] == plain[decided - 3]
    assert fallen[decided - 2].close == pytest.approx(plain[decided - 2].close / 2, abs=Decimal("0.01"))
    wick = bars({"kind": "spike", "at": -1, "size": -0.3}).real.bars[decided - 1]
    assert wick.close == plain[decided - 1].close
    assert wick.low < plain[decided - 1].low * Decimal("0.75")
    gone = bars({"kind": "missing", "at": -10, "bars": 5}).real.bars
    assert len(gone) == len(plain) - 5
    stale = bars({"kind": "stale", "at": -3})
    assert stale.real.bars == plain
    assert stale.seen.bars[-1].opened_at == DECIDED_AT - 4 * HOUR
    assert len(bars({"kind": "scale", "size": 0.5}).lies) == 1


def test_recorded_bars_are_cut_at_the_decision(shared_data: Path) -> None:
    recorded = {"symbol": BTC, "recorded": "binance_BTCUSDT_1h.csv.gz@2020-03-12T10:00:00Z"}
    one = scenario(markets=[recorded])
    bars = prices_of(one, shared_data)[BTC].real.bars
    assert bars[-1].opened_at > decided_at(one) > bars[0].opened_at
    assert max(bar.opened_at for bar in bars) < decided_at(one) + (one.horizon + 2) * HOUR
    with pytest.raises(ConfigurationError, match="is of BTC/USDT"):
        prices_of(scenario(markets=[recorded | {"symbol": "ETH/USDT"}]), shared_data)


def test_without_the_recording_a_scenario_is_skipped_with_the_reason(tmp_path: Path) -> None:
    recorded = {"symbol": BTC, "recorded": "binance_BTCUSDT_1h.csv.gz@2020-03-12T10:00:00Z"}
    for folder in (None, tmp_path):
        with pytest.raises(RecordingMissing, match="binance_BTCUSDT_1h"):
            prices_of(scenario(markets=[recorded]), folder)


@pytest.mark.parametrize("wrong", ["x.csv", "x.csv@soon", "../x.csv@2020-03-12T10:00:00Z", "x.csv@2020-03-12T10:30:00Z"])
def test_a_recording_that_cannot_be_meant_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        decided_at(scenario(markets=[{"symbol": BTC, "recorded": wrong}]))
