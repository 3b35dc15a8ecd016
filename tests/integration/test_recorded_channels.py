"""A recorded market beside recorded readings: what was known then counts, and nothing that was said later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.market.synthetic import SyntheticFeed
from data_channels.store.open import open_store
from graph.config import SessionConfig
from graph.folders import Folders
from graph.system import TradingSystem
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import Reading, ReadingState, Timeframe

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def index(value: int, published: datetime) -> Reading:
    return Reading("fear-greed", "BTC/USDT", "market_fear_greed", Decimal(value), "points", published - HOUR, published)


def config() -> SessionConfig:
    return SessionConfig.parse(
        {"market": "history", "data": "bars", "symbols": ["BTC/USDT"], "start": NOON, "channels": ["fear-greed", "coingecko"]}
    )


async def test_a_decision_of_the_past_hears_what_had_been_published_by_then(tmp_path: Path) -> None:
    async with await open_store(Folders.of(tmp_path, config()).readings) as store:
        await store.put([index(30, NOON - 2 * HOUR), index(90, NOON + HOUR)])
    feed = SyntheticFeed(3, ["BTC/USDT"], Timeframe("1h"), NOON - 305 * HOUR, NOON + 5 * HOUR)
    async with TradingSystem.open(config(), tmp_path, feed=feed, at=NOON) as system:
        await system.runner.run(NOON)
        async with system.database.reading() as uow:
            run = await uow.runs.last(system.config.session_id)
            assert run is not None
            assert run.snapshot_hash is not None
            kept = await uow.snapshots.get(run.snapshot_hash)
    assert kept is not None
    report = kept.content["channels"]["sentiment:BTC/USDT"]
    assert report["state"] == ReadingState.LIVE.value
    assert [reading["value"] for reading in report["readings"]] == ["30"]
    assert kept.content["channels"]["aggregate:BTC/USDT"]["state"] == "off"


def test_a_generated_market_has_nobody_to_hear() -> None:
    with pytest.raises(ConfigurationError, match="nobody says anything of a generated market"):
        SessionConfig.parse({"symbols": ["BTC/USDT"], "channels": ["coingecko"]})
