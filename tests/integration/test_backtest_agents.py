"""The desk over a window of the past: its report, its curve, and the proof that nobody looked ahead."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from api.commands.backtest_agents import backtest_agents
from api.commands.evals import DATA_VARIABLE
from data_channels.market.synthetic import SyntheticFeed
from evals.backtest import Backtest, backtest
from evals.report.backtest import write_backtest_html, write_backtest_json
from evals.scramble import scrambled
from graph.config import SessionConfig
from graph.markets import make_feed
from tests.model_server import ModelServer
from tools.base import SymbolArguments, Tool
from tools.context import Facts, ToolContext, number
from tools.registry import TOOLS
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import Timeframe
from trading_core.persistence.records import RunState

START = datetime(2025, 3, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUSY = START + 16 * HOUR  # there is something to trade in the day after it


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of hourly bars, as a person would bring it."""
    folder = tmp_path_factory.mktemp("bars")
    symbols = ("BTC/USDT", "ETH/USDT")
    feed = SyntheticFeed(182, symbols, Timeframe("1h"), START - 320 * HOUR, START + 120 * HOUR)
    for symbol in symbols:
        rows = [
            f"{int(bar.opened_at.timestamp() * 1000)},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}"
            for bar in feed.series(symbol).bars
        ]
        path = folder / f"binance_{symbol.replace('/', '')}_1h.csv"
        path.write_text("\n".join(["ts,open,high,low,close,volume", *rows]) + "\n")
    return folder


def window(bars: Path, cycles: int = 24, **changes: Any) -> SessionConfig:
    return SessionConfig.parse(
        {
            "market": "history",
            "data": str(bars),
            "symbols": ("BTC/USDT", "ETH/USDT"),
            "start": START,
            "end": START + (cycles - 1) * HOUR,
            "limits": {"approval_above_notional": None},
            **changes,
        }
    )


async def test_a_window_is_traded_reported_and_proven_not_to_look_ahead(bars: Path, tmp_path: Path) -> None:
    busy = window(bars, start=BUSY, end=BUSY + 11 * HOUR)
    found = await backtest(busy, tmp_path / "home", checks=2)
    assert [result.state for result in found.results] == [RunState.DONE] * 12
    assert found.report.orders > 0
    assert found.report.balances_agree
    assert [check.differences for check in found.checks] == [(), ()]
    assert [check.after for check in found.checks] == [BUSY + 4 * HOUR, BUSY + 8 * HOUR]
    assert [check.runs for check in found.checks] == [5, 9]
    # What is drawn is what was counted.
    assert [at for at, _ in found.held] == [at for at, _ in found.report.curve]
    assert abs(found.held[0][1] / found.report.deposit - 1) < Decimal("0.003"), "fees and half a spread"
    judged = found.calibration.brier.count if found.calibration else 0
    assert judged > 0
    # The data reaches far enough past the window for every claim to be judged.
    assert judged <= sum(one.agent in ("market_analysis", "signal") for one in found.asked)

    write_backtest_html(found, tmp_path / "report.html")
    write_backtest_json(found, tmp_path / "report.json")
    html = (tmp_path / "report.html").read_text()
    assert html.count('<path class="l1"') == 1
    assert "bought and held" in html
    assert "not one decision changed" in html
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["report"]["profit"] == str(found.report.profit)
    assert not any(check["differences"] for check in told["look_ahead"])

    again = await backtest(busy, tmp_path / "home", checks=0)
    assert again.report == found.report, "the same window gives the same desk"
    assert [trail.decisions[0].input_hash for trail in again.trails] == [trail.decisions[0].input_hash for trail in found.trails]


async def test_a_tool_that_looks_ahead_is_found(bars: Path, tmp_path: Path) -> None:
    async def peek(context: ToolContext, arguments: SymbolArguments) -> Facts:
        honest = await TOOLS["get_ticker"].run(context, arguments)
        ahead = context.snapshot.as_of + 2 * HOUR
        found = await context.feed.bars(arguments.symbol, context.snapshot.timeframe, as_of=ahead, limit=1)
        return {**honest, "last": number(found[-1].close)}

    leaky = {**TOOLS, "get_ticker": replace(_ticker(), run=peek)}
    found = await backtest(window(bars, 8), tmp_path, tools=leaky)
    assert found.looks_ahead
    # Two bars ahead: the last two cycles before the cut are the ones that saw across it.
    assert {line[:20] for line in found.checks[0].differences} == {"2025-03-03T03:00:00Z", "2025-03-03T04:00:00Z"}
    write_backtest_html(found, tmp_path / "report.html")
    assert "decisions changed." in (tmp_path / "report.html").read_text()


def _ticker() -> Tool[Any]:
    return TOOLS["get_ticker"]


async def test_a_models_answers_are_kept_and_the_check_asks_it_nothing(bars: Path, tmp_path: Path) -> None:
    with ModelServer() as server:
        settings = window(bars, 4, model={"model": "openai:scripted", "base_url": server.base_url})
        found = await backtest(settings, tmp_path, price=None)
        asked = len(server.requests)
        assert asked >= 4
        assert found.checks[0].differences == ()
        assert sum(one.model_calls for one in found.asked) == asked, "the check for look-ahead cost nothing"
        again = await backtest(settings, tmp_path, price=None, checks=0)
        assert len(server.requests) == asked, "the same window again is free"
    assert _answers(again) == _answers(found)


def _answers(found: Backtest) -> list[object]:
    return [one.answer for one in found.asked]


async def test_of_two_backtests_of_one_window_the_second_waits_its_turn(bars: Path, tmp_path: Path) -> None:
    """Each begins by throwing the other's ledger away."""
    settings = window(bars, 2)
    ended = await asyncio.gather(*(backtest(settings, tmp_path, checks=0) for _ in range(2)), return_exceptions=True)
    (refused,) = [one for one in ended if isinstance(one, BaseException)]
    assert isinstance(refused, ConfigurationError)
    assert "is at work" in refused.what
    (found,) = [one for one in ended if isinstance(one, Backtest)]
    assert [result.state for result in found.results] == [RunState.DONE] * 2


def test_another_future_keeps_the_past_and_the_form(bars: Path) -> None:
    feed = make_feed(window(bars))
    assert isinstance(feed, SyntheticFeed) is False
    after = START + 5 * HOUR
    other = scrambled(feed, ("BTC/USDT",), after)
    then, now = feed.series("BTC/USDT").bars, other.series("BTC/USDT").bars
    known = [bar for bar in then if bar.opened_at + HOUR <= after]
    assert list(now[: len(known)]) == known
    assert [bar.opened_at for bar in now] == [bar.opened_at for bar in then]
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in now)
    assert not any(one == two for one, two in zip(now[len(known) :], then[len(known) :], strict=True))


async def test_what_cannot_be_a_backtest_is_refused(bars: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="market that is over"):
        await backtest(SessionConfig.parse({"market": "live", "venue": "binance", "symbols": ["BTC/USDT"]}), tmp_path)
    with pytest.raises(ConfigurationError, match="the data reaches"):
        await backtest(window(bars, start=START + timedelta(days=90), end=START + timedelta(days=91)), tmp_path)


def test_the_command_takes_the_folder_that_eval_takes_and_says_what_it_needs(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    app, called = typer.Typer(), CliRunner()
    app.command("backtest-agents")(backtest_agents)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ohlcv").symlink_to(bars)
    options = ["--from", "2025-03-03", "--to", "2025-03-03T01:00", "--checks", "0", "--json"]
    for given, environment in ((["--data", str(tmp_path / "data")], {}), ([], {DATA_VARIABLE: str(tmp_path / "data")})):
        done = called.invoke(app, [*options, *given], obj=tmp_path, env=environment)
        assert done.exit_code == 0, done.exception
        told = json.loads(done.stdout)
        assert told["report"]["cycles"] == 2
        assert Path(told["html"]).is_file()
    nothing = called.invoke(app, options, obj=tmp_path).exception
    assert isinstance(nothing, ConfigurationError)
    assert "--data" in (nothing.next_step or "")
    wrong = called.invoke(app, [*options, "--data", str(tmp_path)], obj=tmp_path).exception
    assert "Files are named like" in str(wrong)


@pytest.mark.slow
async def test_a_window_of_real_bars(shared_data: Path, tmp_path: Path) -> None:
    """Around a crash: the future that is taken away is the crash itself."""
    crash = datetime(2021, 5, 19, 13, tzinfo=UTC)
    settings = window(shared_data / "ohlcv", start=crash - 12 * HOUR, end=crash + 6 * HOUR)
    found = await backtest(settings, tmp_path)
    assert len(found.results) == 19
    assert not found.looks_ahead
