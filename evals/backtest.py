"""The whole desk over a historical window: the same agents, gate, ledger and paper exchange, on a simulated clock.

Answers of a model are kept (`answers.db`): the same window again asks it nothing. It is the past: what a desk would have made in
it proves nothing about what comes next, least of all for a model that may have read of it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from data_channels.market.series import SeriesFeed
from evals.lock import only_one
from evals.prices import FREE, Price
from evals.reading_back import asked_of
from evals.scorers.calibration import Calibration, Claim, calibrate, claimed
from evals.scramble import LookAhead, look_ahead
from evals.trajectory import Asked
from graph.config import SessionConfig
from graph.events import Listener, ignore
from graph.folders import Folders
from graph.markets import make_feed
from graph.report import SessionReport, report
from graph.runner import RunResult
from graph.session import trade
from graph.system import TradingSystem
from graph.ticks import ticks
from tools.base import Tool
from tools.registry import TOOLS
from trading_core.domain.errors import ConfigurationError
from trading_core.domain.market import MarketFeed
from trading_core.domain.money import ZERO
from trading_core.persistence.records import RunState, RunTrail

HORIZON = 24  # bars after which a direction is judged
Curve = tuple[tuple[datetime, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """A window that was traded.

    Attributes:
        results: how each cycle ended.
        held: worth of everything bought in equal parts at the first cycle, at the times of the account's curve.
        calibration: of every claim of direction, over `HORIZON` bars; None when there was none.
        asked: what every agent answered and cost.
        checks: for look-ahead.
    """

    config: SessionConfig
    market: str
    report: SessionReport
    results: tuple[RunResult, ...]
    trails: tuple[RunTrail, ...]
    asked: tuple[Asked, ...]
    held: Curve
    calibration: Calibration | None
    checks: tuple[LookAhead, ...]

    @property
    def failed(self) -> tuple[RunResult, ...]:
        return tuple(result for result in self.results if result.state is RunState.FAILED)

    @property
    def looks_ahead(self) -> bool:
        return any(check.differences for check in self.checks)


async def backtest(
    config: SessionConfig,
    home: Path,
    *,
    model: BaseChatModel | None = None,
    tools: Mapping[str, Tool[Any]] = TOOLS,
    price: Price | None = FREE,
    checks: int = 1,
    listener: Listener = ignore,
) -> Backtest:
    """Trade a window from its start. An earlier backtest of the same settings is done again; its answers are kept.

    Args:
        config: of a history market, or of a generated one.
        home: where the ledger and the answers are.
        model: instead of the one that the config describes.
        tools: what the agents' tools are, by name.
        price: of its tokens; None when it is not known.
        checks: at how many instants, spread over the window, the future is replaced to see whether anybody looked.

    Raises:
        ConfigurationError: the market is live, no bar closes in the window, or another process is at work on this very backtest.
        AlgoTrendyError: the bars cannot be used.
    """
    if not config.simulated:
        raise _over()
    feed = make_feed(config)
    try:
        if not isinstance(feed, SeriesFeed):
            raise _over()
        times = list(ticks(config, feed))
        if not times:
            raise _unusable("no bar closes in the window", "Choose another --from or --to")
        lock = home / "locks" / config.session_id
        await asyncio.to_thread(lock.mkdir, parents=True, exist_ok=True)
        with only_one(lock):  # another would throw this one's ledger away
            return await _traded(config, home, feed, times, model, tools, price, checks, listener)
    finally:
        await feed.close()


async def _traded(
    config: SessionConfig,
    home: Path,
    feed: SeriesFeed,
    times: Sequence[datetime],
    model: BaseChatModel | None,
    tools: Mapping[str, Tool[Any]],
    price: Price | None,
    checks: int,
    listener: Listener,
) -> Backtest:
    folders = Folders.of(home, config)
    await asyncio.to_thread(shutil.rmtree, folders.session, ignore_errors=True)
    async with TradingSystem.open(config, home, listener=listener, feed=feed, model=model, tools=tools) as system:
        results = tuple([result async for result in trade(system)])
        found = await report(system)
        async with system.database.reading() as uow:
            trails = tuple([await uow.runs.whole(result.run_id) for result in results])
        held = await _held(system, config, found)
    asked = asked_of(trails, price)
    told = calibrate(await _claims(feed, config, trails, asked))
    answers = Path(str(folders.answers))
    kept = answers if config.model.provider != "rules" and await asyncio.to_thread(answers.is_file) else None
    cuts = [times[len(times) * number // (checks + 1)] for number in range(1, checks + 1)]
    made = [await look_ahead(config, feed, trails, cut, answers=kept, model=model, tools=tools) for cut in dict.fromkeys(cuts)]
    return Backtest(config, feed.name, found, results, trails, asked, held, told, tuple(made))


async def _held(system: TradingSystem, config: SessionConfig, found: SessionReport) -> Curve:
    """What was paid in, split evenly at the first cycle's asks, fees paid; as `graph.report` does for the end."""
    first = {symbol: await system.feed.ticker(symbol, as_of=found.start) for symbol in config.symbols}
    known = {symbol: ticker.ask for symbol, ticker in first.items() if ticker is not None}
    curve = []
    for at, _ in found.curve:
        worth = ZERO
        for symbol, paid in known.items():
            ticker = await system.feed.ticker(symbol, as_of=at)
            fee = system.desk.instruments[symbol].taker_fee
            worth += found.deposit / len(known) / (paid * (1 + fee)) * (ticker.last if ticker else paid)
        curve.append((at, worth))
    return tuple(curve)


async def _claims(
    feed: MarketFeed, config: SessionConfig, trails: Sequence[RunTrail], asked: Sequence[Asked]
) -> list[tuple[str, Claim]]:
    """Every direction that an agent claimed, by day: claims of one day are alike."""
    found, horizon = [], HORIZON * config.bars.length
    decided_at = {trail.run.id: trail.run.as_of for trail in trails}
    for one in asked:
        said, at = claimed(one), decided_at[one.run_id]
        if said is None:
            continue
        then = await feed.bars(one.subject, config.bars, as_of=at, limit=1)
        later = await feed.bars(one.subject, config.bars, as_of=at + horizon, limit=1)
        # Where the window's data ends before the horizon, nobody knows who was right.
        if later[-1].opened_at + 2 * config.bars.length > at + horizon and later[-1].close != then[-1].close:
            up, confidence = said
            right = (later[-1].close > then[-1].close) is up
            found.append((f"{at:%Y-%m-%d}", Claim(one.agent, one.subject, confidence, right)))
    return found


def _over() -> ConfigurationError:
    return _unusable("a backtest needs a market that is over", "Use --data with recorded bars")


def _unusable(what: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(what, not_done="Nothing was run", next_step=next_step)
