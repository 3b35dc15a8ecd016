"""Sessions: what may be asked for, what makes two of them the same, and when their cycles run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from data_channels.market.history import HistoryFeed
from data_channels.market.synthetic import SyntheticFeed
from graph.config import SessionConfig
from graph.markets import make_feed
from graph.ticks import DEFAULT_CYCLES, ticks
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import Timeframe

SYMBOLS = ("BTC/USDT", "ETH/USDT")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"symbols": ()}, "symbols"),
        ({"symbols": ("BTC/USDT", "BTC/USDT")}, "twice"),
        ({"symbols": ("BTC/USDT", "ETH/EUR")}, "one quote currency"),
        ({"symbols": ("BTC",)}, "BASE/QUOTE"),
        ({"timeframe": "1x"}, "timeframe"),
        ({"deposit": "-5"}, "deposit"),
        ({"deposit": "0"}, "deposit"),
        ({"deposit": "NaN"}, "deposit"),
        ({"deposit": "Infinity"}, "deposit"),
        ({"cycles": 0}, "cycles"),
        ({"market": "history"}, "--data"),
        ({"market": "live"}, "--venue"),
        ({"market": "casino"}, "market"),
        ({"start": "2025-01-02T00:00:00Z", "end": "2025-01-01T00:00:00Z"}, "before the start"),
        ({"limits": {"max_postion": "0.5"}}, "max_postion"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SessionConfig.parse({"symbols": SYMBOLS, **wrong})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_settings_are_the_same_session_wherever_the_data_lies() -> None:
    here = SessionConfig.parse({"symbols": SYMBOLS, "market": "history", "data": "/here/ohlcv"})
    there = SessionConfig.parse({"symbols": SYMBOLS, "market": "history", "data": "/there/ohlcv"})
    assert here.session_id == there.session_id
    assert here.session_id != here.model_copy(update={"seed": 1}).session_id


def test_a_session_keeps_everything_but_the_key() -> None:
    settings = SessionConfig.parse(
        {
            "symbols": SYMBOLS,
            "model": {"model": "openai:x", "base_url": "http://127.0.0.1:1/v1", "api_key": SecretStr("sk-secret")},
        }
    )
    kept = settings.stored()
    assert "sk-secret" not in str(kept)
    again = SessionConfig.parse(kept)
    assert again.session_id == settings.session_id
    assert again.model.api_key is None


def test_cycles_run_at_the_close_of_each_bar() -> None:
    start = datetime(2025, 3, 3, 0, 30, tzinfo=UTC)
    settings = SessionConfig.parse({"symbols": SYMBOLS, "start": start, "cycles": 3})
    feed = SyntheticFeed(1, SYMBOLS, Timeframe("1h"), start - timedelta(hours=10), start + timedelta(hours=10))
    assert [tick.hour for tick in ticks(settings, feed)] == [1, 2, 3]
    until = settings.model_copy(update={"cycles": None, "end": start + timedelta(hours=2)})
    assert [tick.hour for tick in ticks(until, feed)] == [1, 2]


async def test_a_generated_market_reaches_to_the_last_cycle_even_when_nobody_says_how_many() -> None:
    settings = SessionConfig.parse({"symbols": SYMBOLS})
    feed = make_feed(settings)
    last = list(ticks(settings, feed))[-1]
    ticker = await feed.ticker("BTC/USDT", as_of=last + timedelta(minutes=1))
    assert ticker is not None
    assert ticker.at == last, "the bar after the last cycle is there for its orders to fill in"


def test_history_runs_within_its_data(shared_data: Path) -> None:
    feed = HistoryFeed.load(shared_data / "ohlcv", timeframe=Timeframe("1d"), symbols=SYMBOLS)
    settings = SessionConfig.parse({"symbols": SYMBOLS, "market": "history", "data": "x", "timeframe": "1d"})
    found = list(ticks(settings, feed))
    assert len(found) == DEFAULT_CYCLES
    assert found[-1] == feed.span("BTC/USDT")[1], "without a start, the newest bars"
    late = settings.model_copy(update={"start": datetime(2030, 1, 1, tzinfo=UTC)})
    with pytest.raises(ConfigurationError, match="the data reaches from 2017"):
        list(ticks(late, feed))
