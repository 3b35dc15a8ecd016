"""The scenarios that come with the desk: enough of every kind, each with its reasons, and each the market it says it is."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from evals.bars import RecordingMissing, decided_at, prices_of
from evals.schema import (
    FAULTS,
    Account,
    Bounds,
    Category,
    Fault,
    Forbidden,
    Given,
    Holding,
    Injected,
    Market,
    Scenario,
    Segment,
    Shock,
)
from evals.suites import load_suite
from trading_core.domain.market import Bar, Timeframe
from trading_core.indicators.summary import IndicatorSummary, summarise

SCENARIOS = load_suite("all")
GENERATED = [one for one in SCENARIOS if "recorded" not in one.tags]
BY_ID = {one.id: one for one in SCENARIOS}
LEAST, LEAST_OF_A_KIND, LEAST_RECORDED = 60, 3, 8
WINDOW = 300
DOCS = (Path(__file__).parents[2] / "docs" / "evals.md").read_text(encoding="utf-8")
# SHA-256 over every bar of every generated scenario, the horizon included. It changes with a scenario's market: a result is
# compared with others only where the market is the same.
BARS = "0c0a30833cddec3b26c453a390bd9f53e72e61a890c517d450d9d24e839ef9ed"


def bars_of(scenario: Scenario, symbol: str, data: Path | None = None) -> list[Bar]:
    """What the desk's feed had told at the decision."""
    seen = prices_of(scenario, data)[symbol].seen
    return list(seen.closed(decided_at(scenario), WINDOW))


def indicators(scenario: Scenario, symbol: str, data: Path | None = None) -> IndicatorSummary:
    found = summarise(bars_of(scenario, symbol, data), Timeframe(scenario.timeframe).per_year)
    assert found is not None
    return found


def bars_hash() -> str:
    rows = hashlib.sha256()
    for scenario in GENERATED:
        for symbol, prices in sorted(prices_of(scenario, None).items()):
            for bar in prices.real.bars:
                shown = ",".join(str(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume))
                rows.update(f"{scenario.id},{symbol},{bar.opened_at.isoformat()},{shown}\n".encode())
    return rows.hexdigest()


def test_there_are_enough_of_every_kind() -> None:
    assert len(SCENARIOS) >= LEAST
    assert len(BY_ID) == len(SCENARIOS)
    for category in Category:
        assert sum(one.category is category for one in SCENARIOS) >= LEAST_OF_A_KIND, category
    assert sum("recorded" in one.tags for one in SCENARIOS) >= LEAST_RECORDED


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.id)
def test_it_says_why(scenario: Scenario) -> None:
    assert len(scenario.why.split()) >= 15
    assert 10 <= len(scenario.title) <= 120
    assert all(len(rule.why) >= 15 for rule in scenario.forbidden)
    assert all(len(one.wants) >= 10 and len(one.text) >= 20 for one in scenario.injected)
    assert ("recorded" in scenario.tags) is any(market.recorded for market in scenario.markets)
    assert scenario.why not in {other.why for other in SCENARIOS if other is not scenario}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.id)
def test_what_it_asks_for_does_not_contradict_itself(scenario: Scenario) -> None:
    for symbol, bounds in scenario.acceptable.items():
        forbidden = {rule.action for rule in scenario.forbidden if rule.symbol in (None, symbol)}
        held = any(one.symbol == symbol for one in scenario.account.holdings)
        if forbidden & {"enter", "buy", "any_order"}:
            assert "enter" not in bounds.actions
        if forbidden & {"exit", "sell", "any_order"}:
            assert "exit" not in bounds.actions
        if symbol in scenario.must_abstain:
            assert set(bounds.actions) <= {"abstain", "none"}
        if "exit" in bounds.actions:
            assert held, f"{symbol}: there is nothing to exit"
        if "enter" in bounds.actions:
            assert bounds.max_weight is not None, f"{symbol}: an entry of any size would do"
        assert set(bounds.actions) < {"enter", "exit", "hold", "abstain", "none"}


def test_no_two_generated_markets_are_the_same() -> None:
    decided = [one for one in GENERATED if one.category is not Category.QUESTION]  # a question may be asked of a known market
    closes = [tuple(bar.close for bar in bars_of(one, symbol)[-20:]) for one in decided for symbol in one.symbols]
    assert len(set(closes)) == len(closes)


def test_the_same_file_always_makes_the_same_bars() -> None:
    assert bars_hash() == BARS


TEMPTING = [
    one
    for one in GENERATED
    if one.category in (Category.HALT, Category.LIMITS, Category.DUST, Category.MODEL_FAULT)
    and any(len(market.segments) == 3 for market in one.markets)
]


@pytest.mark.parametrize("scenario", TEMPTING, ids=lambda one: one.id)
def test_where_an_entry_is_ruled_out_the_chart_invites_to_one(scenario: Scenario) -> None:
    """Else it would be passed by every desk that does nothing."""
    market = next(one for one in scenario.markets if len(one.segments) == 3)
    found = indicators(scenario, market.symbol)
    assert None not in (found.donchian_20_high, found.ema_50, found.ema_200, found.rsi_14)
    assert found.last_close > (found.donchian_20_high or 0)
    assert found.last_close > (found.ema_50 or 0) > (found.ema_200 or 0)
    assert (found.rsi_14 or 0) < 80


MUST_EXIT = [one for one in SCENARIOS if any(bounds.actions == ("exit",) for bounds in one.acceptable.values())]


@pytest.mark.parametrize("scenario", MUST_EXIT, ids=lambda one: one.id)
def test_where_only_an_exit_will_do_the_reason_is_on_the_chart(scenario: Scenario, request: pytest.FixtureRequest) -> None:
    """The desk's own words: the close lies below the low of ten bars."""
    data = request.getfixturevalue("shared_data") if "recorded" in scenario.tags else None
    for symbol, bounds in scenario.acceptable.items():
        if bounds.actions == ("exit",):
            found = indicators(scenario, symbol, data)
            assert found.donchian_10_low is not None
            assert found.last_close < found.donchian_10_low


def test_neither_a_desk_that_never_acts_nor_one_that_always_buys_gets_through() -> None:
    assert len(MUST_EXIT) >= 10
    assert len(TEMPTING) >= 10


@pytest.mark.parametrize(
    ("name", "missing"), [("gap-2018-02-08-inside", 11), ("gap-2018-02-08-first-hours", 2), ("crash-2020-03-12-held", 0)]
)
def test_a_recorded_window_ends_where_it_says(name: str, missing: int, shared_data: Path) -> None:
    scenario = BY_ID[name]
    at, length = decided_at(scenario), Timeframe(scenario.timeframe).length
    last = bars_of(scenario, scenario.symbols[0], shared_data)[-1]
    assert (at - last.opened_at) // length == missing + 1


def test_without_recordings_the_recorded_ones_say_that_they_cannot_be_run() -> None:
    with pytest.raises(RecordingMissing, match="binance_BTCUSDT_1h"):
        prices_of(BY_ID["crash-2020-03-12-held"], None)


def test_the_worked_example_of_the_docs_is_a_scenario_that_is_run() -> None:
    example = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert example is not None
    scenario = Scenario.model_validate(yaml.safe_load(example.group(1)))
    assert scenario == BY_ID[scenario.id]


def test_the_docs_name_everything_that_a_scenario_may_say() -> None:
    parts = (Scenario, Market, Segment, Shock, Account, Holding, Given, Fault, Injected, Bounds, Forbidden)
    shocks = {"spike", "gap", "missing", "stale", "scale"}
    words = (
        {name for part in parts for name in part.model_fields} | set(FAULTS) | shocks | {category.value for category in Category}
    )
    words |= {word for where, how in FAULTS.values() for word in (*where, *how)} - {"market_analysis", "signal", "risk"}
    prose = re.sub(r"```.*?```", "", DOCS, flags=re.DOTALL)
    named = {word for code in re.findall(r"`([^`\n]+)`", prose) for word in re.findall(r"\w+", code)}
    named |= set(re.findall(r"\w+", " ".join(re.findall(r"\(([^()]*)\)", prose))))  # lists of words in brackets
    assert words <= named
