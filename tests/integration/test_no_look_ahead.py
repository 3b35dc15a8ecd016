"""Change the future and no decision changes: over real data, for every tool and for the whole cycle."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.roster import ROSTER
from data_channels.market.history import HistoryFeed
from data_channels.market.series import SeriesFeed
from evals.scramble import scrambled
from graph.config import SessionConfig
from graph.report import export
from graph.session import trade
from graph.system import ACCOUNT, TradingSystem
from tools.computed import Computed
from tools.context import ToolContext
from tools.registry import TOOLS
from trading_core.auth.agents import runner
from trading_core.auth.permissions import operator
from trading_core.domain.market import Timeframe

SYMBOLS = ("BTC/USDT", "ETH/USDT")
HOURLY = Timeframe("1h")


@pytest.fixture(scope="module")
def market(shared_data: Path) -> HistoryFeed:
    return HistoryFeed.load(shared_data / "ohlcv", timeframe=HOURLY, symbols=SYMBOLS)


def session(end: datetime, cycles: int) -> SessionConfig:
    return SessionConfig.parse(
        {
            "market": "history",
            "data": "ohlcv",
            "symbols": SYMBOLS,
            "start": end - (cycles - 1) * HOURLY.length,
            "end": end,
            "limits": {"approval_above_notional": None},
        }
    )


async def _decisions(home: Path, settings: SessionConfig, feed: SeriesFeed) -> str:
    """Everything decided, up to and including the gate; what the exchange then made of the last orders is the future."""
    async with TradingSystem.open(settings, home, feed=feed) as system:
        async for result in trade(system):
            assert not result.error
        told = await export(system)
    del told["portfolio"]
    last = told["runs"][-1]
    for key in ("orders", "fills"):
        del last[key]
    # The core's own stops follow from the last fills.
    last["gate"] = [item for item in last["gate"] if item["purpose"] != "stop"]
    return json.dumps(told, sort_keys=True)


@pytest.mark.parametrize(
    "end",
    [
        datetime(2021, 5, 19, 13, tzinfo=UTC),
        pytest.param(datetime(2021, 5, 11, 15, tzinfo=UTC), marks=pytest.mark.slow),
        pytest.param(datetime(2022, 11, 8, 21, tzinfo=UTC), marks=pytest.mark.slow),
    ],
    ids=lambda end: f"{end:%Y-%m-%d}",
)
@pytest.mark.parametrize(("seed", "cycles"), [(1, 6), pytest.param(2, 30, marks=pytest.mark.slow)])
async def test_a_session_decides_the_same_whatever_comes_after_it(
    market: HistoryFeed, tmp_path: Path, end: datetime, seed: int, cycles: int
) -> None:
    settings = session(end, cycles)
    real = await _decisions(tmp_path / "real", settings, market)
    assert '"action": "' in real
    assert await _decisions(tmp_path / "scrambled", settings, scrambled(market, SYMBOLS, end, seed=seed)) == real


async def test_every_tool_answers_the_same_whatever_comes_after(market: HistoryFeed, tmp_path: Path) -> None:
    as_of = datetime(2021, 5, 19, 13, tzinfo=UTC)
    answers = []
    for name, feed in (("real", market), ("scrambled", scrambled(market, SYMBOLS, as_of))):
        async with TradingSystem.open(session(as_of, cycles=3), tmp_path / name, feed=feed) as system:
            view = await system.desk.account(runner(ACCOUNT))
            tickers = await system.snapshots.tickers(view.portfolio, as_of)
            snapshot, _ = await system.snapshots.take(as_of, view, tickers)
            context = ToolContext(
                principal=operator("tester", "paper"),
                run_id="r",
                snapshot=snapshot,
                feed=feed,
                limits=system.desk.limits,
                record=system.record,
                computed=Computed(snapshot),
            )
            told = {}
            for tool in TOOLS.values():
                arguments = {"symbol": "BTC/USDT"} if "symbol" in tool.arguments.model_fields else {}
                told[tool.name] = (await tool.call(context, arguments)).as_text()
            answers.append(told)
    assert answers[0] == answers[1]
    used = {name for spec in ROSTER.values() for name in (*spec.opening, *spec.tools)}
    assert used <= set(answers[0]), "every tool an agent has is among those checked"


async def test_the_scramble_would_be_noticed(market: HistoryFeed, tmp_path: Path) -> None:
    """The proof is worth something: a change one bar earlier does change decisions."""
    end = datetime(2021, 5, 19, 13, tzinfo=UTC)
    settings = session(end, cycles=2)
    real = await _decisions(tmp_path / "real", settings, market)
    assert await _decisions(tmp_path / "late", settings, scrambled(market, SYMBOLS, end - HOURLY.length)) != real
