"""The desk on the machine's own clock: one ledger that is never removed, one run per instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from data_channels.market.synthetic import SyntheticFeed
from graph.config import SessionConfig
from graph.folders import Folders
from graph.session import trade
from graph.system import TradingSystem
from tests.integration.worlds import HOUR, SYMBOLS, trails
from trading_core.domain.market import Timeframe
from trading_core.persistence.records import RunState


def around_now() -> SyntheticFeed:
    """Generated prices whose bars end and begin around the present, in place of a venue's."""
    now = datetime.now(UTC)
    return SyntheticFeed(2, SYMBOLS, Timeframe("1h"), now - 305 * HOUR, now + 3 * HOUR)


async def test_a_live_session_decides_at_once_on_what_is_known_now(tmp_path: Path) -> None:
    settings = SessionConfig.parse({"market": "live", "venue": "binance", "symbols": SYMBOLS})
    assert Folders.of(tmp_path, settings).session == tmp_path / "desk"
    before = datetime.now(UTC)
    async with TradingSystem.open(settings, tmp_path, feed=around_now()) as system:
        results = [result async for result in trade(system)]
        (kept,) = await trails(system)
    assert [result.state for result in results] == [RunState.DONE]
    assert before - timedelta(seconds=1) <= kept.run.as_of <= datetime.now(UTC)
    assert {decision.subject for decision in kept.decisions if decision.agent == "market_analysis"} == set(SYMBOLS)


async def test_the_next_live_session_goes_on_with_the_same_account(tmp_path: Path) -> None:
    settings = SessionConfig.parse({"market": "live", "venue": "binance", "symbols": SYMBOLS})
    for _ in range(2):
        async with TradingSystem.open(settings, tmp_path, feed=around_now()) as system:
            async for _result in trade(system):
                pass
            kept = await trails(system)
    assert 1 <= len(kept) <= 2, "two runs, unless both fell into the same second"
