"""What people decided stands when a run is decided again: approvals, pauses, and who answers for an agent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from langchain_core.language_models import FakeListChatModel
from typer.testing import CliRunner

from agents.answers import RiskPlan, Signal
from agents.models.rules import RULES_MODEL_NAME, RulesModel
from agents.roster import ROSTER
from api.commands.replay import replay as command
from evals.read_only import open_read_only
from evals.recorded import History
from evals.regate import judge_all
from evals.replay import Alternative, Change, Replayed, replay
from graph.config import SessionConfig
from graph.folders import Folders
from graph.system import TradingSystem
from tests.integration.worlds import ENTRY, config, entry_feed, opened, pause, pause_late
from trading_core.auth.permissions import operator
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import RunError
from trading_core.domain.intents import Verdict
from trading_core.persistence.desk_records import AgentSettings, PauseKind
from trading_core.persistence.records import RunKind, RunRecord, RunState

USUAL = config(start=ENTRY, cycles=1)
ASKING = config(start=ENTRY, cycles=1, limits={"approval_above_notional": "100"})
SAME = Alternative(RulesModel(), RULES_MODEL_NAME)


async def cycle(system: TradingSystem) -> str:
    """The cycle in which SOL/USDT breaks out; its id."""
    assert isinstance(system.clock, SimulatedClock)
    system.clock.advance_to(ENTRY)
    return (await system.runner.run(ENTRY)).run_id


async def decided_again(home: Path, run_id: str, settings: SessionConfig = USUAL, alternative: Alternative = SAME) -> Replayed:
    async with await open_read_only(Folders.of(home, settings).ledger) as ledger:
        history = await History.read(ledger, settings.session_id, settings, entry_feed())
        (found,) = [one async for one in replay(history, [run_id], alternative, entry_feed())]
    return found


def bought(found: Replayed) -> Change:
    (change,) = [one for one in found.changes if one.symbol == "SOL/USDT"]
    return change


@pytest.mark.parametrize("approve", [True, False])
async def test_an_operators_word_on_the_same_order_stands(tmp_path: Path, approve: bool) -> None:
    async with opened(tmp_path, ASKING) as system:
        run_id = await cycle(system)
        async with system.database.reading() as uow:
            (asked,) = await uow.approvals.of_run(run_id)
        await system.desk.decide_approval(operator("ana", "paper"), asked.intent_id, approve=approve, reason="seen")
        assert (await system.runner.resume(run_id)).state is RunState.DONE
    found = await decided_again(tmp_path, run_id, ASKING)
    change = bought(found)
    assert (change.before.verdict, change.before.sent) == (Verdict.NEEDS_APPROVAL, approve)
    assert change.after == change.before
    assert found.reused == found.asked, "the execution agent, too, was asked what it was asked then"


async def test_an_order_that_was_held_back_after_the_gate_is_held_back_again(tmp_path: Path) -> None:
    """By a pause that came late here; a schedule's budget, or the gate's second look, holds orders back as well."""
    async with opened(tmp_path, USUAL) as system:
        pause_late(system, "SOL/USDT")
        run_id = await cycle(system)
    change = bought(await decided_again(tmp_path, run_id))
    assert (change.before.verdict, change.before.sent) == (Verdict.APPROVED, False)
    assert not change.differs


@pytest.mark.parametrize("agent", ["signal", "risk", "execution"])
async def test_an_agent_that_was_paused_is_not_asked_by_any_model(tmp_path: Path, agent: str) -> None:
    async with opened(tmp_path, USUAL) as system:
        await pause(system, PauseKind.AGENT, agent)
        run_id = await cycle(system)
    for alternative in (SAME, Alternative(RulesModel(), "another name")):
        found = await decided_again(tmp_path, run_id, alternative=alternative)
        assert not found.differs
        assert any(told.startswith(agent) and "paused by boss" in told for told in found.failed)


async def test_an_agent_that_was_given_to_the_rules_keeps_them_unless_a_model_is_named(tmp_path: Path) -> None:
    model = FakeListChatModel(responses=["no"])
    async with opened(tmp_path, USUAL, model=model) as system:
        async with system.database.transaction() as uow:
            for agent in ROSTER:
                await uow.agent_settings.put(AgentSettings(system.desk.account_id, agent, "boss", ENTRY, model="rules"))
        run_id = await cycle(system)
    kept = await decided_again(tmp_path, run_id, alternative=Alternative(model, "its own", keeps_rules=True))
    assert bought(kept).after.sent
    assert not kept.differs
    assert kept.reused == kept.asked
    named = await decided_again(tmp_path, run_id, alternative=Alternative(model, "its own"))
    assert named.failed, "that one can say nothing but no"
    assert not bought(named).after.sent


def test_the_last_run_is_the_last_that_decided(tmp_path: Path) -> None:
    """A conversation, or an operator's order, after it is no run that can be decided again."""
    run_id = asyncio.run(_a_cycle_and_then_talk(tmp_path))
    of_an_earlier_version = tmp_path / "simulations" / "old" / "ledger.db"
    of_an_earlier_version.parent.mkdir()
    of_an_earlier_version.touch()
    app, called = typer.Typer(), CliRunner()
    app.command("replay")(command)
    for which in ("last", "--since=2025-03-01", run_id):
        told = called.invoke(app, [which, "--json"], obj=tmp_path)
        assert told.exit_code == 0, told.exception
        assert [run["run"]["id"] for run in json.loads(told.stdout)["runs"]] == [run_id]
    spoken = called.invoke(app, ["later-0"], obj=tmp_path)
    assert isinstance(spoken.exception, RunError)
    assert "conversation" in str(spoken.exception)


async def _a_cycle_and_then_talk(home: Path) -> str:
    async with opened(home, USUAL) as system:
        run_id = await cycle(system)
        for number, kind in enumerate((RunKind.CONVERSATION, RunKind.ORDER)):
            async with system.database.transaction() as uow:
                later = RunRecord(f"later-{number}", system.desk.account_id, kind, ENTRY, ENTRY, session_id=USUAL.session_id)
                await uow.runs.start(later)
    return run_id


async def test_a_price_that_was_doubted_then_is_doubted_again(tmp_path: Path) -> None:
    async with opened(tmp_path, USUAL) as system:

        async def elsewhere(*_: object) -> list[str]:
            return ["another source says half of it"]

        system.snapshots._contradicted = elsewhere
        run_id = await cycle(system)
    change = bought(await decided_again(tmp_path, run_id))
    assert (change.before.said, change.before.purpose) == ("enter", None)
    assert not change.differs


async def test_nothing_is_bought_of_a_paused_symbol_whoever_wants_it(tmp_path: Path) -> None:
    """Rebalancing looks at all holdings, paused ones too."""
    async with opened(tmp_path, USUAL) as system:
        run_id = await cycle(system)
    async with await open_read_only(Folders.of(tmp_path, USUAL).ledger) as ledger:
        recorded = await (await History.read(ledger, USUAL.session_id, USUAL, entry_feed())).recorded(run_id)
    answers = {one.agent: one.answer for one in recorded.trail.decisions if one.subject in ("", "SOL/USDT")}
    signals = {"SOL/USDT": Signal.model_validate(answers["signal"])}
    sizes = {verdict.symbol: verdict for verdict in RiskPlan.model_validate(answers["risk"]).verdicts}
    limits = USUAL.limits.of("paper")
    wanted = [
        [one.intent.symbol for one in judge_all(recorded, limits, signals, sizes, None, "", barred=paused)]
        for paused in ((), ("SOL/USDT",))
    ]
    assert wanted == [["SOL/USDT"], []]


def test_where_nothing_was_run_that_is_said(tmp_path: Path) -> None:
    app, called = typer.Typer(), CliRunner()
    app.command("replay")(command)
    for which in (["last"], ["--since", "2025-03-01"]):
        told = called.invoke(app, which, obj=tmp_path)
        assert isinstance(told.exception, RunError)
        assert "no run on record" in str(told.exception)
