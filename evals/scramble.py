"""Proof that no decision looks ahead: with another future every decision before it is the same.

Everything after an instant is replaced by nonsense, and the window up to there is run again. Whoever had looked at what came
later would now be shown something else: what each agent was shown is compared by its hash, beside what it answered and what the
gate said to it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import Runnable

from data_channels.market.series import BarSeries, SeriesFeed
from graph.config import SessionConfig
from graph.session import trade
from graph.system import TradingSystem
from tools.base import Tool
from tools.registry import TOOLS
from trading_core.domain.clock import iso
from trading_core.domain.errors import ModelUnavailable
from trading_core.domain.instruments import Instrument
from trading_core.domain.market import Bar
from trading_core.domain.orders import Purpose
from trading_core.persistence.records import RunTrail

SEED = 20_240_103
_MOST_TICKS = 10**7  # of a price in the other future


@dataclass(frozen=True, slots=True)
class LookAhead:
    """What the check came to.

    Attributes:
        after: the instant after which everything was replaced.
        runs: how many were compared.
        differences: each decision that was not the same; empty when nobody looked ahead.
    """

    after: datetime
    runs: int
    differences: tuple[str, ...]


async def look_ahead(
    config: SessionConfig,
    feed: SeriesFeed,
    decided: Sequence[RunTrail],
    after: datetime,
    *,
    answers: Path | None = None,
    model: BaseChatModel | None = None,
    tools: Mapping[str, Tool[Any]] = TOOLS,
) -> LookAhead:
    """Run a session again up to `after` over another future, and compare.

    Args:
        config: of the session.
        decided: its runs.
        answers: what its model answered, where it is called over HTTP. It is not asked again: whatever it would have to be asked
            anew was shown to it differently.
        model, tools: those of the session, where they are not what the config describes.
    """
    expected = {trail.run.id: trail for trail in decided if trail.run.as_of <= after}
    found: dict[str, RunTrail] = {}
    with TemporaryDirectory(prefix="algotrendy-look-ahead-") as folder:
        home = Path(folder)
        if answers is not None:
            shutil.copy(answers, home / "answers.db")
        if model is None and config.model.provider != "rules":
            model = _Unasked(model_name=config.model.name, openai_api_base=config.model.endpoint)
        other = scrambled(feed, config.symbols, after)
        async with (
            TradingSystem.open(config, home, feed=other, model=model, tools=tools) as system,
            aclosing(trade(system)) as results,
        ):
            async for result in results:
                async with system.database.reading() as uow:
                    found[result.run_id] = await uow.runs.whole(result.run_id)
                if len(found) >= len(expected):
                    break
    told = [line for key, trail in expected.items() for line in _differences(trail, found.get(key))]
    return LookAhead(after, len(expected), tuple(told))


def scrambled(feed: SeriesFeed, symbols: Sequence[str], after: datetime, *, seed: int = SEED) -> SeriesFeed:
    """The same market with every bar that is not closed at `after` replaced by nonsense."""
    chance, series = random.Random(seed), {}  # noqa: S311  # nothing secret hangs on it
    for symbol in symbols:
        known = feed.series(symbol)
        length = known.timeframe.length
        bars = [bar if bar.opened_at + length <= after else _nonsense(bar, known.instrument, chance) for bar in known.bars]
        series[symbol] = BarSeries(known.instrument, known.timeframe, bars)
    return SeriesFeed(feed.name, feed.timeframe, series, generated=feed.generated)


def _nonsense(bar: Bar, instrument: Instrument, chance: random.Random) -> Bar:
    low, opened, closed, high = sorted(instrument.tick_size * chance.randint(1, _MOST_TICKS) for _ in range(4))
    volume = instrument.lot_size * chance.randint(0, _MOST_TICKS)
    return replace(bar, open=opened, high=high, low=low, close=closed, volume=volume)


def _differences(before: RunTrail, after: RunTrail | None) -> list[str]:
    at = iso(before.run.as_of)
    if after is None:
        return [f"{at}: was not run"]
    told = []
    if before.run.snapshot_hash != after.run.snapshot_hash:
        told.append(f"{at}: the run knew something else")
    then, now = (_decisions(trail) for trail in (before, after))
    told += [
        f"{at}: {agent} {subject} decided otherwise"
        for agent, subject in then
        if then[agent, subject] != now.get((agent, subject))
    ]
    if _gate(before) != _gate(after):
        told.append(f"{at}: the gate was asked something else, or answered otherwise")
    return told


def _decisions(trail: RunTrail) -> dict[tuple[str, str], tuple[object, ...]]:
    return {(one.agent, one.subject): (one.input_hash, one.answer, one.grounded) for one in trail.decisions}


def _gate(trail: RunTrail) -> list[tuple[object, ...]]:
    """The core's own stops follow from fills, which lie in the future of the last run."""
    asked = [one for one in trail.intents if one.intent.purpose is not Purpose.STOP]
    return [(one.intent.content_hash, [(each.verdict, each.reason_codes) for each in one.decisions[:1]]) for one in asked]


class _Unasked(BaseChatModel):
    """Stands where a model was, under its name, and is out of reach."""

    model_name: str
    openai_api_base: str

    @property
    def _llm_type(self) -> str:
        return "unasked"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        del tools
        return self.bind(**kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del messages, stop, run_manager, kwargs
        raise ModelUnavailable("a check for look-ahead asks no model")
