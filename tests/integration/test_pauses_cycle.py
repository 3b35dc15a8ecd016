"""Pauses and agents' settings in a real cycle over a market in which the rules buy SOL/USDT."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.language_models import FakeListChatModel

from graph.control.budgets import orders_left
from graph.events import RunEvent
from graph.schedules.skipping import SkipReason, why_skip
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, opened, pause, pause_late, trail
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.orders import OrderState, Purpose
from trading_core.persistence.desk_records import (
    AgentSettings,
    Budget,
    PauseKind,
    RunRequest,
    Schedule,
    Trigger,
)
from trading_core.persistence.records import DecisionRecord, Outcome, RunKind, RunRecord, RunState, RunTrail


async def cycle(system: TradingSystem) -> RunTrail:
    """The cycle in which SOL/USDT breaks out."""
    assert isinstance(system.clock, SimulatedClock)
    system.clock.advance_to(ENTRY)
    assert (await system.runner.run(ENTRY)).state is RunState.DONE
    return await trail(system, system.runner.run_id(ENTRY))


def entries(kept: RunTrail) -> list[str]:
    return [each.intent.symbol for each in kept.intents if each.intent.purpose is Purpose.ENTRY]


async def test_without_a_pause_it_buys(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        assert entries(await cycle(system)) == ["SOL/USDT"]


async def test_a_paused_symbol_is_not_looked_at(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        await pause(system, PauseKind.SYMBOL, "SOL/USDT")
        kept = await cycle(system)
    assert {decision.subject for decision in kept.decisions} <= {"BTC/USDT", "ETH/USDT", ""}
    assert kept.intents == ()
    (told,) = [event.data for event in events if event.kind == "paused"]
    assert (told["subject"], told["reason"], told["by"]) == ("SOL/USDT", "for a test", "boss")


async def test_with_everything_paused_a_cycle_only_records_what_the_account_is_worth(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        await pause(system, PauseKind.EVERYTHING)
        kept = await cycle(system)
    assert (kept.decisions, kept.intents) == ((), ())
    assert kept.portfolio is not None


@pytest.mark.parametrize("agent", ["signal", "risk", "execution"])
async def test_a_paused_agent_abstains_and_nothing_is_bought(tmp_path: Path, agent: str) -> None:
    async with opened(tmp_path) as system:
        await pause(system, PauseKind.AGENT, agent)
        kept = await cycle(system)
    silenced = [decision for decision in kept.decisions if decision.agent == agent]
    assert silenced
    assert {decision.outcome for decision in silenced} == {Outcome.ABSTAINED}
    assert {decision.reason for decision in silenced} == {"paused by boss: for a test"}
    assert {decision.model_calls for decision in silenced} == {0}
    assert kept.orders == ()


async def test_a_symbol_paused_after_the_gate_has_spoken_is_not_bought(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        pause_late(system, "SOL/USDT")
        kept = await cycle(system)
    assert entries(kept) == ["SOL/USDT"]
    assert kept.orders == ()


async def test_an_order_counts_for_the_budget_of_the_schedule_that_asked_for_its_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        account, run_id = await _of_a_schedule(system, Budget(orders=1))
        assert (await cycle(system)).orders != ()
        async with system.database.reading() as uow:
            assert await orders_left(uow, run_id, ENTRY) == 0
            skip = await why_skip(uow, (await uow.schedules.all((account,)))[0], ENTRY)
        assert skip is not None
        assert (skip.reason, skip.detail) == (SkipReason.BUDGET, "1 of 1 orders of the day are sent")


async def test_a_run_that_is_cut_off_right_after_its_last_order_goes_on_with_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        await _of_a_schedule(system, Budget(orders=1))

        async def cut_off(*_: object) -> None:
            raise RuntimeError("cut off")

        with monkeypatch.context() as patch:
            patch.setattr("graph.nodes._watch", cut_off)
            with pytest.raises(RuntimeError, match="cut off"):
                await system.runner.run(ENTRY)
        kept = await cycle(system)
    (entry,) = (one.order for one in kept.orders if one.order.purpose is Purpose.ENTRY)
    assert entry.state is OrderState.FILLED, "it was watched"
    sent = [event.data["order"].client_order_id for event in events if event.kind == "order_sent"]
    assert sent.count(entry.client_order_id) == 2


async def test_a_run_whose_schedule_may_send_nothing_more_buys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_: object) -> int:
        return 0

    monkeypatch.setattr("graph.nodes.orders_left", none_left)
    async with opened(tmp_path) as system:
        kept = await cycle(system)
    assert entries(kept) == ["SOL/USDT"]
    assert kept.orders == ()


async def _of_a_schedule(system: TradingSystem, budget: Budget) -> tuple[str, str]:
    """Have the cycle be one that a schedule asked for; the account and the run."""
    account, run_id = system.desk.account_id, system.runner.run_id(ENTRY)
    schedule = Schedule("s", account, "s", "boss", (), ENTRY, ENTRY, every_seconds=3600, budget=budget)
    async with system.database.transaction() as uow:
        await uow.schedules.add(schedule)
        await uow.runs.start(RunRecord(run_id, account, RunKind.CYCLE, ENTRY, ENTRY, session_id=system.config.session_id))
        await uow.run_requests.add(RunRequest(run_id, account, "runner", Trigger.SCHEDULE, {}, ENTRY, schedule_id="s"))
    return account, run_id


async def test_rules_answer_for_an_agent_that_was_given_to_them(tmp_path: Path) -> None:
    async with opened(tmp_path, model=FakeListChatModel(responses=["no"])) as system:
        account = system.desk.account_id
        async with system.database.transaction() as uow:
            for agent in ("market_analysis", "signal", "risk", "execution", "rebalancing"):
                await uow.agent_settings.put(AgentSettings(account, agent, "boss", ENTRY, model="rules"))
        kept = await cycle(system)
    assert {decision.model for decision in kept.decisions} == {"rules"}
    assert entries(kept) == ["SOL/USDT"]


async def test_an_agent_beyond_its_budget_abstains(tmp_path: Path) -> None:
    async with opened(tmp_path, model=FakeListChatModel(responses=["no"])) as system:
        account = system.desk.account_id
        async with system.database.transaction() as uow:
            await uow.agent_settings.put(AgentSettings(account, "signal", "boss", ENTRY, budget=Budget(tokens=100)))
            await uow.runs.start(RunRecord("earlier", account, RunKind.CYCLE, ENTRY, ENTRY))
            used = DecisionRecord("earlier", "signal", "X", Outcome.ANSWERED, ENTRY, model="m", input_tokens=60, output_tokens=50)
            await uow.decisions.put(used)
            await uow.agent_settings.put(AgentSettings(account, "market_analysis", "boss", ENTRY, model="rules"))
        kept = await cycle(system)
    said = {decision.reason for decision in kept.decisions if decision.agent == "signal"}
    assert said == {"its budget is used up: 110 of 100 tokens of the day are used"}
