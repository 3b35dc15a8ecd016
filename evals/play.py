"""A desk let loose in a scenario: what it decided, or answered, and what followed."""

from __future__ import annotations

import time
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from agents.models.rules import RULES_MODEL_NAME
from evals.aftermath import look_after
from evals.prices import Price
from evals.prompts import OWN, Prompts
from evals.reading_back import asked_of, denials_of, fills_between
from evals.schema import Scenario
from evals.trajectory import Trajectory
from evals.world import opened
from trading_core.domain.market import Timeframe


async def play(
    scenario: Scenario,
    home: Path,
    *,
    model: BaseChatModel | None = None,
    label: str = RULES_MODEL_NAME,
    prompts: Prompts = OWN,
    price: Price | None = None,
    repeat: int = 0,
    data: Path | None = None,
    ledger: Path | None = None,
    rules: float | None = None,
) -> Trajectory:
    """Let a desk decide in a scenario and see what follows, or have its question answered.

    Args:
        label: how the model is called in results.
        prompts: what the agents are told.
        price: of its tokens; None when it is not known.
        rules: what the embedded model's desk came to in the same scenario.

    Raises:
        RecordingMissing, ConfigurationError: see `opened`.
    """
    began = time.perf_counter()
    async with opened(scenario, home, model=model, label=label, prompts=prompts, data=data, ledger=ledger) as world:
        if scenario.question is not None:
            found = await world.answer(price)
            return Trajectory(
                scenario=scenario,
                model=label,
                repeat=repeat,
                runs=(found.trail,),
                asked=found.asked,
                tools=found.tools,
                before=world.before,
                after=await world.account(),
                prices=world.prices(world.clock.now()),
                seconds=time.perf_counter() - began,
                error=found.error or world.error,
                talk=found.talk,
            )
        await world.decide()
        decided_until = world.clock.now()
        after, trails = await world.account(), await world.trails()
        last = world.at + (scenario.cycles - 1) * Timeframe(scenario.timeframe).length
        fills = await fills_between(world.system.database, world.system.desk.account_id, world.at, decided_until)
        aftermath = await look_after(world, last, rules) if scenario.horizon else None
        return Trajectory(
            scenario=scenario,
            model=label,
            repeat=repeat,
            runs=trails,
            asked=asked_of(trails, price),
            tools=tuple(world.tools),
            before=world.before,
            after=after,
            prices=world.prices(last),
            fills=fills,
            gate_denials=denials_of(trails),
            aftermath=aftermath,
            seconds=time.perf_counter() - began,
            error=world.error,
        )
