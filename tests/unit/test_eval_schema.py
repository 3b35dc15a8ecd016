"""What a scenario file may say, and that whatever is misspelt refuses to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.schema import FAULTS, Scenario, load_scenario
from evals.suites import load_suite
from trading_core.domain.errors import ConfigurationError

BASE: dict[str, Any] = {
    "id": "a-trend",
    "title": "A trend",
    "category": "trend",
    "why": "The price rises.",
    "markets": [{"symbol": "BTC/USDT", "segments": [{"bars": 100}]}],
    "acceptable": {"BTC/USDT": {"actions": ["hold"]}},
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "a-trend.yaml"
    path.write_text(yaml.safe_dump({**BASE, **changes}), encoding="utf-8")
    return path


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path))
    assert scenario.symbols == ("BTC/USDT",)
    assert (scenario.timeframe, scenario.cycles, scenario.horizon) == ("1h", 1, 48)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"catgory": "trend"}, "catgory"),
        ({"category": "trends"}, "category"),
        ({"id": "another"}, "not the file's name"),
        ({"acceptable": {}}, "nothing is said of what is acceptable for BTC/USDT"),
        ({"must_abstain": ["ETH/USDT"]}, "ETH/USDT has no market"),
        ({"markets": [{"symbol": "BTC/USDT"}]}, "either segments or recorded"),
        ({"markets": [{"symbol": "BTC/USDT", "recorded": "x.csv@2020", "after": [{"bars": 1}]}]}, "in the recording"),
        ({"markets": [{"symbol": "btc", "segments": [{"bars": 1}]}]}, "markets.0.symbol"),
        ({"faults": [{"what": "model", "how": "down"}]}, "a model fault is timeout or refused"),
        ({"faults": [{"what": "venue", "where": "plaec", "how": "refuses"}]}, "a venue fault is at place"),
        ({"account": {"cash": "NaN"}}, "account.cash"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_scenario(written(tmp_path, **changes))
    assert told in str(error.value)
    assert "a-trend.yaml" in str(error.value)


@pytest.mark.parametrize("what", FAULTS)
def test_every_fault_that_is_listed_can_be_written(tmp_path: Path, what: str) -> None:
    where, hows = FAULTS[what]
    faults = [{"what": what, "where": place, "how": how} for place in ("", *where) for how in hows]
    assert len(load_scenario(written(tmp_path, faults=faults)).faults) == len(faults)


@pytest.mark.parametrize("text", ["{", "- 1", "id: [", "\x00"])
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a-trend.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="No scenario was run"):
        load_scenario(path)


def test_a_suite_is_found_by_category_tag_id_and_path(tmp_path: Path) -> None:
    every = load_suite("all")
    assert [one.id for one in every] == sorted(one.id for one in every)
    crashes = load_suite("crash")
    assert crashes
    assert {one.category.value for one in crashes} == {"crash"}
    assert load_suite(every[0].id) == [every[0]]
    path = written(tmp_path)
    assert load_suite(str(path)) == load_suite(str(tmp_path)) == [Scenario.model_validate(BASE)]


def test_an_unknown_suite_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"flash_crash"):
        load_suite("crashes")
    with pytest.raises(ConfigurationError, match="is empty"):
        load_suite(str(tmp_path))
