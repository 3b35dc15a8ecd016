"""The trading cycle end to end with the rules model: what it decides, records, and does again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.grounding import problems
from graph.events import RunEvent
from graph.report import export, report
from graph.session import trade
from graph.trading_cycle import build
from tests.integration.worlds import ENTRY, HOUR, config, opened, trail, trails
from tools.context import Evidence
from trading_core.auth.permissions import operator
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import OrderState, Purpose
from trading_core.execution.control import Control
from trading_core.persistence.records import RunState


async def test_a_session_buys_protects_and_is_stopped_out(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        results = [result async for result in trade(system)]
        told = await report(system)
        entry = await trail(system, system.runner.run_id(ENTRY))
    assert [result.state for result in results] == [RunState.DONE] * 4
    bought = next(order.order for order in entry.orders if order.order.purpose is Purpose.ENTRY)
    stop = next(order for order in entry.orders if order.order.purpose is Purpose.STOP)
    assert bought.symbol == "SOL/USDT"
    assert bought.state is OrderState.FILLED
    held = bought.filled - sum(fill.fee.amount for order in entry.orders[:1] for fill in order.fills)
    assert stop.order.request.quantity <= held, "the stop covers what is held after the fee, and no more"
    assert stop.order.state is OrderState.FILLED, "the market fell through it two hours later"
    assert told.balances_agree
    assert told.fills == 2
    kinds = {event.kind for event in events}
    assert {"run_started", "snapshot_taken", "agent_answered", "gate_decided", "order_sent", "fill_booked", "run_done"} <= kinds


async def test_a_run_is_read_back_whole_and_every_number_in_it_stands_on_evidence(tmp_path: Path) -> None:
    async with opened(tmp_path) as system:
        async for _ in trade(system):
            pass
        kept = await trail(system, system.runner.run_id(ENTRY))
    assert kept.snapshot is not None
    assert {decision.agent for decision in kept.decisions} == {"market_analysis", "signal", "risk", "execution"}
    evidence = {item.id: Evidence(item.id, item.tool, item.arguments, dict(item.result)) for item in kept.evidence}  # type: ignore[call-overload]
    for decision in kept.decisions:
        assert decision.answer is not None
        assert decision.grounded, decision.problems
        assert set(decision.evidence) <= set(evidence)
        assert problems([str(decision.answer["reason"])], evidence) == []
    decided = kept.intents[0].decisions[0]
    assert decided.verdict is Verdict.APPROVED
    assert len(decided.checks) > 20, "the gate lists every check it made, not only those that failed"


async def test_the_same_session_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    told = []
    for home in ("one", "two"):
        async with opened(tmp_path / home) as system:
            async for _ in trade(system):
                pass
            told.append(json.dumps(await export(system), sort_keys=True))
    assert told[0] == told[1]


async def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        first = await system.runner.run(ENTRY)
        heard = len(events)
        assert await system.runner.run(ENTRY) == first
        assert await system.runner.resume(first.run_id) == first
    assert len(events) == heard


async def test_a_run_cut_off_within_its_first_step_decides_on_what_it_first_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its snapshot was written down and before the checkpoint: by then other runs may have moved the account."""

    def cut_off(*_: object) -> None:
        raise ConnectionAbortedError

    events: list[RunEvent] = []
    async with opened(tmp_path, events=events) as system:
        with monkeypatch.context() as patched:
            patched.setattr(system.snapshots, "tradable", cut_off)
            with pytest.raises(ConnectionAbortedError):
                await system.runner.run(ENTRY)
        run_id, account = system.runner.run_id(ENTRY), system.desk.account_id
        seen = (await trail(system, run_id)).run.snapshot_hash
        await Control(account, system.database, system.clock).halt(operator("olga", account), "for the test")
        assert (await system.runner.resume(run_id)).state is RunState.DONE
        kept = await trail(system, run_id)
    assert seen
    assert kept.run.snapshot_hash == seen
    assert [event.data["snapshot"].content_hash for event in events if event.kind == "snapshot_taken"] == [seen]
    assert not kept.orders, "the halt is obeyed: the gate looks at the account as it is"


async def test_an_unheld_market_without_enough_bars_is_left_alone(tmp_path: Path) -> None:
    """The generated market starts 301 bars before the session; ten bars in, there is nothing to look at."""
    early = config(start=ENTRY - 300 * HOUR, cycles=1)
    async with opened(tmp_path, early) as system:
        results = [result async for result in trade(system)]
        kept = await trail(system, results[0].run_id)
    assert results[0].state is RunState.DONE
    assert kept.decisions == ()
    assert kept.portfolio is not None


async def test_runs_wait_for_approval_and_go_on_after_it(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=2)
    async with opened(tmp_path, asking) as system:
        results = [result async for result in trade(system)]
        assert [result.state for result in results] == [RunState.WAITING], "the session stops where a person is needed"
        waiting = results[0]
        assert (await system.runner.resume(waiting.run_id)).state is RunState.WAITING, "resuming without an answer waits on"
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=True, reason="looks right")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        kept = await trail(system, waiting.run_id)
    assert [item.approval.decided_by for item in kept.intents if item.approval] == ["ana"]
    assert any(order.order.purpose is Purpose.ENTRY and order.order.filled for order in kept.orders)


async def test_a_rejected_intent_is_never_sent(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=1)
    async with opened(tmp_path, asking) as system:
        (waiting,) = [result async for result in trade(system)]
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=False, reason="no")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        kept = await trail(system, waiting.run_id)
    assert kept.orders == ()


async def test_a_waiting_run_survives_a_restart(tmp_path: Path) -> None:
    from trading_core.auth.permissions import operator

    asking = config(limits={"approval_above_notional": "100"}, start=ENTRY, cycles=1)
    async with opened(tmp_path, asking) as system:
        (waiting,) = [result async for result in trade(system)]
    async with opened(tmp_path, asking, at=ENTRY) as system:
        await system.desk.decide_approval(operator("ana", "paper"), waiting.waiting[0], approve=True, reason="")
        assert (await system.runner.resume(waiting.run_id)).state is RunState.DONE
        assert len(await trails(system)) == 1
        assert (await report(system)).fills == 1


def test_the_graph_prints_itself() -> None:
    drawn = build().get_graph().draw_mermaid()
    for node in ("snapshot", "market_analysis", "signal", "rebalancing", "risk", "gate", "approval", "execution", "record"):
        assert node in drawn
